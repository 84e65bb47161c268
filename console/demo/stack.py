"""The demo's stack: real HAProxies in front of real nodes, all on loopback and in one directory.

```
load ──> lb1, lb2 (HAProxy) ──> web1 ... web4 (one app.py each; commands go by SSH)
```
Nothing outside the directory is touched. Whatever happens to the process that made the stack, all of it is
ended: by `Stack.__aexit__` after an end, an exception, a cancellation or Ctrl-C, and otherwise by
`console.demo.watchdog`.
"""

import asyncio
import random
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from console.demo import watchdog
from console.demo.configuration import render_known_hosts, render_rolldeck_config, render_ssh_config
from console.demo.consul import DevAgent
from console.demo.haproxy import BACKEND, Checks, HAProxy, search_path
from console.demo.load import Address
from console.demo.node import FAULTY, Node, Release
from console.demo.sshd import SSHHost

_PORTS = range(10_000, 32_000)  # below Linux's ephemeral range: no outgoing connection takes one meanwhile


class ReservedPorts:
    """Ports that no other process is given until they are released.

    Each port is bound but not listened on, so it appears closed. A server that sets SO_REUSEADDR (as ours,
    HAProxy, sshd, Consul and Monit do) can listen on it, and no other process gets it while that server is
    down.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def reserve(self) -> int:
        """Reserve a free port and return it. Raises OSError when none is found."""
        for port in random.sample(_PORTS, 200):
            with socket.socket() as probe:  # without SO_REUSEADDR: fails when anybody has it
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            reserved = socket.socket()
            self._sockets.append(reserved)
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", port))
            return port
        raise OSError("no free loopback port found")

    def release(self) -> None:
        """Release all of them."""
        while self._sockets:
            self._sockets.pop().close()


Transport = Literal["unix", "tcp", "ssh"]
"""How Rolldeck reaches the Runtime API: unix socket, TCP port, or the socket through SSH."""


class Stack:
    """Asynchronous context manager in which all servers of the demo run and are UP.

    What the stack consists of is in class attributes, for a subclass to set.

    Attributes:
        node_count: how many nodes.
        instance_count: how many HAProxies.
        versions: the releases on every node; the first one runs.
        start_delay: seconds each release takes to open its port.
        checks: HAProxy's health checks of the servers.
        directory: where everything is.
        nodes: by name, ``web1`` and so on.
        instances: the HAProxies by name, ``lb1`` and so on.
        backends: their names; each has all nodes.
        ssh_hosts: SSH servers by alias: one for each node, and one for each HAProxy's machine.
        config_path: Rolldeck's configuration for this stack.
    """

    node_count = 4
    instance_count = 2
    versions: Sequence[str] = ("1.4.2", "1.5.0")
    start_delay = 0.3
    checks = Checks()
    backends: Sequence[str] = (BACKEND,)

    def __init__(
        self, directory: Path, *, transport: Transport = "unix", consul: bool = False, paced: bool = False
    ) -> None:
        """Plan the stack; nothing is written or started before `async with`.

        Args:
            directory: an empty or missing directory with a short path, because of the sockets in it.
            transport: how Rolldeck is to reach the Runtime API.
            consul: run a Consul agent that has nodes, HAProxies and the lock.
            paced: configure Rolldeck for websockets, see `render_rolldeck_config`.
        """
        self.directory = directory.resolve()
        self.config_path = self.directory / "config.toml"
        self.nodes: dict[str, Node] = {}
        self.instances: dict[str, HAProxy] = {}
        self.ssh_hosts: dict[str, SSHHost] = {}
        self._transport: Transport = transport
        self.consul: DevAgent | None = None
        self._with_consul = consul
        self._paced = paced
        self._ports = ReservedPorts()
        self._exit = AsyncExitStack()
        self._environment = {
            "PATH": search_path(),
            "LANG": "C.UTF-8",
            watchdog.MARK: str(self.directory),
        }

    @property
    def frontends(self) -> list[Address]:
        """Host and port of each HAProxy's frontend."""
        return [("127.0.0.1", instance.port) for instance in self.instances.values()]

    async def __aenter__(self) -> Self:
        try:
            await self._build()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()

    async def _build(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._exit.callback(self._ports.release)
        self._plan()
        self._start_watchdog()
        self._exit.callback(watchdog.sweep, str(self.directory))
        self._write_client_key()
        for host in self.ssh_hosts.values():
            await host.start()
            self._exit.push_async_callback(host.stop)
        for instance in self.instances.values():
            self._exit.push_async_callback(instance.kill)
            self._configure(instance)
        await self._write_configuration()
        await asyncio.gather(*(node.appctl("start") for node in self.nodes.values()))
        await asyncio.gather(*(instance.start() for instance in self.instances.values()))
        await self.wait_until_up()

    def _plan(self) -> None:
        for number in range(1, self.node_count + 1):
            self._add_node(f"web{number}")
        for number in range(1, self.instance_count + 1):
            self._add_instance(f"lb{number}")

    def _add_node(self, name: str) -> None:
        place = self.directory / name
        ssh_port = self._add_ssh_host(name, place)
        node = Node(name, "127.0.0.1", self._ports.reserve(), ssh_port, place, self._environment)
        node.lay_out()
        for version in self.versions:
            node.add_release(Release(version=version, start_delay=self.start_delay))
        node.activate(self.versions[0])
        self.nodes[name] = node

    def _add_instance(self, name: str) -> None:
        self._add_ssh_host(name, self.directory)
        ports = self._ports.reserve(), self._ports.reserve(), self._ports.reserve()
        self.instances[name] = HAProxy(name, self.directory, *ports, self._environment)

    def _configure(self, instance: HAProxy) -> None:
        servers = {node.name: node.port for node in self.nodes.values()}
        instance.configure(servers, self.checks, self.backends)

    def _add_ssh_host(self, name: str, place: Path) -> int:
        port = self._ports.reserve()
        keys = self.directory / "client_key.pub"
        self.ssh_hosts[name] = SSHHost(name, port, place, self.directory, keys, self._environment)
        return port

    def _start_watchdog(self) -> None:
        arguments = [sys.executable, "-S", "-E", watchdog.__file__, str(self.directory)]
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self._exit.callback(process.wait, 10)
        if process.stdin is not None:
            self._exit.callback(process.stdin.close)

    def _write_client_key(self) -> None:
        from backends.hosts.ssh_channels import asyncssh

        key = asyncssh.generate_private_key("ssh-ed25519", comment="rolldeck demo")
        private = self.directory / "client_key"
        private.touch(mode=0o600)
        private.write_bytes(key.export_private_key())
        key.write_public_key(f"{private}.pub")

    async def _write_configuration(self) -> None:
        self._write_ssh_files()
        sockets = {
            name: {
                "unix": f"unix://{instance.socket}",
                "tcp": f"tcp://127.0.0.1:{instance.admin_port}",
                "ssh": f"ssh://{name}{instance.socket}",
            }[self._transport]
            for name, instance in self.instances.items()
        }
        nodes = list(self.nodes.values())
        if self._with_consul:
            ports = {kind: self._ports.reserve() for kind in ("http", "server", "serf_lan", "serf_wan")}
            self.consul = DevAgent(self.directory / "consul", ports, self._environment)
            self._exit.push_async_callback(self.consul.stop)
            await self.consul.start(nodes, sockets)
        address = self.consul.address if self.consul else ""
        self.config_path.write_text(
            render_rolldeck_config(self.directory, sockets, nodes, self.backends, address, paced=self._paced)
        )

    def _write_ssh_files(self) -> None:
        hosts = list(self.ssh_hosts.values())
        (self.directory / "known_hosts").write_text(render_known_hosts(hosts))
        (self.directory / "ssh_config").write_text(render_ssh_config(self.directory, hosts))

    async def wait_until_up(self, timeout: float = 60.0) -> None:
        """Wait up to `timeout` seconds until all is UP on every HAProxy. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            for instance, backend in product(self.instances.values(), self.backends):
                while set((await instance.statuses(backend)).values()) != {"UP"}:  # noqa: ASYNC110 - HAProxy cannot tell us
                    await asyncio.sleep(0.02)

    def add_faulty_releases(self) -> None:
        """Add the releases of `FAULTY` to every node."""
        for faulty in FAULTY:
            self.add_release(faulty.version, **faulty.fields)

    def add_release(self, version: str, **fields: Any) -> None:
        """Add a release to every node.

        Args:
            version: its version.
            **fields: of `Release`, such as ``healthy=False``; the stack's `start_delay` if not given.
        """
        for node in self.nodes.values():
            node.add_release(Release(version=version, **{"start_delay": self.start_delay, **fields}))
