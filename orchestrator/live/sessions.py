"""The sessions on the servers of one node, read again and again while somebody looks at them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backends.errors import BackendError, PermissionDenied, RolldeckError
from backends.haproxy.columns import Name
from backends.model import Level, ServerRef, Sessions
from backends.protocols import Clock
from orchestrator.balancers.group import BalancerGroup
from orchestrator.live.poller import FleetView

POLL_INTERVAL_S = 2.0  # seconds between the beginnings of two reads of one load balancer, at least
MAX_SESSIONS = 50  # of the oldest, from each server
# Before 3.2 HAProxy writes out the sessions of all servers, at its own cost: of its time, at most a fifth.
_REST_RATIO = 4.0  # times as long as the read took
_MAX_REST_S = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class PolledSessions:
    """The sessions on one server, as they were read last. Times are monotonic seconds.

    Attributes:
        sessions: None before the first answer.
        read_at: when they came.
        failing: why the last read did not succeed; empty when it did.
        denied: the socket's level is too low, so that no other read will succeed either.
    """

    sessions: Sessions | None = None
    read_at: float | None = None
    failing: str = ""
    denied: bool = False


def worth_reading(view: FleetView, names: Iterable[Name]) -> tuple[ServerRef, ...]:
    """Those of these servers that have any sessions: a read costs HAProxy much, and they may have none.

    Args:
        view: of the watch.
        names: backend and server names.
    """
    found = [
        (instance, server)
        for name in names
        for instance in view.instances
        if (server := instance.server(name))
    ]
    # Below its level it is asked all the same: it costs nothing there, and HAProxy's own words are shown.
    return tuple(
        server.ref
        for instance, server in found
        if server.sessions or instance.state != "live" or instance.level is Level.USER
    )


class SessionPoller:
    """Reads as long as `run` runs: load balancers side by side, so that none waits for a dead one.

    Args:
        balancer_group: the load balancers.
        clock: the time.
    """

    def __init__(self, balancer_group: BalancerGroup, clock: Clock) -> None:
        self._balancer_group = balancer_group
        self._clock = clock
        self._wanted: tuple[ServerRef, ...] = ()
        self._seen: Mapping[ServerRef, PolledSessions] = {}

    @property
    def seen(self) -> Mapping[ServerRef, PolledSessions]:
        """The latest, by server; another object after each change."""
        return self._seen

    def want(self, refs: Sequence[ServerRef]) -> None:
        """Which servers to read from now on."""
        self._wanted = tuple(refs)

    async def run(self) -> None:
        """Read until cancelled; what goes wrong becomes part of `seen`, never an exception."""
        async with asyncio.TaskGroup() as group:
            for name in self._balancer_group.balancers:
                group.create_task(self._follow(name), name=f"sessions on {name}")

    async def _follow(self, name: str) -> None:
        while True:
            begun = self._clock.monotonic()
            for ref in self._wanted:
                if ref.instance == name:
                    fresh = await self._read(ref)  # others write meanwhile: only then all that is known
                    self._seen = {**self._seen, ref: fresh}
            took = self._clock.monotonic() - begun
            await self._clock.sleep(max(POLL_INTERVAL_S - took, min(took * _REST_RATIO, _MAX_REST_S)))

    async def _read(self, ref: ServerRef) -> PolledSessions:
        before = self._seen.get(ref, PolledSessions())
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
