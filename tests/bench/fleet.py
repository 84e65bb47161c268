"""The cost of the console with many applications, in a pseudo terminal of 200 columns and 50 lines.

Forty and a hundred applications with 25 servers each, behind two HAProxies on which everything changes each
second (see `stand_in`): processor time, from a key to the first byte of its answer, and the first paint.
"""

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from backends.haproxy import commands
from console.terminal.output import result
from tests.bench.console import (
    COLUMNS,
    LINES,
    WARM_UP,
    WINDOW,
    report_cpu,
    report_keys,
    report_paint,
    running_stand_in,
)
from tests.bench.cpu_load import load
from tests.support.fleet_world import stand_in_names
from tests.support.free_ports import free_port
from tests.support.rollouts import ROLLDECK
from tests.support.servers.haproxy import haproxy_paths, running_haproxy
from tests.support.terminals import Terminal

SERVERS = 25  # of each application
CPU_TARGET = {40: 5.0, 100: 12.0}  # per cent of one core, by the number of applications
STARTS = 5

CONFIG = """
[journal]
path = "{folder}/journal.db"
[log]
path = "{folder}/rolldeck.log"
[haproxy.lb1]
socket = "unix://{folder}/lb1.sock"
timeout = 10
[haproxy.lb2]
socket = "unix://{folder}/lb2.sock"
timeout = 10
"""
APP = """
[apps.{name}]
backends = ["{name}"]
service = {{ kind = "systemd", name = "{name}" }}
install = {{ kind = "apt", package = "{name}" }}
health = {{ kind = "tcp" }}
"""


def measure() -> bool:
    """Everything; False when a target is missed."""
    good = []
    for count in CPU_TARGET:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            capture = asyncio.run(_capture(Path(folder), stand_in_names(count)))
            good.append(_measure(Path(folder), stand_in_names(count), capture))
    return all(good)


async def _capture(folder: Path, names: list[str]) -> Path:
    """The reply of a real HAProxy with these applications."""
    port = free_port()
    sections = f"frontend all\n    bind 127.0.0.1:{port}\n    http-request return status 200\n"
    for name in names:
        sections += f"backend {name}\n    default-server check inter 1h rise 2 fall 1\n"
        for number in range(1, SERVERS + 1):
            sections += f"    server {name}-{number:02d} 127.0.0.1:{port}\n"
    capture = folder / "capture"
    async with running_haproxy(folder / "h", haproxy_paths()[-1], sections) as real:
        capture.write_text(await real.ask(commands.SEPARATOR.join(commands.snapshot(names))))
    return capture


def _measure(folder: Path, names: list[str], capture: Path) -> bool:
    config = folder / "config.toml"
    apps = "".join(APP.format(name=name) for name in names)
    config.write_text(CONFIG.format(folder=folder) + apps)
    command = [ROLLDECK, "--config", str(config)]
    first, count = names[0].encode(), len(names)
    with contextlib.ExitStack() as running:
        for balancer in ("lb1", "lb2"):
            running.enter_context(running_stand_in(capture, folder / f"{balancer}.sock"))
        paints = []
        for _ in range(STARTS):
            with Terminal(command, COLUMNS, LINES) as terminal:
                paints.append(terminal.until(first, 30))
        what = f"{count} applications with {SERVERS} servers each, all changing"
        result("")
        painted = report_paint(what, paints)
        with Terminal(command, COLUMNS, LINES) as terminal:
            terminal.until(first, 30)
            time.sleep(WARM_UP)
            cpu = report_cpu(what, load(WINDOW, terminal.pid), CPU_TARGET[count])
            return all((painted, cpu, report_keys(terminal)))
