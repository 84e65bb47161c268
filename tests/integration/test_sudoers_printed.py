"""`rolldeck plan --sudoers` with a real sudo, sshd and unprivileged user: enough, and no more."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.command import Command
from backends.errors import RolldeckError, UnreadableReply
from backends.hosts.ports import NodeConnections, NodePort
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.hosts.sudo import SudoCall, build_rule
from backends.installers.command import CommandInstall
from backends.installers.versions import FileVersion
from backends.kinds import make_installer
from backends.node_state import Activity, HealthResult, Presence
from backends.services.command import CommandService, CommandSettings
from backends.templates import VERSION_PATTERN
from console.demo.stack import Stack
from orchestrator.node import Node
from orchestrator.preflight.dry_run import find_sudo_rules
from tests.support.login_user import NAME, machine_with_sudo, needs_sudo, open_folder
from tests.support.rollouts import NEW, OLD, rolldeck, world
from tests.support.servers.sshd import Sshd

pytestmark = needs_sudo

SECTIONS = """\
[apps.shop.service]
kind = "command"
start = "sudo -n {place}/{{node}}/appctl start"
stop = "sudo -n {place}/{{node}}/appctl stop"
status = "sudo -n -u root -- {place}/{{node}}/appctl status"

[apps.shop.install]
kind = "command"
run = "sudo -n {place}/{{node}}/install releases/{{version}} --why=a,b:c"
prefetch = "sudo -n test -d {place}/{{node}}/releases/{{version}}"

[apps.shop.version]
kind = "command"
run = "sudo -n readlink {place}/{{node}}/current"
pattern = "releases/(.+)"

