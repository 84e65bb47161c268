"""A fleet for tests and pictures: many applications behind two real HAProxies.

The first applications have real nodes, which can be upgraded. The servers of the others are all answered by
HAProxy itself, so that forty applications cost two processes. `python -m tests.support.fleet_world FOLDER`
runs one with some traffic, and prints the path of its configuration.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.demo.configuration import render_files
from console.demo.haproxy import Checks, HAProxy
from console.demo.load import Address
from console.demo.node import Node
from tests.support.stacks import TunedStack

REAL = ("shop", "cart", "search")
STAND_INS = (
    *("accounts", "api-gateway", "audit", "auth", "billing", "blog", "catalog", "checkout", "comments"),
    *("currency", "delivery", "discounts", "documents", "events", "exports", "favorites", "feed", "forms"),
    *("gifts", "identity", "images", "imports", "inventory", "invoices", "ledger", "login", "mail", "maps"),
    *("media", "metrics", "newsletter", "orders", "payments", "pricing", "profiles", "quotes", "ratings"),
)
"""Names of applications; more than these get numbers."""
DOWN = ("images", 11)  # an application and the number of its server whose check fails

_HEAD = """\
global
    maxconn 2000
    max-spread-checks 200
    stats socket {socket} mode 600 level admin expose-fd listeners
    stats socket ipv4@127.0.0.1:{admin_port} level admin
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 0
frontend www
    bind 127.0.0.1:{port}
{further_binds}    use_backend %[so_name] if {{ so_name -m found }}
    use_backend %[req.hdr(x-app)] if {{ req.hdr(x-app) -m found }}
    default_backend {default}
frontend stand_ins
    bind 127.0.0.1:{stats_port}
    http-request return status 200 content-type application/json lf-string '{answer}'
"""
_ANSWER = '{"status":"UP","version":"%[path,field(3,/)]"}'  # of the path /version/1.2.3
_REAL_BACKEND = """\
backend {name}
    balance roundrobin
    option httpchk GET /health
    default-server check inter {inter}ms rise {rise} fall {fall}
"""
_STAND_IN_BACKEND = """\
backend {name}
    balance roundrobin
