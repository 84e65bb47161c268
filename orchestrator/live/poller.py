"""The live state: loops that poll the load balancers and the sessions of one node, and their latest views."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from backends.errors import BackendError, PermissionDenied, RolldeckError
from backends.haproxy.columns import Columns, Name, columns_of
from backends.model import Backend, Info, Level, Server, ServerRef, Sessions, Snapshot
from backends.protocols import Clock
from orchestrator.balancers.group import BalancerGroup
from orchestrator.live.balancer_reader import BalancerReader
from orchestrator.live.rates import Rates, RowIndex

State = Literal["connecting", "live", "stale"]

SESSIONS_INTERVAL_S = 2.0  # seconds between the beginnings of two reads of one load balancer, at least
MAX_SESSIONS = 50  # of the oldest, from each server
# Before 3.2 HAProxy writes out the sessions of all servers, at its own cost: of its time, at most a fifth.
_REST_RATIO = 4.0  # times as long as the read took
_MAX_REST_S = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class BalancerView:
    """One load balancer as it was read last. Times are monotonic seconds of the poller's clock.

    Attributes:
        state: "connecting" before the first answer; "stale" as soon as a poll failed or is late.
        read_at: when the data were read.
        failing: why the data are not fresh; empty when they are.
        failing_since: since when they are not; None when they are.
        unattributed: 5xx responses that no server explains, over the last few samples.
        reloaded_at: when a new process was noticed last; its counters began again.
    """

    name: str
    state: State = "connecting"
    info: Info | None = None
    level: Level | None = None
    servers: Sequence[Server] = ()
    columns: Columns = field(default_factory=lambda: columns_of(()))
    rates: Rates = field(default_factory=Rates)
    read_at: float | None = None
    failing: str = ""
    failing_since: float | None = None
    reloaded_at: float | None = None
    unattributed: int = 0
    read_only: str = ""  # see `Snapshot.read_only`
    backends: Sequence[Backend] = ()

    @property
    def rows(self) -> RowIndex:
        return self.rates.rows

    def server(self, name: Name) -> Server | None:
        """Return a server by backend and server name; None when it is not there."""
        row = self.rows.index.get(name)
        return self.servers[row] if row is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class FleetView:
    """All load balancers at one moment, in the order of the configuration."""

    instances: tuple[BalancerView, ...]

    @property
    def live(self) -> list[BalancerView]:
        """Those whose last read has succeeded."""
        return [balancer for balancer in self.instances if balancer.state == "live"]

    def instance(self, name: str) -> BalancerView:
        return next(balancer for balancer in self.instances if balancer.name == name)

    def server(self, ref: ServerRef) -> Server | None:
        """Return a server as it was read last, live or stale; None when it never was."""
        return self.instance(ref.instance).server((ref.backend, ref.server))

    def rate(self, ref: ServerRef) -> float | None:
        """Return requests per second; None when the rate is unknown now."""
        instance = self.instance(ref.instance)
        row = instance.rows.index.get((ref.backend, ref.server))
        return instance.rates.rate(row) if row is not None and instance.state == "live" else None


class LiveView:
    """The latest view of some load balancers; a failure becomes part of it, never an exception.

    Args:
        names: of the load balancers, in the order of the configuration.
        clock: the time.
    """

    def __init__(self, names: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._view = FleetView(tuple(BalancerView(name) for name in names))
        self._readers: list[Callable[[], object]] = []
        self._notifying = False

    @property
    def view(self) -> FleetView:
        """What was read last; another object after each change."""
        return self._view

    def subscribe(self, reader: Callable[[], object]) -> Callable[[], None]:
        """Call a function after changes, at most once per iteration of the loop; returns how to end that."""
        self._readers.append(reader)
        return lambda: self._readers.remove(reader)

    def take(self, name: str, snapshot: Snapshot) -> None:
        """Take what was read of a load balancer into the view."""
        old, now = self._view.instance(name), self._clock.monotonic()
        reloaded = old.info is not None and _began_again(old.info, snapshot.info)
        columns = columns_of(snapshot.servers)
        rows = old.rows if old.rows.names == columns.names else RowIndex(columns.names)
        backends = {backend.name: backend.counters for backend in snapshot.backends}
        rates = Rates(rows) if reloaded else old.rates
        response = {backend.name: backend.response_time for backend in snapshot.backends}
        rates = rates.with_sample(rows, now, columns, backends, response)
        self._show(
            BalancerView(
                name=name,
                state="live",
                info=snapshot.info,
                level=snapshot.level,
                read_only=snapshot.read_only,
                backends=snapshot.backends,
                servers=snapshot.servers,
                columns=columns,
                rates=rates,
                read_at=now,
                reloaded_at=now if reloaded else old.reloaded_at,
                unattributed=rates.unattributed(),
            )
        )

    def fail(self, name: str, why: str) -> None:
        """Note why a load balancer could not be read; what was read before stays, and is stale."""
        old = self._view.instance(name)
        since = self._clock.monotonic() if old.failing_since is None else old.failing_since
        state: State = "connecting" if old.read_at is None else "stale"
        new = replace(old, state=state, failing=why, failing_since=since)
        if new.failing != old.failing or new.state != old.state:
            self._show(new)

    def _show(self, new: BalancerView) -> None:
        self._view = FleetView(
            tuple(new if balancer.name == new.name else balancer for balancer in self._view.instances)
        )
        if self._readers and not self._notifying:
            self._notifying = True
            asyncio.get_running_loop().call_soon(self._notify)

    def _notify(self) -> None:
        self._notifying = False
        for reader in tuple(self._readers):
            reader()


class Poller(LiveView):
    """Polls the load balancers of one application while `run` runs.

    Args:
        balancer_group: the load balancers.
        clock: the time.
        interval: seconds between the beginnings of two polls of one load balancer.
    """

    def __init__(self, balancer_group: BalancerGroup, clock: Clock, *, interval: float = 1.0) -> None:
        super().__init__(balancer_group.balancers, clock)
        self._balancer_group = balancer_group
        self._interval = interval

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name in self._balancer_group.balancers:
                reader = BalancerReader(
                    name,
                    partial(self._balancer_group.read, name),
                    partial(self.take, name),
                    partial(self.fail, name),
                    self._clock,
                    self._interval,
                )
                group.create_task(reader.run(), name=f"watch {name}")


def _began_again(old: Info, new: Info) -> bool:
    return new.pid != old.pid or new.uptime < old.uptime


@dataclass(frozen=True, slots=True)
class PolledSessions:
    """The sessions on one server, as they were read last. Times are monotonic seconds.

    Attributes:
        sessions: None before the first answer.
        read_at: when they were read.
        failing: why the last read did not succeed; empty when it did.
        denied: the socket's level is too low, so that no other read will succeed either.
    """

    sessions: Sessions | None = None
    read_at: float | None = None
    failing: str = ""
    denied: bool = False


def select_with_sessions(view: FleetView, names: Iterable[Name]) -> tuple[ServerRef, ...]:
    """Return the servers that have any sessions: a read costs HAProxy much.

    Args:
        view: what the poller has read.
        names: backend and server names.
    """
    found = [
        (instance, server)
        for name in names
        for instance in view.instances
        if (server := instance.server(name))
    ]
    # Below its level it is asked all the same: it costs nothing there, and HAProxy's own error is shown.
    return tuple(
        server.ref
        for instance, server in found
        if server.sessions or instance.state != "live" or instance.level is Level.USER
    )


class SessionPoller:
    """Reads sessions while `run` runs, all load balancers in parallel, so that none waits for a dead one.

    Args:
        balancer_group: the load balancers.
        clock: the time.
    """

    def __init__(self, balancer_group: BalancerGroup, clock: Clock) -> None:
        self._balancer_group = balancer_group
        self._clock = clock
        self._wanted: tuple[ServerRef, ...] = ()
        self._latest: Mapping[ServerRef, PolledSessions] = {}

    @property
    def latest(self) -> Mapping[ServerRef, PolledSessions]:
        """The latest, by server; another object after each change."""
        return self._latest

    def select(self, refs: Sequence[ServerRef]) -> None:
        """Set the servers whose sessions are read from now on."""
        self._wanted = tuple(refs)

    async def run(self) -> None:
        """Read until cancelled; what goes wrong becomes part of `latest`, never an exception."""
        async with asyncio.TaskGroup() as group:
            for name in self._balancer_group.balancers:
                group.create_task(self._follow(name), name=f"sessions on {name}")

    async def _follow(self, name: str) -> None:
        while True:
            begun = self._clock.monotonic()
            for ref in self._wanted:
                if ref.instance == name:
                    fresh = await self._read(ref)  # others write meanwhile: only then all that is known
                    self._latest = {**self._latest, ref: fresh}
            took = self._clock.monotonic() - begun
            await self._clock.sleep(max(SESSIONS_INTERVAL_S - took, min(took * _REST_RATIO, _MAX_REST_S)))

    async def _read(self, ref: ServerRef) -> PolledSessions:
        before = self._latest.get(ref, PolledSessions())
        try:
            sessions = await self._balancer_group.balancers[ref.instance].sessions(
                ref.backend, ref.server, MAX_SESSIONS
            )
        except PermissionDenied as error:
            return PolledSessions(failing=error.problem, denied=True)
        except BackendError as error:
            return replace(before, failing=error.problem)
        except RolldeckError as error:
            return replace(before, failing=str(error))
        except Exception as error:  # the others must go on, whatever it is
            return replace(before, failing=f"{type(error).__name__}: {error}")
        return PolledSessions(sessions, self._clock.monotonic())
