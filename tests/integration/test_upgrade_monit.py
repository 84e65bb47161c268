"""The classic set-up under load: services of a real Monit on each node, reached through a real OpenSSH."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.node import Node
from console.demo.stack import Stack
from tests.integration.rollouts import (
    MAINT,
    NEW,
    OLD,
    assert_nothing_failed,
    states,
    tune,
    upgrade,
    versions,
    world,
)
from tests.monits import REAPER
from tests.sshds import Sshd, running_sshd

CONTROL = """\
set daemon {cycle_s}
set log {folder}/monit.log
set pidfile {folder}/monit.pid
set idfile {folder}/monit.id
set statefile {folder}/monit.state
set httpd unixsocket {folder}/m.sock allow localhost
check process shop with pidfile {folder}/app.pid
  start program = "{folder}/appctl start" with timeout 20 seconds
  stop program = "{folder}/appctl stop" with timeout 5 seconds
"""
SECTIONS = """\
[apps.shop.service]
kind = "monit"
name = "shop"

[apps.shop.install]
kind = "symlink"
releases = "{directory}/{{node}}/releases"
link = "{directory}/{{node}}/current"

"""


@contextlib.contextmanager
def watched_by_monit(node: Node, cycle_s: int = 1) -> Iterator[None]:
    """A Monit of its own looks after the node's application; `bin/monit` there is the one to call."""
    folder = node.directory
    control = folder / "monitrc"
    control.touch(mode=0o600)  # Monit refuses one that others can read
    control.write_text(CONTROL.format(folder=folder, cycle_s=cycle_s))
    command = folder / "bin" / "monit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec /usr/bin/monit -c {control} "$@"\n')
    command.chmod(0o755)
    reaper = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", REAPER, str(command), "-I"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while b"OK" not in subprocess.run([command, "status"], capture_output=True).stdout:
            assert time.monotonic() < deadline, (folder / "monit.log").read_text()
            time.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((folder / "monit.pid").read_text()), signal.SIGKILL)
        node.kill()
        reaper.wait(10)


def use_monit_over(stack: Stack, sshds: dict[str, Sshd]) -> None:
    """Rewrite the configuration: Monit as service, and these sshds as the way to the nodes."""
    text = stack.config_path.read_text()
    head, _, rest = text.partition("[apps.shop.service]\n")
    rest = rest[rest.index("[apps.shop.health]\n") :]
    for name, node in stack.nodes.items():
        old = f'ssh = "{name}"'
        assert old in head
        path = f"{node.directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        head = head.replace(old, f'ssh = "{sshds[name].alias}", prefix = "env PATH={path}"')
    ssh_config = stack.directory / "openssh_config"
    ssh_config.write_text("".join(each.ssh_config.read_text() for each in sshds.values()))
    _, haproxy, tail = head.partition("[haproxy.")
    ssh = f'[ssh]\nconfig = "{ssh_config}"\n\n'
    stack.config_path.write_text(ssh + haproxy + tail + SECTIONS.format(directory=stack.directory) + rest)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"  # short: unix sockets will be in it


@contextlib.contextmanager
def monit_nodes(stack: Stack, tmp_path: Path, cycle_s: int = 1) -> Iterator[None]:
    with contextlib.ExitStack() as parts:
        sshds = {
            name: parts.enter_context(running_sshd(tmp_path, alias=f"real-{name}", name=f"sshd-{name}"))
            for name in stack.nodes
        }
        for node in stack.nodes.values():
            parts.enter_context(watched_by_monit(node, cycle_s))
        use_monit_over(stack, sshds)
        yield


async def test_monit_over_openssh(tmp_path: Path, place: Path) -> None:
    async with world(place, nodes=2) as stack:
        with monit_nodes(stack, tmp_path):
            async with Load(100, stack.frontends) as load:
                run = await upgrade(stack)
                report = await load.stop()
            assert run.code == 0, run.text
            assert_nothing_failed(report, at_least=100)
            assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
            assert {each.admin for own in (await states(stack)).values() for each in own.values()} == {0}
    asked = [(where, command) for where, command in run.sent if "monit s" in command]
    assert [where for where, _ in asked] == ["web1", "web1", "web2", "web2"]
    assert [command.split()[-2:] for _, command in asked] == [["stop", "shop"], ["start", "shop"]] * 2


async def test_a_version_that_monit_restarts_again_and_again(tmp_path: Path, place: Path) -> None:
    """It lives for a third of a second each time, and Monit says OK in between: several looks tell."""
    async with world(place, nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", start_timeout=4, verify_timeout=4)
        tune(stack, "apps.shop.health", successes=3, interval=0.5)  # the defaults: longer than it lives
        stack.add_release(NEW, exit_after=0.3, start_delay=0.0)
        with monit_nodes(stack, tmp_path):
            async with Load(100, stack.frontends, slow_share=0.01) as load:
                run = await upgrade(stack)
                report = await load.stop()
            assert run.code == 1, run.text
            assert_nothing_failed(report, at_least=100)
            assert run.ended["failed"] == ["web1"]
            assert (await states(stack))["lb1"]["web1"].admin == MAINT
            assert await stack.running_version("web2") == OLD


@pytest.mark.parametrize("cycle_s", [1, 60], ids=["Monit starts it again", "Monit has not noticed"])
async def test_a_version_that_dies_before_it_listens_is_not_waited_for(
    tmp_path: Path, place: Path, cycle_s: int
) -> None:
    """Monit tries for ever, or calls it running until its next look: neither is waited for."""
    async with world(place, nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", start_timeout=300, start_grace=3)
        dying = "import time\ntime.sleep(2)\nraise SystemExit(1)\n"
        (stack.nodes["web1"].directory / "releases" / NEW / "app.py").write_text(dying)
        with monit_nodes(stack, tmp_path, cycle_s):
            run = await upgrade(stack)
            assert run.code == 1, run.text
            [failed] = [event for event in run.events if event["event"] == "node_failed"]
            assert failed["step"] == "start"
            assert "the service died, and was not up again within 3 s" in failed["error"]
            if cycle_s > 1:
                assert "has ended, port" in failed["error"]
            assert (await states(stack))["lb1"]["web1"].admin == MAINT
            assert await stack.running_version("web2") == OLD