"""
_REAL_APP = """
[apps.{name}]
backends = ["{name}"]
[apps.{name}.access]
transport = "ssh"
port_check_from = "console"
[apps.{name}.nodes]
{nodes}
[apps.{name}.service]
kind = "command"
start = "./appctl start"
stop = "./appctl stop"
status = "./appctl status"
pid_file = "app.pid"
[apps.{name}.install]
kind = "symlink"
releases = "releases"
link = "current"
[apps.{name}.health]
kind = "http"
url = "http://{{address}}:{{port}}/health"
json = {{ status = "UP" }}
version_url = "http://{{address}}:{{port}}/version"
version_json = "version"
successes = 2
interval = 0.1
[apps.{name}.rollout]
min_healthy = {quick}
bake_time = {quick}
stop_timeout = 10
start_timeout = 10
verify_timeout = 10
trial = 0
"""
_STAND_IN_APP = """
[apps.{name}]
backends = ["{name}"]
service = {{ kind = "systemd", name = "{name}" }}
install = {{ kind = "apt", package = "{name}" }}
[apps.{name}.health]
kind = "http"
url = "http://{{address}}:{{port}}/health"
version_url = "http://{{address}}:{{port}}/version/{version}"
version_json = "version"
"""
_FREEZE = """
[[apps.{name}.freeze]]
reason = "quarterly accounts"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
"""


def stand_in_names(count: int) -> list[str]:
    """Return so many names of applications."""
    names = list(STAND_INS[:count])
    return names + [f"service-{number:03d}" for number in range(len(names) + 1, count + 1)]


class FleetWorld(TunedStack):
    """A stack with several applications.

    Attributes:
        applications: the names of all of them; the first ones have real nodes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        applications: int = 40,
        real: Sequence[str] = REAL,
        nodes: int = 4,
        servers: int = 25,
        quick_s: float = 0.3,
        check_interval_s: float = 0.2,
        haproxy: str = "haproxy",
    ) -> None:
        """Plan the fleet; nothing is written or started before `async with`.

        Args:
            directory: an empty or missing directory with a short path.
            applications: how many, the real ones included.
            real: the names of those with real nodes.
            nodes: of each real application.
            servers: of each other application.
            quick_s: seconds for which a node must be healthy, and is watched.
            check_interval_s: seconds between two health checks of a real node.
            haproxy: the executable.
        """
        super().__init__(directory, nodes=nodes * len(real), haproxy=haproxy)
        self.start_delay, self.checks = 0.2, Checks(inter=check_interval_s)
        self._real = tuple(real)
        self._stand_ins = tuple(stand_in_names(applications - len(real)))
        self._servers = servers
        self._quick_s = quick_s
        self._ports_of: dict[tuple[str, str], int] = {}  # of a load balancer and a real application
        self.backends = self._real
        self.applications = (*self._real, *self._stand_ins)

    @property
    def frontends(self) -> list[Address]:
        """Host and port of each real application on each HAProxy; `load` uses one port for all of them."""
        return [("127.0.0.1", port) for port in self._ports_of.values()]

    def nodes_of(self, application: str) -> Mapping[str, Node]:
        """Return the real nodes of an application."""
        return {name: node for name, node in self.nodes.items() if name.startswith(f"{application}-")}

    def _plan(self) -> None:
        count = self.node_count // len(self._real)
        for application in self._real:
            for number in range(1, count + 1):
                self._add_node(f"{application}-{number}")
        for name in ("lb1", "lb2"):
            self._add_instance(name)
            for application in self._real:
                self._ports_of[name, application] = self._ports.reserve()

    def _configure(self, instance: HAProxy) -> None:
        instance.executable = self._haproxy
        binds = [
            f"    bind 127.0.0.1:{self._ports_of[instance.name, name]} name {name}\n" for name in self._real
        ]
        text = _HEAD.format(
            socket=instance.socket,
            admin_port=instance.admin_port,
            port=instance.port,
            further_binds="".join(binds),
            stats_port=instance.stats_port,
            default=self._real[0],
            answer=_ANSWER,
        )
        for name in self._real:
            text += _REAL_BACKEND.format(
                name=name, inter=round(self.checks.inter * 1000), rise=self.checks.rise, fall=self.checks.fall
            )
            for node in self.nodes_of(name).values():
                text += f"    server {node.name} 127.0.0.1:{node.port}\n"
        stub = next(iter(self.instances.values())).stats_port
        for name in self._stand_ins:
            text += _STAND_IN_BACKEND.format(name=name)
            for number in range(1, self._servers + 1):
                check = " check port 1 inter 5s fall 1" if (name, number) == DOWN else ""
                text += f"    server {name}-{number:02d} 127.0.0.1:{stub}{check}\n"
        instance.file.write_text(text)

    async def _write_configuration(self) -> None:
        self._write_ssh_files()
        self.config_path.write_text(self._render_config())

    def _render_config(self) -> str:
        text = f"{render_files(self.directory)}\n"
        for name, instance in self.instances.items():
            text += f'[haproxy.{name}]\nsocket = "unix://{instance.socket}"\n'
        for name in self._real:
            nodes = "\n".join(
                f'{node.name} = {{ address = "{node.address}", port = {node.port}, ssh = "{node.name}" }}'
                for node in self.nodes_of(name).values()
            )
            text += _REAL_APP.format(name=name, nodes=nodes, quick=self._quick_s)
        for number, name in enumerate(self._stand_ins):
            text += _STAND_IN_APP.format(name=name, version=f"{number % 4 + 1}.{number % 7}.{number % 3}")
            text += _FREEZE.format(name=name) if name in ("billing", "ledger") else ""
        return text

    async def set_states(self, states: Mapping[str, str]) -> None:
        """Set the state of servers, by "backend/server", on every HAProxy: "maint", "drain", "ready"."""
        for instance in self.instances.values():
            for server, state in states.items():
                await instance.ask(f"set server {server} state {state}")

    async def load(self, rates: Mapping[str, float]) -> None:
        """Send requests until cancelled.

        Args:
            rates: requests per second, by application.
        """
        async with asyncio.TaskGroup() as group:
            for number, (application, rate) in enumerate(rates.items()):
                instance = list(self.instances.values())[number % len(self.instances)]
                group.create_task(_send(instance.port, application, rate))


async def _send(port: int, application: str, rate: float) -> None:
    request = f"GET / HTTP/1.1\r\nHost: fleet\r\nX-App: {application}\r\n\r\n".encode()
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
                    await reader.readexactly(length)
                    await asyncio.sleep(1 / rate)
            finally:
                writer.close()
        await asyncio.sleep(0.1)


async def _run(arguments: argparse.Namespace) -> None:
    world = FleetWorld(
        arguments.folder, applications=arguments.applications, servers=arguments.servers, quick_s=2.0
    )
    async with world:
        rates = {name: 1.0 + number % 9 for number, name in enumerate(world.applications)}
        rates |= dict.fromkeys(REAL, 15.0)
        if arguments.applications > 30:
            await world.set_states({"catalog/catalog-03": "maint", "mail/mail-07": "drain"})
        sys.stdout.write(f"{world.config_path}\n")
        sys.stdout.flush()
        await world.load(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--applications", type=int, default=40)
    parser.add_argument("--servers", type=int, default=25, help="of each application without real nodes")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
