"""RevokedHostKeys of the ssh configuration, against a real sshd: a key that is listed is never accepted."""

import shutil
from pathlib import Path

import pytest

from backends.errors import HostKeyError
from backends.hosts import ssh_route
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from tests.integration.ssh_logins import enter, refused, run
from tests.support.servers.sshd import Sshd, running_sshd


@pytest.fixture
def revoked(sshd: Sshd, tmp_path: Path) -> Path:
    """A list with the server's key among others."""
    other = tmp_path / "other"
    run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(other))
    path = tmp_path / "revoked"
    keys = (other.with_suffix(".pub").read_text(), sshd.host_key.with_suffix(".pub").read_text())
    path.write_text("# stolen\n\n" + "".join(keys))
    return path


def host(sshd: Sshd, alias: str = "node", **changes: object) -> SshHost:
    values: dict[str, object] = {"config": str(sshd.ssh_config)}
    return SshHost("web1", alias, SshSettings(**(values | changes)))  # type: ignore[arg-type]


def add(sshd: Sshd, text: str) -> None:
    with sshd.ssh_config.open("a") as stream:
        stream.write(text + "\n")


def forget(path: Path, lines: int) -> None:
    """Take the last lines out."""
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-lines]))


async def test_a_key_that_is_listed_is_refused_and_the_list_named(sshd: Sshd, revoked: Path) -> None:
    assert await enter(host(sshd)) == "in\n"
    add(sshd, f"  RevokedHostKeys {revoked}")
    text = await refused(host(sshd), HostKeyError)
    assert text == (
        f"127.0.0.1 port {sshd.port}: Host key is revoked for host 127.0.0.1 (RevokedHostKeys: {revoked})"
    )


async def test_the_known_hosts_of_the_settings_do_not_outdo_it(sshd: Sshd, revoked: Path) -> None:
    add(sshd, f"  RevokedHostKeys {revoked}")
    assert "is revoked" in await refused(host(sshd, known_hosts=str(sshd.known_hosts)), HostKeyError)


async def test_a_list_of_other_keys_refuses_nobody(sshd: Sshd, revoked: Path) -> None:
    forget(revoked, 1)
    add(sshd, f"  RevokedHostKeys {revoked}")
    assert await enter(host(sshd)) == "in\n"


async def test_a_list_that_has_changed_is_read_again(sshd: Sshd, revoked: Path) -> None:
    forget(revoked, 1)
    add(sshd, f"  RevokedHostKeys {revoked}")
    assert await enter(host(sshd)) == "in\n"
    shutil.copy(sshd.host_key.with_suffix(".pub"), revoked)
    assert "is revoked" in await refused(host(sshd), HostKeyError)


@pytest.mark.parametrize(
    "line",
    [
        "Host other\n  RevokedHostKeys {revoked}",
        "Match originalhost other\n  RevokedHostKeys {revoked}",
        "  RevokedHostKeys none\nHost *\n  RevokedHostKeys {revoked}",
    ],
)
async def test_a_list_for_others_or_after_another_word_does_not_count(
    sshd: Sshd, revoked: Path, line: str
) -> None:
    add(sshd, line.format(revoked=revoked))
    assert await enter(host(sshd)) == "in\n"


@pytest.mark.parametrize(
    "line",
    [
        "Host no* !other\n  revokedhostkeys={revoked}",
        "Host *\n  Include {folder}/included",
        "Match final host 127.0.0.1\n  RevokedHostKeys {revoked}",
        'Match user {user}\n  RevokedHostKeys "{folder}/other.pub" {revoked}',
        "Host *\n  RevokedHostKeys %d/revoked",
        "Host *\n  RevokedHostKeys ~/revoked",
        "Host *\n  RevokedHostKeys ${{HOME}}/revoked",
    ],
)
async def test_the_list_is_found_as_ssh_finds_it(
    sshd: Sshd, revoked: Path, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "included").write_text(f"RevokedHostKeys {revoked}\n")
    add(sshd, line.format(revoked=revoked, folder=tmp_path, user=sshd.user))
    assert "is revoked" in await refused(host(sshd), HostKeyError)


async def test_jumps_are_held_to_it(sshd: Sshd, revoked: Path, tmp_path: Path) -> None:
    with running_sshd(tmp_path, alias="inner", name="inner") as inner:
        add(sshd, f"  RevokedHostKeys {revoked}")
        add(sshd, inner.ssh_config.read_text() + "  ProxyJump node")
        assert "is revoked" in await refused(host(sshd, "inner"), HostKeyError)
        assert "Accepted publickey" not in sshd.log + inner.log


async def test_an_authority_whose_key_is_listed_vouches_for_nobody(sshd: Sshd, tmp_path: Path) -> None:
    authority = tmp_path / "authority"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(authority))
    run("ssh-keygen", "-q", "-s", str(authority), "-h", "-I", "h", "-n", "127.0.0.1", f"{sshd.host_key}.pub")
    with (sshd.folder / "sshd_config").open("a") as stream:
        stream.write(f"HostCertificate {sshd.host_key}-cert.pub\n")
    sshd.shut_down()
    sshd.start()
    public = authority.with_suffix(".pub")
    sshd.known_hosts.write_text(f"@cert-authority * {public.read_text()}")
    assert await enter(host(sshd)) == "in\n"
    add(sshd, f"  RevokedHostKeys {public}")
    assert "CA key is revoked" in await refused(host(sshd), HostKeyError)


async def test_a_revocation_list_in_binary_is_refused_whole(
    sshd: Sshd, revoked: Path, tmp_path: Path
) -> None:
    krl = tmp_path / "krl"
    run("ssh-keygen", "-q", "-k", "-f", str(krl), str(tmp_path / "other.pub"))  # not even the server's key
    add(sshd, f"  RevokedHostKeys {krl}")
    text = await refused(host(sshd))
    assert text.endswith(
        f"RevokedHostKeys: {krl} is a key revocation list, which cannot be read here;"
        " expected a text with one public key on each line"
    )
    assert "Accepted publickey" not in sshd.log


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", "missing cannot be read: No such file or directory"),
        ("sshd", "sshd cannot be read: Is a directory"),
        ("nonsense", "nonsense line 2: expected a public key"),
    ],
)
async def test_a_list_that_cannot_be_used_refuses_all(
    sshd: Sshd, revoked: Path, tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "nonsense").write_text("# text\nssh-ed25519 AAAA\n")
    add(sshd, f"  RevokedHostKeys {tmp_path}/{name}")
    assert (await refused(host(sshd))).endswith(f"RevokedHostKeys: {tmp_path}/{problem}")
    assert "Accepted publickey" not in sshd.log


async def test_the_machines_own_configuration_counts_beside_the_users(
    sshd: Sshd, revoked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    shutil.copy(sshd.ssh_config, tmp_path / ".ssh" / "config")
    machine = tmp_path / "machine"
    monkeypatch.setattr(ssh_route, "SYSTEM_CONFIG", str(machine))
    users = SshSettings().config
    assert await enter(host(sshd, config=users)) == "in\n"
    machine.write_text(f"Host *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\n  RevokedHostKeys {revoked}\n")
    assert "is revoked" in await refused(host(sshd, config=users), HostKeyError)
    assert await enter(host(sshd)) == "in\n"  # `ssh -F FILE` does not read it either
