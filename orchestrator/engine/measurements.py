"""What the servers of an application got and did since the last event that says so."""

from dataclasses import dataclass

from orchestrator.balancers.response_times import TimeReading, recover_mean
from orchestrator.canary.poll import Cell, Poll
from orchestrator.canary.signals import PollSeries
from orchestrator.events.judgement import Evidence, Group, Measured, ServerMeasured

MEASURED_INTERVAL_S = 60.0
MAX_MEASURED_SERVERS = 200  # in one event; those with the new version come first


_Key = tuple[str, str, str, Group]
"""Load balancer, backend, server and group."""


@dataclass(slots=True)
class _Total:
    """The sum of the cells of one server in one group."""

    requests: int = 0
    errors: int | None = 0
    soft: int = 0

    reading: TimeReading | None = None

    def add(self, cell: Cell) -> None:
        self.reading = cell.reading
        self.requests += cell.requests
        self.errors = None if self.errors is None or cell.errors is None else self.errors + cell.errors
        self.soft += cell.soft


class Measurements:
    """Adds up polls until an event takes the sums."""

    def __init__(self, series: PollSeries) -> None:
        """Begin without a poll; sessions in flight are read from the series of the polls."""
        self._series = series
        self._since: float | None = None
        self._totals: dict[_Key, _Total] = {}
        self._readings: dict[_Key, TimeReading] = {}  # those of the event before

    def add(self, poll: Poll) -> None:
        """Add a poll."""
        if self._since is None:
            self._since = poll.at
        for stratum in poll.strata:
            for cell in stratum.cells:
                if not cell.requests:
                    continue
                key = (poll.balancer, stratum.backend, cell.server, cell.group)
                self._totals.setdefault(key, _Total()).add(cell)

    def are_due(self, at: float) -> bool:
        """Return whether the next event is due at this time, in monotonic seconds."""
        return self._since is not None and at - self._since >= MEASURED_INTERVAL_S

    def take(self, at: float, evidence: Evidence | None) -> Measured:
        """Return the event, and begin anew.

        Args:
            at: now, in monotonic seconds.
            evidence: of the judge.
        """
        sessions = {balancer: self._series.sessions(balancer) for balancer, *_ in self._totals}
        servers = [
            ServerMeasured(
                balancer=balancer,
                backend=backend,
                server=server,
                group=group,
                requests=total.requests,
                errors=total.errors,
                soft=total.soft,
                response_ms=self._recover_mean((balancer, backend, server, group), total),
                sessions=sessions[balancer].get((backend, server), 0),
            )
            for (balancer, backend, server, group), total in self._totals.items()
        ]
        servers.sort(key=lambda server: server.group != "new")
        duration_s = round(at - self._since, 3) if self._since is not None else 0.0
        self._since, self._totals = at, {}
        return Measured(duration_s=duration_s, servers=servers[:MAX_MEASURED_SERVERS], evidence=evidence)

    def _recover_mean(self, key: _Key, total: _Total) -> float | None:
        """Return the mean response time since the event before; None when it is not known."""
        before, after = self._readings.get(key), total.reading
        if after is not None:
            self._readings[key] = after
        mean = recover_mean(before, after) if before is not None and after is not None else None
        return round(mean.mean_ms, 1) if mean is not None else None
