"""The demo's own Consul agent: one real server, all in memory, on free loopback ports."""

import asyncio
import json
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.errors import BackendError
from console.demo.haproxy import search_path
from console.demo.node import Node

KEY = "haproxy"  # of the load balancers' addresses
SERVICE = "shop"


def find_consul() -> str | None:
    """Return the path of `consul`; None when it is not installed."""
    return shutil.which("consul", path=search_path())


@dataclass(slots=True)
class DevAgent:
    """A Consul process that has the nodes as instances of a service, and the load balancers in a key.

    Attributes:
        directory: for its configuration and log.
        ports: of its interfaces: http, server, serf_lan, serf_wan; the others are off.
        environment: of the process.
    """

    directory: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    async def start(self, nodes: Sequence[Node], sockets: Mapping[str, str]) -> None:
        """Start it, and register these nodes and these Runtime APIs. Raises RuntimeError."""
        program = find_consul()
        if program is None:
            raise RuntimeError("consul is not on the PATH")
        self.directory.mkdir(exist_ok=True)
        configuration = self.directory / "agent.json"
        configuration.write_text(json.dumps(self._configuration(nodes)))
        with (self.directory / "agent.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                program,
                *("agent", "-dev", "-node=demo", "-bind=127.0.0.1", "-client=127.0.0.1"),
                f"-config-file={configuration}",
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C on the terminal must not reach it
            )
        await self._store_balancers(sockets)

    def _configuration(self, nodes: Sequence[Node]) -> dict[str, Any]:
        check = {"interval": "1s", "timeout": "1s"}
        return {
            "ports": {**self.ports, "https": -1, "dns": -1, "grpc": -1},
            "log_level": "warn",
            "services": [
                {
                    "name": SERVICE,
                    "id": node.name,
                    "address": node.address,
                    "port": node.port,
                    "meta": {"ssh": node.name},
                    "check": {"tcp": f"{node.address}:{node.port}", **check},
                }
                for node in nodes
            ],
        }

    async def _store_balancers(self, sockets: Mapping[str, str]) -> None:
        """Write the key as soon as Consul answers. Raises RuntimeError."""
        consul = Consul(ConsulSettings(address=self.address))
        try:
            async with asyncio.timeout(60):
                while not await self._try_to_store(consul, sockets):  # noqa: ASYNC110 - it cannot tell us
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise RuntimeError(f"consul does not answer:\n{self._log()}") from error
        finally:
            await consul.close()

    async def _try_to_store(self, consul: Consul, sockets: Mapping[str, str]) -> bool:
        if self.process is None or self.process.returncode is not None:
            raise RuntimeError(f"consul did not start:\n{self._log()}")
        try:
            _, known = await consul.services(SERVICE, [])
            return bool(known) and await consul.put(KEY, json.dumps({SERVICE: dict(sockets)}).encode())
        except BackendError:
            return False

    def _log(self) -> str:
        return (self.directory / "agent.log").read_text()

    async def stop(self) -> None:
        """Kill it; it has kept everything in memory."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()
