"""The service managers of a case: the demo's commands, or a real service manager."""

import contextlib
import json
import shlex
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from console.demo.node import Node
from console.demo.stack import Stack
from tests.support.monit_nodes import watched_by_monit
from tests.support.rollouts import tune
from tests.support.servers import docker_engine
from tests.support.servers.systemd import running_systemd
from tests.support.stacks import kill_application

Manager = Literal["command", "monit", "systemd", "docker"]

DELAY_S = 0.4  # that a start and a stop take at least where they can, so that a fault can strike in them
STOP_LIMIT_S = 2  # until systemd and Docker kill what does not end by itself; Monit never does

UNIT = """\
[Service]
WorkingDirectory={directory}
ExecStartPre=/bin/sleep {delay_s}
ExecStart={application}
ExecStop=/bin/sleep {delay_s}
TimeoutStopSec={stop_limit_s}
Restart=always
RestartSec=200ms

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Managed:
    """How a manager is reached, and what a test asks of it.

    Attributes:
        service: the table `[apps.shop.service]`, for a login into the node's directory.
        restart: ends the service of a node and starts what is installed.
    """

    service: Mapping[str, object]
    restart: Callable[[Node], Awaitable[object]]


@contextlib.contextmanager
def managed(stack: Stack, manager: Manager) -> Iterator[Managed]:
    """The manager looks after the service of every node until the block ends; the configuration says so."""
    with _MANAGERS[manager](stack) as chosen:
        head, _, rest = stack.config_path.read_text().partition("[apps.shop.service]\n")
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in chosen.service.items())
        tail = rest[rest.index("\n[") :]
        stack.config_path.write_text(f"{head}[apps.shop.service]\n{lines}{tail}")
        yield chosen


@contextlib.contextmanager
def _by_commands(stack: Stack) -> Iterator[Managed]:
    async def restart(node: Node) -> None:
        kill_application(node)
        await node.appctl("start")

    service = {
        "kind": "command",
        "start": f"sleep {DELAY_S}; ./appctl start",
        "stop": f"sleep {DELAY_S}; ./appctl stop",
        "status": "./appctl status",
        "pid_file": "app.pid",
    }
    yield Managed(service, restart)


@contextlib.contextmanager
def _by_monit(stack: Stack) -> Iterator[Managed]:
    async def restart(node: Node) -> None:
        kill_application(node)
        await node.appctl("start")

    with contextlib.ExitStack() as monits:
        for node in stack.nodes.values():
            monits.enter_context(watched_by_monit(node, delay_s=DELAY_S))
        yield Managed({"kind": "monit", "name": "shop", "command": "bin/monit"}, restart)


@contextlib.contextmanager
def _by_systemd(stack: Stack) -> Iterator[Managed]:
    with tempfile.TemporaryDirectory(prefix="systemd-") as folder:
        with running_systemd(Path(folder), stack.directory) as systemd:

            async def restart(node: Node) -> None:
                systemd.systemctl("restart", f"shop-{node.name}.service")

            for name, node in stack.nodes.items():
                kill_application(node)
                application = shlex.join(_application(node))
                unit = UNIT.format(
                    directory=node.directory,
                    application=application,
                    delay_s=DELAY_S,
                    stop_limit_s=STOP_LIMIT_S,
                )
                systemd.write_unit(f"shop-{name}.service", unit)
            systemd.systemctl("daemon-reload")
            systemd.systemctl("enable", "--quiet", "--now", *(f"shop-{name}" for name in stack.nodes))
            tune(stack, "apps.shop.access", prefix=systemd.prefix)
            yield Managed({"kind": "systemd", "name": "shop-{node}.service"}, restart)


@contextlib.contextmanager
def _by_docker(stack: Stack) -> Iterator[Managed]:
    """The containers have this machine's programs, and the nodes' folders."""
    places = {"/usr", "/lib", "/lib64", "/etc", sys.base_prefix}
    mounts = [f"--volume={place}:{place}:ro" for place in places]
    with docker_engine.docker() as engine:

        async def restart(node: Node) -> None:
            engine.call("restart", f"shop-{node.name}")

        for name, node in stack.nodes.items():
            kill_application(node)
            options = (
                *mounts,
                f"--volume={node.directory}:{node.directory}",
                f"--workdir={node.directory}",
                "--restart=unless-stopped",
            )
            engine.run(f"shop-{name}", f"sleep {DELAY_S}; exec {shlex.join(_application(node))}", *options)
        service = {
            "kind": "container",
            "name": "shop-{node}",
            "engine_options": engine.options,
            "stop_timeout": STOP_LIMIT_S,
        }
        yield Managed(service, restart)


def _application(node: Node) -> tuple[str, ...]:
    """Its command; the release is chosen by the link, at each start anew.

    The virtual environment may be below `/tmp`, of which systemd and containers here have their own.
    """
    return (
        str(Path(sys.executable).resolve()),
        "-S",
        "-E",
        f"{node.directory}/current/app.py",
        node.name,
        str(node.port),
    )


_MANAGERS: Mapping[Manager, Callable[[Stack], AbstractContextManager[Managed]]] = {
    "command": _by_commands,
    "monit": _by_monit,
    "systemd": _by_systemd,
    "docker": _by_docker,
}
COLUMNS: Mapping[Manager, str] = {
    "command": "Commands",
    "monit": "Monit",
    "systemd": "systemd",
    "docker": "Docker",
}