"""


@pytest.fixture
async def stack() -> AsyncIterator[tuple[Stack, Path]]:
    """Nodes that are reached as a user who may do nothing, until the sudoers file there says otherwise."""
    with open_folder() as place, machine_with_sudo(place / "machine", "") as sshd:
        async with world(place / "s", nodes=2) as stack:
            _use(stack, sshd)
            yield stack, place / "machine" / "sudoers"


def _use(stack: Stack, sshd: Sshd) -> None:
    for node in stack.nodes.values():
        script = node.directory / "install"
        script.write_text(
            f'#!/bin/sh\ncd {node.directory} && [ "$2" = --why=a,b:c ] && ln -sfn "$1" current\n'
        )
        script.chmod(0o755)
    text = stack.config_path.read_text()
    head, _, rest = text.partition("[apps.shop.service]\n")
    rest = rest[rest.index("[apps.shop.health]\n") :]
    for name in stack.nodes:
        head = head.replace(f'ssh = "{name}"', f'ssh = "{sshd.alias}"')
    _, haproxy, tail = head.partition("[haproxy.")
    ssh = f'[ssh]\nconfig = "{sshd.ssh_config}"\n\n'
    stack.config_path.write_text(ssh + haproxy + tail + SECTIONS.format(place=stack.directory) + rest)


def accept(sudoers: Path, text: str) -> None:
    """Write them in place, as the file is mounted, once visudo has found nothing wrong with them."""
    sudoers.with_name("printed").write_text(text)
    subprocess.run(["visudo", "-c", "-f", sudoers.with_name("printed")], check=True, capture_output=True)
    sudoers.write_text(f"Defaults !syslog\n{text}")


async def test_an_upgrade_with_the_printed_rules_alone(stack: tuple[Stack, Path]) -> None:
    world, sudoers = stack
    refused = await rolldeck(world, "check", "shop", NEW)
    assert refused.code == 3
    assert "a password is required" in refused.text
    printed = await rolldeck(world, "plan", "shop", NEW, "--sudoers")
    assert (printed.code, printed.err) == (0, ""), printed.out
    assert f"{NAME} ALL=(root) NOPASSWD: {world.directory}/web1/appctl start\n" in printed.out
    assert NEW not in printed.out, "the rules are for all versions"
    accept(sudoers, printed.out)
    for version in (NEW, OLD):
        run = await rolldeck(world, "upgrade", "shop", version, "--yes", "--json")
        assert run.code == 0, run.text
    assert (await rolldeck(world, "plan", "shop", NEW, "--sudoers")).out == printed.out
    first, *rest = printed.out.splitlines()
    accept(sudoers, "\n".join([first, *(line for line in rest if "appctl stop" not in line)]) + "\n")
    refused = await rolldeck(world, "check", "shop", NEW)
    assert refused.code == 3
    assert "the command for stop" in refused.text


AWKWARD = (
    ("",),
    ("-a,b:c=d", "x\\y", "#z", "q*", "[r]?", "!s", "^t$"),
    ("two  blanks", ' "quoted" ', "a\nb\tc"),
    ("^whole$",),
    ("{1}", "(2|3)", "$HOME", "~"),
)


async def test_a_rule_means_its_own_arguments_alone() -> None:
    with open_folder() as place:
        calls = [SudoCall("env", ("true", *arguments)) for arguments in AWKWARD]
        bare = SudoCall("/usr/bin/id", ())
        rules = [build_rule(NAME, call, "/usr/bin/env", {}) for call in calls]
        rules += [build_rule(NAME, bare, "/usr/bin/id", {})]
        version = SudoCall("/usr/bin/expr", ("x\n+", "shop=1.5.0", "#,:=\\", "(a|b)"))
        rules += [build_rule(NAME, version, "/usr/bin/expr", {"1.5.0": VERSION_PATTERN})]
        with machine_with_sudo(place / "m", "") as sshd:
            accept(place / "m" / "sudoers", "\n".join(rules) + "\n")
            host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))

            async def allowed(*argv: str) -> bool:
                return (await host.run(Command(("sudo", "-n", "-l", "--", *argv)))).ok

            try:
                for call in calls:
                    assert await allowed("env", *call.arguments), call
                    assert not await allowed("env", *call.arguments, "more"), call
                assert await allowed("id")
                assert not await allowed("id", "-u")
                for wanted in ("shop=1.5.0", "shop=2:7~rc1"):
                    assert await allowed("expr", "x\n+", wanted, "#,:=\\", "(a|b)"), wanted
                for wanted in ("other=1.5.0", "shop=1.5.0 -x", "shop=", "shop=-x", "shop=$(id)"):
                    assert not await allowed("expr", "x\n+", wanted, "#,:=\\", "(a|b)"), wanted
            finally:
                await host.close()


class Healthy:
    """Implements `HealthCheck`."""

    async def check(self) -> HealthResult:
        return HealthResult(True, "200 OK")

    async def read_version(self) -> str | None:
        return (await self.check()).version


def node_of(host: SshHost, place: Path) -> Node:
    """A node whose service is a file."""
    file = place / "runs"
    service = CommandSettings(start=f"touch {file}", stop=f"rm -f {file}", status=f"test -f {file}")
    recipe = CommandInstall(run=f"echo {{version}} >{place}/version", exists="test {version} != 2.0")
    return Node(
        name="web1",
        addresses=frozenset(),
        port=9,
        servers=(),
        host=host,
        service=CommandService(host, service, {}),
        port_probe=NodePort(host, 9),
        installer=make_installer(
            recipe, FileVersion(path=f"{place}/version"), host=host, console=host, values={}
        ),
        health=Healthy(),
        connections=NodeConnections(host, 9),
    )


async def test_sudo_before_everything_has_rules_too() -> None:
    with open_folder() as place, machine_with_sudo(place / "m", "") as sshd:
        host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)), sudo=True)
        node = node_of(host, place)
        try:
            [found] = await find_sudo_rules([node], "1.5.0")
            assert found.problems == ()
            assert not (place / "version").exists(), "nothing was changed"
            with pytest.raises(RolldeckError):
                await node.service.state()
            accept(place / "m" / "sudoers", "\n".join(found.rules) + "\n")
            assert [*await node.service.obstacles()] == []
            await node.service.start()
            assert (await node.service.state()).activity is Activity.RUNNING
            await node.service.stop()
            assert (await node.service.state()).activity is Activity.STOPPED
            await node.installer.install("1.6.0")
            assert await node.installer.installed() == "1.6.0"
            assert (await node.installer.check_availability("2.0")).presence is Presence.NOT_THERE
            assert not await node.port_probe.is_open()
            assert node.connections is not None
            with pytest.raises(UnreadableReply, match="nothing listens on port 9"):
                await node.connections.count()
            assert await host.alive(os.getpid())
            assert not await host.alive(2**22 + 1, 7)
            assert not (await host.run(Command(("true",)))).ok
        finally:
            await host.close()
