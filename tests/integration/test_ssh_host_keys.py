"""Host keys on a real OpenSSH server: which are trusted, and advice that helps where none is."""

import asyncio
import shlex
from pathlib import Path

import pytest

from backends.command import Command
from backends.errors import HostKeyError
from backends.hosts import known_hosts, ssh_connect
from backends.hosts.ssh import SshHost
from tests.integration.ssh_logins import enter, fingerprint, refused, run, settings
from tests.support.servers.sshd import Sshd

TRUE = Command(("true",))


async def test_an_unknown_host_key(sshd: Sshd) -> None:
    sshd.known_hosts.write_text("other.example ssh-ed25519 AAAA\n")
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    assert f"the host key of [127.0.0.1]:{sshd.port} is not known" in text
    assert f"ssh-ed25519 {fingerprint(sshd.host_key)}" in text
    assert str(sshd.known_hosts) in text
    assert f"ssh -F {sshd.ssh_config} -o StrictHostKeyChecking=ask node true" in text


async def test_a_changed_host_key(sshd: Sshd) -> None:
    before = fingerprint(sshd.host_key)
    sshd.change_host_key()
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    assert f"the host key of [127.0.0.1]:{sshd.port} HAS CHANGED" in text
    assert f"offers ssh-ed25519 {fingerprint(sshd.host_key)}" in text
    assert f"{sshd.known_hosts} line 2 says ssh-ed25519 {before}" in text
    forget = f"ssh-keygen -R '[127.0.0.1]:{sshd.port}' -f {sshd.known_hosts}"
    assert forget in text
    run(*shlex.split(forget))
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    assert "is not known" in text  # what it told us to do helped


async def test_a_host_known_by_a_key_of_another_type_has_changed(sshd: Sshd, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(other))
    public = other.with_suffix(".pub").read_text()
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {public}")
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    assert f"HAS CHANGED: it offers ssh-ed25519 {fingerprint(sshd.host_key)}" in text
    assert f"line 1 says ecdsa-sha2-nistp256 {fingerprint(other)}" in text


async def test_a_hashed_host_is_recognized(sshd: Sshd) -> None:
    run("ssh-keygen", "-H", "-f", str(sshd.known_hosts))
    assert "127.0.0.1" not in sshd.known_hosts.read_text()
    assert await enter(SshHost("web1", sshd.alias, settings(sshd))) == "in\n"


async def test_a_revoked_host_key(sshd: Sshd) -> None:
    known = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text(known + known.replace("[127", "@revoked [127"))
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    assert "revoked" in text


async def test_lines_that_make_no_sense_do_not_hide_the_others(sshd: Sshd) -> None:
    sshd.known_hosts.write_text("garbage\n@what x y\n" + sshd.known_hosts.read_text())
    assert await enter(SshHost("web1", sshd.alias, settings(sshd))) == "in\n"


@pytest.mark.parametrize("nobody", ["none", "/dev/null"])
async def test_a_configuration_that_trusts_everybody_is_not_followed(sshd: Sshd, nobody: str) -> None:
    lax = sshd.ssh_config.read_text().replace(str(sshd.known_hosts), nobody)
    sshd.ssh_config.write_text(f"{lax}  StrictHostKeyChecking no\n")
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    assert "is not known" in text


@pytest.mark.parametrize("nobody", ["none", "/dev/null"])
async def test_the_advice_for_a_configuration_that_keeps_no_keys_helps(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    """As Vagrant writes it: what `ssh ... true` adds goes nowhere, unless it is told where."""
    kept = str(tmp_path / "kept")
    monkeypatch.setattr(ssh_connect, "USER_FILES", (kept,))
    monkeypatch.setattr(known_hosts, "USER_FILES", (kept,))
    lax = sshd.ssh_config.read_text().replace(str(sshd.known_hosts), nobody)
    sshd.ssh_config.write_text(f"{lax}  StrictHostKeyChecking no\n")
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    _, _, advice = text.partition("and add it: ")
    command, _, key = advice.partition(", and set `")
    assert key.startswith(f'known_hosts = "{kept}"` in [ssh], because UserKnownHostsFile of the ssh')
    await follow(command)
    assert await enter(SshHost("web1", sshd.alias, settings(sshd, known_hosts=kept))) == "in\n"


@pytest.mark.parametrize("checking", ["yes", "no", "ask"])
async def test_the_advice_helps_however_strictly_ssh_checks(sshd: Sshd, checking: str) -> None:
    sshd.known_hosts.write_text("")
    sshd.ssh_config.write_text(f"{sshd.ssh_config.read_text()}  StrictHostKeyChecking {checking}\n")
    text = await refused(SshHost("web1", sshd.alias, settings(sshd)), HostKeyError)
    await follow(text.partition("and add it: ")[2])
    assert await enter(SshHost("web1", sshd.alias, settings(sshd))) == "in\n"


async def follow(command: str) -> None:
    """Do what was advised, and say yes: without a terminal ssh cannot ask."""
    assert "StrictHostKeyChecking=ask" in command
    argv = shlex.split(command.replace("StrictHostKeyChecking=ask", "StrictHostKeyChecking=accept-new"))
    await asyncio.to_thread(run, *argv)
