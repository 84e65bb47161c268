"""A fake HAProxy, which accepts real command lines and can have faults that a real one hides."""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.command import CommandFinished, CommandSending
from backends.errors import PermissionDenied, Refused, Unreachable
from backends.model import (
    Backend,
    Info,
    Level,
    Load,
    Persistence,
    RequestCounters,
    ServerRef,
    SessionList,
    Sessions,
    Snapshot,
    Stream,
)
from tests.support.fake_faults import Faults
from tests.support.fake_node import FakeNode
from tests.support.fake_server import FakeServer

if TYPE_CHECKING:
    from backends.command import CommandListener

_SERVER = re.compile(r"set server (?P<path>\S+) (?P<what>state|weight|health) (?P<value>\S+)")
_OTHER = re.compile(r"(?P<what>enable agent|disable agent|shutdown sessions server) (?P<path>\S+)")


@dataclass(frozen=True, slots=True)
class FakeFacts:
    """Implements `LoadBalancerFacts`."""

    state_file: bool | None = True
    shutdown_on_marked_down: frozenset[str] | None = frozenset()
    unseen: str = ""
    persistence: Mapping[str, Persistence] | None = field(default_factory=dict)
    hold_obsolete_s: Mapping[str, float] | None = field(default_factory=dict)
    relative_ports: frozenset[tuple[str, str]] | None = frozenset()
    all_backups: frozenset[str] | None = frozenset()
    consistent_hashes: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True)
class Move:
    """What one command did to the number of servers in rotation of its backend."""

    at: float
    command: str
    before: int
    after: int
    taking: int  # servers that take traffic afterwards, whatever they have yet to prove


@dataclass(slots=True)
class FakeTraffic:
    """Balanced traffic: sessions in flight, new ones a second, and the limit of each server."""

    sessions: int = 0
    rate: float = 0.0
    limit: int | None = None
    served_at: float | None = None

    def share(self, server: FakeServer, serving: Sequence[FakeServer]) -> int:
        """The sessions of one server."""
        if not self.sessions or server not in serving:
            return 0
        share, more = divmod(self.sessions, len(serving))
        share += serving.index(server) < more
        return share if self.limit is None else min(share, self.limit)

    def queue(self, serving: Sequence[FakeServer]) -> int:
        return 0 if self.limit is None else max(0, self.sessions - self.limit * len(serving))

    def serve(self, serving: Sequence[FakeServer]) -> None:
        """Count the requests since the last time."""
        now = asyncio.get_running_loop().time()
        passed = 0.0 if self.served_at is None else now - self.served_at
        if self.served_at is not None and passed < 0.5:
            return
        self.served_at = now
        for server in serving:
            server.requests += round(self.rate * passed / len(serving))


