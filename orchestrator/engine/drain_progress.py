"""A drain as it goes on: how many sessions are left, and for how much longer they usually last."""

import asyncio
import math
from collections.abc import Collection
from dataclasses import dataclass, field

from backends.errors import BackendError
from backends.model import Server, ServerRef
from backends.text import format_duration
from orchestrator.engine.step_context import StepContext
from orchestrator.events.drains import MAX_POINTS, Drained
from orchestrator.planning.drain_forecast import DrainForecast

QUIET_S = 2.0  # a drain that takes longer is worth a forecast
LIST_TIMEOUT_S = 1.0  # for the ages of sessions; a drain must not become longer by looking at them
REFRESH_S = 10.0  # between two looks at the ages of sessions, and between two forecasts of as many sessions
UNLIKELY = 0.5  # from this probability on that sessions remain at the deadline, that is said instead


@dataclass(slots=True)
class DrainProgress:
    """The sessions of one node from the moment its drain began, pauses included: they end in them too.

    Attributes:
        context: the step context of the node.
        begun: when that was, in monotonic seconds.
        deadline: when the wait for them ends, on the clock that stops during a pause.
        learns: whether it was in rotation until then: otherwise, only its longest sessions remained.
        seconds: since the drain began, for each change of `left` and once a second.
        left: the sessions at these times.
        arrived: sessions that came since the drain began.
    """

    context: StepContext
    begun: float
    deadline: float
    learns: bool = True
    seconds: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    arrived: int = 0
    _refs: frozenset[ServerRef] = frozenset()  # that count
    _started: int | None = None  # sessions that the servers had ever been sent when the drain began
    _expected_s: float | None = None
    _oldest_s: int | None = None
    _listed_at: float | None = None
    _outlook: str = ""
    _outlook_at: float | None = None
    _outlook_for: int = 0

    @classmethod
    def begin(cls, context: StepContext, *, learns: bool = True) -> "DrainProgress":
        """Begin now, as the drain was just set."""
        deadline = context.control.elapsed_excluding_pauses() + context.policy.drain_timeout
        return cls(context, context.clock.monotonic(), deadline, learns)

    @property
    def elapsed_s(self) -> float:
        return self.context.clock.monotonic() - self.begun

    def add(self, servers: Collection[Server], older: int) -> None:
        """Add what was just read.

        Args:
            servers: of the node, and those that left with it.
            older: their sessions in processes that a reload has replaced.
        """
        refs = frozenset(server.ref for server in servers)
        if refs != (self._refs or refs):
            return  # in maintenance, servers that follow the node do not count any more
        self._refs = refs
        count = sum(server.open_sessions for server in servers) + older
        started = sum(
            server.counters.total - server.counters.retries - server.counters.redispatches
            for server in servers
        )
        if self._started is None:
            self._expected_s = self._expect(count)
        if self._started is None or started < self._started:  # the counters began again
            self._started = started
        self.arrived = max(self.arrived, started - self._started)
        if not self.left or self.left[-1] != count or self.elapsed_s - self.seconds[-1] >= 1:
            self.seconds.append(round(self.elapsed_s, 2))
            self.left.append(count)

    def _expect(self, count: int) -> float | None:
        lifetimes = self.context.lifetimes
        if not lifetimes.known:
            return None
        deadline_s = self.context.policy.drain_timeout
        return round(lifetimes.forecast(count, deadline_s=deadline_s).median_s, 1)

    async def outlook(self, servers: Collection[Server]) -> str:
        """Return the forecast as `oldest 40 s, usually 6 s more`; empty as long as the drain is young.

        It only changes with the number of sessions and every `REFRESH_S`, because each change is shown.
        """
        if self.elapsed_s < QUIET_S or not self.left:
            return ""
        now, count = self.context.clock.monotonic(), self.left[-1]
        if self._outlook_at is None or count != self._outlook_for or now - self._outlook_at >= REFRESH_S:
            if self._listed_at is None or now - self._listed_at >= REFRESH_S:
                self._listed_at = now
                self._oldest_s = await self._read_oldest([server.ref for server in servers])
            self._outlook, self._outlook_at, self._outlook_for = self._describe(count), now, count
        return self._outlook

    def _describe(self, count: int) -> str:
        if self.arrived:
            return f"{self.arrived:,} came since the drain began, as their clients stay with the server"
        parts = [f"oldest {format_duration(self._oldest_s)}"] if self._oldest_s is not None else []
        if self.context.lifetimes.known and count:
            remaining_s = max(0.0, self.deadline - self.context.control.elapsed_excluding_pauses())
            forecast = self.context.lifetimes.forecast(
                count, deadline_s=remaining_s, elapsed_s=self.elapsed_s
            )
            parts.append(describe_rest(forecast))
        return ", ".join(parts)

    async def _read_oldest(self, refs: Collection[ServerRef]) -> int | None:
        """Read the age of the oldest session; None when it is not shown, or not soon: then never again."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                return await self._list_ages(refs)
        except (BackendError, TimeoutError):
            self._listed_at = math.inf
            return None

    async def _list_ages(self, refs: Collection[ServerRef]) -> int | None:
        ages: list[int] = []
        for name, balancer in self.context.balancer_group.balancers.items():
            own = [(ref.backend, ref.server) for ref in refs if ref.instance == name]
            found = await balancer.list_sessions(own) if own else None
            ages += [session.age for session in found.sessions if session.age is not None] if found else []
        return max(ages, default=None)

    def event(self) -> Drained | None:
        """Return how the sessions ended; None when there were none, or when that teaches nothing."""
        if not self.learns or not any(self.left):
            return None
        points = thin_out(list(zip(self.seconds, self.left, strict=True)), MAX_POINTS)
        return Drained(
            node=self.context.node.name,
            seconds=[seconds for seconds, _ in points],
            left=[left for _, left in points],
            arrived=self.arrived,
            expected_s=self._expected_s,
        )


def describe_rest(forecast: DrainForecast) -> str:
    """Return how much longer a drain takes: `usually 6.0 s more`."""
    if forecast.busy_at_deadline > UNLIKELY:
        return f"not over by the deadline with {forecast.busy_at_deadline:.0%} probability"
    return f"usually {format_duration(forecast.median_s)} more"


def thin_out(points: list[tuple[float, int]], most: int) -> list[tuple[float, int]]:
    """Return at most so many of these points, the first and the last included, evenly by their number."""
    if len(points) <= most:
        return points
    last = len(points) - 1
    return [points[round(number * last / (most - 1))] for number in range(most)]
