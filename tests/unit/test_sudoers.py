"""Which call of sudo is in a command, and that a rehearsal changes nothing."""

import getpass
import re
from pathlib import Path

import pytest

from backends.command import Command
from backends.errors import UnreadableReply
from backends.hosts.execution import execute, query, rehearsing
from backends.hosts.local import LocalHost
from backends.hosts.sudo import MAX_PATTERN_CHARS, SudoCall, build_rule, sudo_call
from backends.templates import VERSION_PATTERN

ALL = ("sudo", "-n", "--")


@pytest.mark.parametrize(
    ("before", "command", "call"),
    [
        ((), Command(("sudo", "-n", "monit", "stop", "shop")), SudoCall("monit", ("stop", "shop"))),
        (("env", "A=b"), Command(("sudo", "-n", "--", "id")), SudoCall("id", ())),
        ((), Command.shell("sudo -n -u shop ctl stop"), SudoCall("ctl", ("stop",), user="shop")),
        ((), Command.shell("sudo --user=shop -g www ctl"), SudoCall("ctl", (), "shop", "www")),
        ((), Command.shell("sudo -nE ctl"), None),
        ((), Command.shell("sudo -n A=b ctl"), SudoCall("ctl", (), sets_environment=True)),
        ((), Command.shell("sudo -E ctl"), SudoCall("ctl", (), sets_environment=True)),
        ((), Command(("timeout", "5", "sh", "-c", "sudo -n ctl")), SudoCall("ctl", ())),
        (ALL, Command(("id", "-u")), SudoCall("id", ("-u",))),
        ((*ALL, "docker", "exec", "a"), Command(("id",)), SudoCall("docker", ("exec", "a", "id"))),
    ],
)
def test_what_sudo_is_asked_to_run(before: tuple[str, ...], command: Command, call: SudoCall | None) -> None:
    if call is None:
        with pytest.raises(UnreadableReply, match="option"):
            sudo_call(before, (), command)
    else:
        assert sudo_call(before, (), command) == call


@pytest.mark.parametrize(
    "script", ["cd /srv && sudo -n ctl", "x=$(sudo id)", "sh -c 'sudo id'", "sudo id; ls"]
)
def test_what_a_script_asks_of_sudo_is_not_guessed(script: str) -> None:
    with pytest.raises(UnreadableReply, match="script"):
        sudo_call((), (), Command.shell(script))


@pytest.mark.parametrize("script", ["systemctl stop shop", "cat /etc/sudoers | wc -l", "pseudo -n x; true"])
def test_no_sudo(script: str) -> None:
    assert sudo_call((), (), Command.shell(script)) is None


def test_a_version_within_another_word_is_not_left_open() -> None:
    call = SudoCall("get", ("shop=1.5", "lib1.5", "1.5-2", "v/1.5/x"))
    line = build_rule("ann", call, "/bin/get", {"1.5": VERSION_PATTERN})
    assert line == (
        f"ann ALL=(root) NOPASSWD: /bin/get ^shop={VERSION_PATTERN} lib1\\.5 1\\.5-2 v/{VERSION_PATTERN}/x$"
    )


def test_of_two_versions_the_longer_one_is_left_open_as_a_whole() -> None:
    call = SudoCall("get", ("v1.5.1", "1.5.1", "1.5"))
    line = build_rule("ann", call, "/bin/get", {"1.5": "[0-9]", "1.5.1": "[a-z]"})
    assert line == r"ann ALL=(root) NOPASSWD: /bin/get ^v1\.5\.1 [a-z] [0-9]$"


@pytest.mark.parametrize("script", ["sudo", "sudo -n", "sudo -u shop", "sudo -u", "sudo -n A=b", "sudo --"])
def test_a_sudo_without_a_command_is_an_error(script: str) -> None:
    with pytest.raises(UnreadableReply, match="runs no command"):
        sudo_call((), (), Command.shell(script))


def test_a_rule_that_sudo_would_not_take_is_an_error() -> None:
    with pytest.raises(ValueError, match=f"sudo takes {MAX_PATTERN_CHARS}"):
        build_rule("ann", SudoCall("get", ("1.5", "x" * 1024)), "/bin/get", {"1.5": VERSION_PATTERN})


async def test_a_rehearsal_looks_and_changes_nothing(tmp_path: Path) -> None:
    recorded: list[object] = []
    host = LocalHost("web1", listener=recorded.append)
    change, question = Command(("touch", str(tmp_path / "done"))), Command(("echo", "yes"))
    with rehearsing() as sent:
        await execute(host, change, "touch", timeout=5, track=True)
        assert (await query(host, question, timeout=5)).stdout == "yes\n"
    assert not (tmp_path / "done").exists()
    assert [(command.command, command.track) for command in sent] == [(change, True), (question, False)]
    assert recorded == []
    await execute(host, change, "touch", timeout=5)
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "said", ["root ALL=(ALL) NOPASSWD: ALL", "ann\nann ALL=(ALL) NOPASSWD: ALL", "%wheel", "#0", "ALL:", ""]
)
async def test_a_node_cannot_name_anybody_but_a_user(tmp_path: Path, said: str) -> None:
    program(tmp_path, "id", said)
    with pytest.raises(UnreadableReply, match="login user"):
        await host_with(tmp_path).login_name()


@pytest.mark.parametrize("folder", ["a b", "a,b", "a\nb", "a*"])
async def test_a_node_cannot_name_a_path_that_means_more_than_one_program(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / folder).mkdir()
    program(tmp_path / folder, "ctl-of-shop", "")
    assert await host_with(tmp_path / folder).find_program("ctl-of-shop") == ""
    program(tmp_path, "ctl-of-shop", "")
    assert await host_with(tmp_path).find_program("ctl-of-shop") == f"{tmp_path}/ctl-of-shop"


async def test_a_sudo_within_the_prefix_finds_its_programs_and_its_user_there(tmp_path: Path) -> None:
    program(tmp_path, "ctl-of-shop", "")
    program(tmp_path, "id", "shop")
    prefix = f"env PATH={tmp_path}:/usr/bin:/bin"
    host = LocalHost("web1", prefix=prefix)
    assert await host.find_program("ctl-of-shop") == f"{tmp_path}/ctl-of-shop"
    assert await host.login_name() == "shop"
    before = LocalHost("web1", prefix=prefix, sudo=True)
    assert await before.find_program("ctl-of-shop") == "", "this sudo runs the prefix"
    assert await before.login_name() == getpass.getuser()


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\n")
    (folder / name).chmod(0o755)


def host_with(folder: Path) -> LocalHost:
    """A host on which programs of this folder come first."""
    return LocalHost("web1", environment=lambda: {"PATH": f"{folder}:/usr/bin:/bin"})


@pytest.mark.parametrize("text", ["a, ALL", "a\nann ALL=(ALL) ALL", "a # b", "a:b=c", "a\\", "^a|b$"])
def test_an_argument_is_never_more_than_that(text: str) -> None:
    line = build_rule("ann", SudoCall("tail", (text,)), "/usr/bin/tail", {})
    rest = line.removeprefix("ann ALL=(root) NOPASSWD: /usr/bin/tail ")
    assert re.fullmatch(r"(\\.|[^,:=#*\n\\^])*", rest), rest


def test_a_path_with_a_blank_is_one_path() -> None:
    line = build_rule("ann", SudoCall("/opt/my app/ctl", ()), "/opt/my app/ctl", {})
    assert line == r'ann ALL=(root) NOPASSWD: /opt/my\ app/ctl ""'
