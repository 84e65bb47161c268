"""What sudo would refuse, asked of a real one as an unprivileged user: nothing is run to find it out."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.command import Command
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.services.command import CommandService, CommandSettings
from tests.support.login_user import machine_with_sudo, needs_sudo, open_folder
from tests.support.servers.sshd import Sshd

pytestmark = needs_sudo

ALLOWED = "rolldeck ALL=(root) NOPASSWD: {ctl}\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[tuple[Path, Sshd]]:
    with open_folder() as place, machine_with_sudo(place, "") as sshd:
        ctl = place / "ctl"
        ctl.write_text(f'#!/bin/sh\necho "$@" >>{place}/called\n')
        ctl.chmod(0o755)
        yield place, sshd


@asynccontextmanager
async def logged_in(
    machine: tuple[Path, Sshd], sudoers: str, *, sudo: bool = False
) -> AsyncIterator[SshHost]:
    place, sshd = machine
    rules = place / "sudoers"  # written in place, for it is mounted
    rules.write_text("Defaults !syslog\n" + sudoers.format(ctl=place / "ctl"))
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)), sudo=sudo)
    try:
        yield host
    finally:
        await host.close()


@pytest.mark.parametrize(
    ("sudoers", "refused"),
    [
        ("", ["sudo: a password is required"] * 2),
        (ALLOWED, []),
        ("rolldeck ALL=(root) NOPASSWD: ALL\n", []),
        ("Defaults:rolldeck !authenticate\nrolldeck ALL=(root) ALL\n", []),
        ("rolldeck ALL=(root) NOPASSWD: {ctl} start\n", ["this login may not run it"]),
        ("rolldeck ALL=(root) NOPASSWD: /bin/true\n", ["this login may not run it"] * 2),
        ("rolldeck ALL=(root) ALL, NOPASSWD: {ctl} start\n", ["a password is required"]),
        ("rolldeck ALL=(root) ALL\nrolldeck ALL=(root) NOPASSWD: {ctl} st*\n", []),
    ],
)
async def test_sudo_in_the_commands(machine: tuple[Path, Sshd], sudoers: str, refused: list[str]) -> None:
    ctl = machine[0] / "ctl"
    settings = CommandSettings(start=f"sudo -n {ctl} start", stop=f"sudo -n {ctl} stop", status="true")
    async with logged_in(machine, sudoers) as host:
        found = await CommandService(host, settings, {}).obstacles()
        assert [text.rpartition("`: ")[2] for text in found] == refused, found
        assert not (machine[0] / "called").exists()
        for action, command in (("stop", settings.stop), ("start", settings.start)):
            says_no = any(f"for {action}," in text for text in found)
            assert (await host.run(Command.shell(command))).ok is not says_no, "sudo itself thinks otherwise"
    with contextlib.suppress(FileNotFoundError):
        (machine[0] / "called").unlink()


async def test_options_of_sudo(machine: tuple[Path, Sshd]) -> None:
    """`sudo -l` refuses many of them with its usage, and that says nothing of the command."""
    ctl = str(machine[0] / "ctl")
    async with logged_in(machine, "rolldeck ALL=(ALL) NOPASSWD: ALL\n") as host:
        for options in (
            ["-n", "-E"],
            ["-n", "-H"],
            ["-n", "-u", "nobody"],
            ["-n", "-i"],
            ["-nb"],
            ["-D", "/"],
            [],
        ):
            assert await host.sudo_refusal(Command(("sudo", *options, ctl, "stop"))) == "", options
    async with logged_in(machine, "rolldeck ALL=(root) NOPASSWD: ALL\n") as host:
        command = Command(("sudo", "-n", "-u", "nobody", ctl, "stop"))
        assert await host.sudo_refusal(command) == "this login may not run it"
    assert not (machine[0] / "called").exists()


async def test_sudo_of_the_host(machine: tuple[Path, Sshd]) -> None:
    command = Command((str(machine[0] / "ctl"), "stop"))
    async with logged_in(machine, ALLOWED, sudo=True) as host:
        assert await host.sudo_refusal(command) == ""
        # A tracked command has a shell before it, which these rules do not allow.
        assert await host.sudo_refusal(command, track=True) == "this login may not run it"
        assert "command not found" in await host.sudo_refusal(Command(("no-such-program", "stop")))
    async with logged_in(machine, "", sudo=True) as host:
        assert "a password is required" in await host.sudo_refusal(command)
    assert not (machine[0] / "called").exists()
