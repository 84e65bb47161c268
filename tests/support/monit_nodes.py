"""A classic set-up for tests: services of a real Monit on each node, reached through a real OpenSSH."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from console.demo.node import Node
from console.demo.stack import Stack
from tests.support.servers.monit import REAPER
from tests.support.servers.sshd import Sshd, running_sshd
from tests.support.stacks import kill_application

CONTROL = """\
set daemon {cycle_s}
set log {folder}/monit.log
set pidfile {folder}/monit.pid
set idfile {folder}/monit.id
set statefile {folder}/monit.state
set httpd unixsocket {folder}/m.sock allow localhost
check process shop with pidfile {folder}/app.pid
  start program = "/bin/sh -c 'sleep {delay_s}; exec {folder}/appctl start'" with timeout {start_s} seconds
  stop program = "/bin/sh -c 'sleep {delay_s}; exec {folder}/appctl stop'" with timeout 5 seconds
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
def watched_by_monit(
    node: Node, cycle_s: int = 1, delay_s: float = 0.0, start_timeout_s: int = 20
) -> Iterator[None]:
    """A Monit of its own looks after the node's application; `bin/monit` there is the one to call."""
    folder = node.directory
    control = folder / "monitrc"
    control.touch(mode=0o600)  # Monit refuses one that others can read
    settings = {"cycle_s": cycle_s, "delay_s": delay_s, "start_s": start_timeout_s}
    control.write_text(CONTROL.format(folder=folder, **settings))
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
        deadline = time.monotonic() + 60
        while b"OK" not in subprocess.run([command, "status"], capture_output=True).stdout:
            assert time.monotonic() < deadline, (folder / "monit.log").read_text()
            time.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((folder / "monit.pid").read_text()), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while reaper.poll() is None:  # a start that is under way does not end with Monit
            assert time.monotonic() < deadline, f"{node.name} cannot be ended"
            kill_application(node)
            time.sleep(0.02)


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
    ssh_config.write_text("".join(sshd.ssh_config.read_text() for sshd in sshds.values()))
    _, haproxy, tail = head.partition("[haproxy.")
    ssh = f'[ssh]\nconfig = "{ssh_config}"\n\n'
    stack.config_path.write_text(ssh + haproxy + tail + SECTIONS.format(directory=stack.directory) + rest)


@contextlib.contextmanager
def monit_nodes(
    stack: Stack, tmp_path: Path, cycle_s: int = 1, start_timeout_s: int = 20
) -> Iterator[dict[str, Sshd]]:
    """Every node of the stack is reached through an sshd of its own, and its service is Monit's."""
    with contextlib.ExitStack() as parts:
        sshds = {
            name: parts.enter_context(running_sshd(tmp_path, alias=f"real-{name}", name=f"sshd-{name}"))
            for name in stack.nodes
        }
        for node in stack.nodes.values():
            parts.enter_context(watched_by_monit(node, cycle_s, start_timeout_s=start_timeout_s))
        use_monit_over(stack, sshds)
        yield sshds
