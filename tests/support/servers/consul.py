"""Real Consul agents for tests: a development agent, one with ACLs, one that keeps its data, and a cluster.

They listen on free loopback ports.

Tests that need one are skipped, with the reason said, where there is no `consul` on the PATH.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.demo.haproxy import search_path
from tests.support.free_ports import free_port
from tests.support.processes import freeze

CONSUL = shutil.which("consul", path=search_path())
needs_consul = pytest.mark.skipif(CONSUL is None, reason="no consul on the PATH of this machine")
MASTER = "11111111-2222-3333-4444-555555555555"  # a token of tests, for agents of tests
QUICK_ELECTION = "-hcl=performance { raft_multiplier = 1 }"  # within a second or two; by default it takes ten
KINDS = ("http", "https", "server", "serf_lan", "serf_wan", "dns", "grpc")


@dataclass(slots=True)
class Agent:
    """One process.

    Attributes:
        tls: files for HTTPS as well as HTTP, by the agent's own names; then it wants to know who asks, too.
    """

    folder: Path
    ports: dict[str, int]
    options: Sequence[str]
    acl: bool = False
    process: asyncio.subprocess.Process | None = None
    headers: dict[str, str] = field(default_factory=dict)
    tls: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def secure_address(self) -> str:
        return f"https://127.0.0.1:{self.ports['https']}"

    async def start(self) -> None:
        """Start it (again). What a development agent knew is gone then."""
        ports = self.ports if self.tls else {**self.ports, "https": -1}
        settings: dict[str, Any] = {"ports": ports, "log_level": "debug"}
        if self.tls:
            settings |= {**self.tls, "verify_incoming": True}
        if self.acl:
            settings["acl"] = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER}}
            self.headers = {"X-Consul-Token": MASTER}
        self.folder.mkdir(exist_ok=True)
        (self.folder / "agent.json").write_text(json.dumps(settings))
        with (self.folder / "agent.log").open("ab") as log:
            assert CONSUL
            self.process = await asyncio.create_subprocess_exec(
                CONSUL,
                *("agent", "-bind=127.0.0.1", "-client=127.0.0.1", f"-config-file={self.folder}/agent.json"),
                *self.options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until there is a leader, and the agent itself is in the catalog."""
        async with asyncio.timeout(60):
            while not await self._ready():
                await asyncio.sleep(0.05)

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (self.folder / "agent.log").read_text()[-2000:]
        try:
            leader = await self.ask("GET", "/v1/status/leader")
            return bool(leader) and bool(await self.ask("GET", "/v1/catalog/nodes"))
        except (httpx.HTTPError, AssertionError):
            return False

    def logged(self) -> int:
        """Bytes of its log so far."""
        return (self.folder / "agent.log").stat().st_size

    async def answered(self, path: str, since: int | None = None) -> None:
        """Wait until it has answered a request, of anybody, whose path begins so, without an error.

        Args:
            path: such as "/v1/kv/".
            since: `logged` at the moment from which on it counts; now when it is not given.
        """
        seen = self.logged() if since is None else since
        async with asyncio.timeout(60):
            while not self._has_answered(path, seen):
                await asyncio.sleep(0.05)

    def _has_answered(self, path: str, since: int) -> bool:
        lines = (self.folder / "agent.log").read_bytes()[since:].splitlines()
        own = [line for line in lines if f" url={path}".encode() in line]
        return sum(b"Request finished" in line for line in own) > sum(
            b"Request error" in line for line in own
        )

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request that is not made by the code that is tested."""
        async with httpx.AsyncClient(
            base_url=self.address,
            headers=self.headers,
            timeout=5,
            verify=False,  # noqa: S501 - it is plain HTTP, and reading the authorities would cost the most
        ) as client:
            content = body if isinstance(body, str | None) else json.dumps(body)
            answer = await client.request(method, path, content=content)
            assert answer.is_success, answer.text
            return answer.json() if answer.text else None

    async def register(self, name: str, identity: str, port: int, **more: Any) -> None:
        """One instance of a service on this agent."""
        service = {"Name": name, "ID": identity, "Address": "127.0.0.1", "Port": port, **more}
        await self.ask("PUT", "/v1/agent/service/register", service)

    def freeze(self) -> None:
        assert self.process is not None
        freeze(self.process.pid)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()


@asynccontextmanager
async def _running(*agents: Agent) -> AsyncIterator[None]:
    try:
        for agent in agents:
            await agent.start()
        for agent in agents:
            await agent.ready()
        yield
    finally:
        for agent in agents:
            await agent.kill()


@asynccontextmanager
async def running_consul(
    folder: Path, *, acl: bool = False, keeps: bool = False, tls: Mapping[str, str] | None = None
) -> AsyncIterator[Agent]:
    """One server: a development agent, all in memory; or one that keeps its data when it is killed."""
    keeping = ["-server", "-bootstrap-expect=1", f"-data-dir={folder}/data", QUICK_ELECTION]
    options = ["-node=here", *(keeping if keeps else ["-dev"])]
    agent = Agent(folder / "consul", _ports(), options, acl, tls=tls or {})
    async with _running(agent):
        yield agent


@asynccontextmanager
async def three_servers(folder: Path) -> AsyncIterator[list[Agent]]:
    """Three servers that elect a leader."""
    ports = [_ports() for _ in range(3)]
    joins = [f"-retry-join=127.0.0.1:{own['serf_lan']}" for own in ports]
    agents = [
        Agent(
            folder / f"consul{number}",
            own,
            [
                "-server",
                "-bootstrap-expect=3",
                f"-node=s{number}",
                f"-data-dir={folder}/data{number}",
                QUICK_ELECTION,
                *joins,
            ],
        )
        for number, own in enumerate(ports)
    ]
    async with _running(*agents):
        yield agents


@asynccontextmanager
async def client_of(servers: Sequence[Agent], folder: Path) -> AsyncIterator[Agent]:
    """An agent that is no server, as each machine has one."""
    joins = [f"-retry-join=127.0.0.1:{server.ports['serf_lan']}" for server in servers]
    agent = Agent(folder / "client", _ports(), ["-node=client", f"-data-dir={folder}/client-data", *joins])
    async with _running(agent):
        yield agent


def _ports() -> dict[str, int]:
    return {kind: free_port() for kind in KINDS}


def without_token() -> dict[str, str]:
    """The environment without Consul's own variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
