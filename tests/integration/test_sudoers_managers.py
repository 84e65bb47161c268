"""`rolldeck plan --sudoers` with a real systemd and a real Monit: upgrades work with these rules alone."""

import contextlib
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.integration.managed_nodes import configure, log_of_a_version_that_dies, units
from tests.integration.test_sudoers_printed import accept
from tests.support.login_user import NUMBER, machine_with_sudo, needs_sudo, open_folder
from tests.support.rollouts import NEW, OLD, rolldeck, states, tune, upgrade, versions, world
from tests.support.servers.monit import needs_monit, running_monit
from tests.support.servers.systemd import needs_systemd
from tests.support.stacks import kill_application
from tests.support.users import give

pytestmark = [needs_sudo, pytest.mark.long]

CHECK = """\
check process shop-{name} with pidfile {folder}/app.pid
  start program = "{folder}/appctl start" with timeout 2 seconds
  stop program = "{folder}/appctl stop" with timeout 5 seconds
"""
WHERE = pytest.mark.parametrize("everything", [False, True], ids=["the manager", "everything"])


@contextlib.asynccontextmanager
async def place_for(nodes: int = 2) -> AsyncIterator[tuple[Stack, Path]]:
    """A stack in which the login user may replace the links, and a folder that it may enter."""
    with open_folder() as place:
        async with world(place / "s", nodes=nodes, instances=1, port_check_from="node") as stack:
            for node in stack.nodes.values():
                give(node.directory, NUMBER)
            yield stack, place


@contextlib.contextmanager
def reached_by_user(stack: Stack, everything: bool, inside: Sequence[str] = ()) -> Iterator[Path]:
    """All nodes are one machine, into which the user logs in; yields its sudoers file, still empty."""
    folder = stack.directory / "machine"
    with machine_with_sudo(folder, "", inside) as sshd:
        text = stack.config_path.read_text()
        for name in stack.nodes:
            text = text.replace(f'ssh = "{name}"', f'ssh = "{sshd.alias}"')
        stack.config_path.write_text(text)
        own = {"config": sshd.ssh_config, "known_hosts": sshd.known_hosts, "identity": sshd.client_key}
        tune(stack, "ssh", **{key: str(path) for key, path in own.items()})
        tune(stack, "apps.shop.access", prefix="", **({"sudo": True} if everything else {}))
        yield folder / "sudoers"


async def accept_printed(stack: Stack, sudoers: Path) -> str:
    """Print the rules and give them to sudo until they are all there: twice, as the guide says."""
    assert (await rolldeck(stack, "check", "shop", NEW)).code == 3
    for _ in range(2):
        printed = await rolldeck(stack, "plan", "shop", NEW, "--sudoers")
        assert (printed.code, printed.err) == (0, ""), printed.text
        accept(sudoers, printed.out)
    assert (await rolldeck(stack, "plan", "shop", OLD, "--sudoers")).out == printed.out
    return printed.out


async def assert_carried(stack: Stack, line: str) -> None:
    """Up and down again; then a version that dies, and this line of the log that the manager has."""
    for version in (NEW, OLD):
        run = await upgrade(stack, version)
        assert run.code == 0, run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, version)
        assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
    log = await log_of_a_version_that_dies(stack)
    assert any(line in words for words in log), log
    back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
    assert back.code == 0, back.text
    assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


@needs_systemd
@WHERE
async def test_units_of_systemd(everything: bool) -> None:
    async with place_for() as (stack, place):
        with units(stack, place) as systemd:
            if not everything:
                tune(stack, "apps.shop.service", command="sudo -n systemctl")
            systemd.run("mkdir", "-p", "/run/sshd")
            with reached_by_user(stack, everything, shlex.split(systemd.prefix)) as sudoers:
                rules = await accept_printed(stack, sudoers)
                assert ("/bin/sh" in rules) is everything
                await assert_carried(stack, "cannot read the configuration")


@needs_monit
@WHERE
async def test_services_of_monit(everything: bool) -> None:
    async with place_for() as (stack, place):
        (place / "m").mkdir(mode=0o755)
        checks = [CHECK.format(name=name, folder=node.directory) for name, node in stack.nodes.items()]
        with running_monit(place / "m", name="other", more="".join(checks)) as monit:
            configure(stack, "monit", "shop-{node}", f'command = "{monit.command}"\n')
            if not everything:
                tune(stack, "apps.shop.service", command=f"sudo -n {monit.command}")
            with reached_by_user(stack, everything) as sudoers:
                rules = await accept_printed(stack, sudoers)
                assert ("/bin/sh" in rules) is everything
                try:
                    await assert_carried(stack, "'shop-web1' start")
                finally:
                    for node in stack.nodes.values():
                        kill_application(node)  # Monit's, which is waited for
