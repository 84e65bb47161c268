"""Requests in flight that nothing explains: they get no answer, although others do. Pure.

What answered requests have in flight is their rate times their mean response time (Little's law), and what
long polls, downloads and WebSockets have in flight shows on the servers of the old version. What a server of
the new version has beyond both hangs.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.balancers.response_times import TimeReading, estimate_mean
from orchestrator.canary.poll import Cell, Poll

WINDOW_S = 2.0
"""Seconds over which rates and response times are averaged."""


class Reading(NamedTuple):
    """What a server has done so far, and what it has in flight."""

    at: float
    requests: int
    answered: int
    in_flight: int
    time: TimeReading


class Flow:
    """One server in one group over the last seconds."""

    def __init__(self, poll: Poll, cell: Cell) -> None:
        """Begin with its first poll, or after it if the average before is not known."""
        if cell.earlier_response_time is None:
            self._readings = deque([Reading(poll.at, 0, 0, cell.in_flight, cell.reading)])
            return
        answered = cell.total_answered - cell.answered
        before = TimeReading(cell.earlier_response_time, answered, cell.total_informational)
        self._readings = deque([Reading(poll.at - poll.duration_s, 0, 0, 0, before)])
        self.add(poll, cell)

    def add(self, poll: Poll, cell: Cell) -> None:
        """Add a poll."""
        readings, last = self._readings, self._readings[-1]
        requests, answered = last.requests + cell.requests, last.answered + cell.answered
        readings.append(Reading(poll.at, requests, answered, cell.in_flight, cell.reading))
        while readings[1].at <= poll.at - WINDOW_S:
            readings.popleft()

    @property
    def last(self) -> Reading:
        return self._readings[-1]

    @property
    def duration_s(self) -> float:
        return self.last.at - self._readings[0].at

    @property
    def requests(self) -> int:
        """Requests that it got."""
        return self.last.requests - self._readings[0].requests

    @property
    def answered(self) -> int:
        """Responses that it began."""
        return self.last.answered - self._readings[0].answered

    @property
    def mean_in_flight(self) -> float:
        found = list(self._readings)[1:]
        return sum(reading.in_flight for reading in found) / len(found) if found else 0.0

    def answers_most(self, duration_s: float) -> bool:
        """Return whether it has answered at least half of what it got in the last seconds."""
        since = next(reading for reading in reversed(self._readings) if self._is_before(reading, duration_s))
        return 2 * (self.last.answered - since.answered) >= self.last.requests - since.requests

    def _is_before(self, reading: Reading, duration_s: float) -> bool:
        return reading is self._readings[0] or reading.at <= self.last.at - duration_s

    @property
    def response_ms(self) -> tuple[float, float] | None:
        """The least and the largest mean response time that rounding leaves possible; None: not known."""
        found = estimate_mean(self._readings[0].time, self.last.time)
        if found is None:
            return None
        return max(0.0, found.mean_ms - found.error_ms), found.mean_ms + found.error_ms


class Excess(NamedTuple):
    """What a server has in flight.

    Attributes:
        requests: how many more than are expected; may be negative.
        deviation: by how much chance may move that: one standard deviation.
    """

    requests: float = 0.0
    deviation: float = 0.0

    def beyond(self, deviations: float) -> float:
        """Return how many there are beyond so many standard deviations."""
        return max(0.0, self.requests - deviations * self.deviation)


class Usual(NamedTuple):
    """What the servers of the old version have in flight.

    Attributes:
        servers: how many get requests.
        duration_s: how long a request is in flight, on average.
        mean: how many requests a server has in flight, on average.
        largest: likewise the one that has most.
        response_ms: the least mean response time that rounding leaves possible; 0: not known.
    """

    servers: int
    duration_s: float
    mean: float
    largest: float
    response_ms: float

    @classmethod
    def of(cls, old: Sequence[Flow]) -> "Usual | None":
        """Return what these servers have in flight; None when they get no requests."""
        busy = [server for server in old if server.duration_s > 0 and server.requests]
        if not busy:
            return None
        in_flight = [server.mean_in_flight for server in busy]
        times = [(server.response_ms, server.answered) for server in busy]
        known = [(found[0], answered) for found, answered in times if found is not None]
        return cls(
            len(busy),
            sum(in_flight) / sum(server.requests / server.duration_s for server in busy),
            sum(in_flight) / len(busy),
            max(in_flight),
            sum(low * answered for low, answered in known) / max(1, sum(answered for _, answered in known)),
        )


def find_excess(server: Flow, usual: Usual | None) -> Excess:
    """Return how many requests in flight on a server nothing explains.

    Args:
        server: of the new version.
        usual: what servers of the old version have in flight; without them, nothing is known.
    """
    duration_s, in_flight = server.duration_s, server.last.in_flight
    if usual is None or duration_s <= 0 or not in_flight:
        return Excess()
    expected = max(server.requests / duration_s * usual.duration_s, usual.largest)
    if server.answered:
        if (found := server.response_ms) is None:
            return Excess()
        # The rate of those that came, as answers begin late where they take long.
        rate = max(server.requests, server.answered) / duration_s
        expected += rate * max(0.0, found[1] - usual.response_ms) / 1000
    return Excess(in_flight - expected, math.sqrt(expected))