class FakeBalancer:
    """Implements `LoadBalancer`. `sent` is every line that arrived, with the virtual time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.servers: dict[str, FakeServer] = {}  # by "backend/server"
        self.level = Level.ADMIN
        self.algorithm = "roundrobin"
        self.cookie = ""
        self.own_5xx = 0  # that no server had to do with
        self.pid = 1
        self.stopping = False
        self.config = FakeFacts()
        self.faults = Faults()
        self.older: dict[tuple[str, str], int] | None = {}  # sessions of older workers, as a master shows
        self.processes = 1
        self.down = False  # refuses every connection
        self.deaf = False  # accepts every write and does nothing
        self.sent: list[tuple[float, str]] = []
        self.listener: CommandListener = lambda exchange: None
        self.moves: list[Move] = []
        self.traffic = FakeTraffic()
        self.age_s = 0  # of the process when the loop began

    def add(self, backend: str, server: str, node: FakeNode) -> FakeServer:
        made = FakeServer(ServerRef(self.name, backend, server), node)
        made.share = lambda: self.traffic.sessions and self.traffic.share(made, self._serving(backend))
        self.servers[f"{backend}/{server}"] = made
        return made

    def _serving(self, backend: str) -> list[FakeServer]:
        found = (server for server in self.servers.values() if server.ref.backend == backend)
        return [server for server in found if server.serves]

    def carry(self, sessions: int, rate: float = 0.0, limit: int | None = None, **load: int) -> None:
        """Have this traffic from now on; `load` is what each server is said to have carried."""
        self.traffic = FakeTraffic(sessions, rate, limit)
        count = len(self.servers)
        for server in self.servers.values():
            server.load = Load(round(rate / count), session_limit=limit, **load)

    def begin(self) -> None:
        """Start the checks, a little apart, as HAProxy spreads them."""
        loop = asyncio.get_running_loop()
        for number, server in enumerate(self.servers.values()):
            loop.call_later(0.1 + 0.07 * number, server.begin)

    def reload(self) -> None:
        self.pid += 1
        for server in self.servers.values():
            server.reload()

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        return await self.faults.around("snapshot", lambda: self.seen(backends))

    def seen(self, backends: Sequence[str] = ()) -> Snapshot:
        if self.down:
            raise Unreachable(self.name, "connection refused")
        if self.traffic.rate:
            self.traffic.serve(self._serving("shop"))
        shown = [server for server in self.servers.values() if not backends or server.ref.backend in backends]
        return Snapshot(
            info=Info(
                self.name,
                "2.6",
                self.pid,
                self.age_s + int(asyncio.get_running_loop().time()),
                self.stopping,
                processes=self.processes,
            ),
            level=self.level,
            backends=tuple(
                Backend(
                    name,
                    "http",
                    self.algorithm,
                    self.cookie,
                    self._counted(name),
                    self.traffic.queue(self._serving(name)) if self.traffic.limit else 0,
                )
                for name in dict.fromkeys(server.ref.backend for server in shown)
            ),
            servers=tuple(server.seen() for server in shown),
        )

    def _counted(self, backend: str) -> RequestCounters:
        """Of the row of a backend: what clients were told, by its servers or by HAProxy."""
        rows = [server.counters for server in self.servers.values() if server.ref.backend == backend]
        told = sum(row.answered_5xx + row.broken // 2 for row in rows)
        return RequestCounters(
            total=sum(row.total for row in rows) + self.own_5xx,
            answered=sum(row.total for row in rows) + self.own_5xx,
            answered_5xx=told + self.own_5xx,
            http=all(row.http for row in rows),
        )

    async def sessions(self, backend: str, server: str, limit: int) -> Sessions:
        return await self.faults.around("sessions", lambda: self._sessions(backend, server, limit))

    def _sessions(self, backend: str, server: str, limit: int) -> Sessions:
        if self.down:
            raise Unreachable(self.name, "connection refused")
        if self.level < Level.OPERATOR:
            raise PermissionDenied(self.name, "`show sess`: Permission denied")
        found = self.servers[f"{backend}/{server}"]
        streams = [
            Stream(found.ref, f"10.0.0.{number}:4000", "www", found.sessions - number, 30)
            for number in range(found.sessions)
        ]
        return Sessions(len(streams), tuple(streams[:limit]))

    async def list_sessions(self, servers: Collection[tuple[str, str]]) -> SessionList:
        return await self.faults.around("list", lambda: self._listed(servers))

    def _listed(self, servers: Collection[tuple[str, str]]) -> SessionList:
        if self.down:
            raise Unreachable(self.name, "connection refused")
        if self.level < Level.OPERATOR:
            raise PermissionDenied(self.name, "`show sess`: Permission denied")
        own = [
            server
            for server in self.servers.values()
            if {(server.ref.backend, server.ref.server), (server.ref.backend, "")}.intersection(servers)
        ]
        return SessionList(tuple(session for server in own for session in server.list_sessions()))

    async def older_sessions(self, backends: Sequence[str] = ()) -> Mapping[tuple[str, str], int] | None:
        return await self.faults.around("older", lambda: self.older)

    async def write(self, command: str) -> None:
        await self.faults.around("write", lambda: self._write(command))

    def _write(self, command: str) -> None:
        if self.down:
            raise Unreachable(self.name, "connection refused")
        if self.level < Level.ADMIN:
            raise PermissionDenied(self.name, f"`{command}`: Permission denied")
        self.listener(CommandSending(self.name, command))
        now, before = asyncio.get_running_loop().time(), self.in_rotation()
        self.sent.append((now, command))
        for line in command.split("; "):
            if not self.deaf:
                self._carry_out(line)
        taking = sum(server.seen().receives_traffic for server in self.servers.values())
        self.moves.append(Move(now, command, before, self.in_rotation(), taking))
        self.listener(CommandFinished(self.name, command, "\n", True, 0.001))

    def _carry_out(self, line: str) -> None:
        if line.startswith("shutdown session "):
            if not any(server.shut_down(line.split()[-1]) for server in self.servers.values()):
                raise Refused(self.name, f"`{line}`: No such session (use 'show sess').")
            return
        match = _SERVER.fullmatch(line) or _OTHER.fullmatch(line)
        if match is None or match["path"] not in self.servers:
            raise Refused(self.name, f"`{line}`: No such server.")
        server, what = self.servers[match["path"]], match["what"]
        if what == "state":
            server.set_state(match["value"])
        elif what == "weight":
            server.weight = int(match["value"])
        elif what == "health":
            if server.track_target:
                raise Refused(self.name, f"`{line}`: cannot change health on a tracking server.")
            server.health_down()
        elif what == "shutdown sessions server":
            server.leaving, server.sticky = [], 0
        else:
            server.agent = what == "enable agent" and server.agent_configured

    async def facts(self) -> FakeFacts:
        return await self.faults.around("facts", lambda: self.config)

    def in_rotation(self) -> int:
        """Count the servers in rotation, without those that have a part of their weight, as on a ramp."""
        return sum(
            server.seen().in_rotation and server.weight >= 0.9 * server.initial_weight
            for server in self.servers.values()
        )
