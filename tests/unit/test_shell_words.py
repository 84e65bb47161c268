"""What is run for an interactive shell within a prefix."""

import shlex

import pytest

from backends.shell import shell_words, with_terminal


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("docker exec -i shop", "docker exec -it -i shop"),
        ("/usr/bin/podman --root /r exec -u app shop", "/usr/bin/podman --root /r exec -it -u app shop"),
        ("kubectl exec -i pod -c shop --", "kubectl exec -it -i pod -c shop --"),
        ("docker compose exec -T web", "docker compose exec web"),
        ("lxc exec shop --", "lxc exec shop --"),
        ("nsenter -t 1 -m", "nsenter -t 1 -m"),
        ("chroot /srv/exec", "chroot /srv/exec"),
    ],
)
def test_a_prefix_gets_the_options_for_a_terminal(prefix: str, words: str) -> None:
    assert with_terminal(shlex.split(prefix)) == tuple(shlex.split(words))


def test_without_a_prefix_it_is_a_login_shell_and_sudo_is_for_commands_alone() -> None:
    assert shell_words(()) == shell_words(("sudo", "-n", "--")) == ()
    assert shell_words(("sudo", "-n", "--", "docker", "exec", "a"))[:6] == (
        *("sudo", "-n", "--"),
        *("docker", "exec", "-it"),
    )
