"""Whether servers that carry the load of others fall behind what was forecast. Pure, without a clock.

Sessions in flight say it first: a server that cannot keep up collects them. The thresholds are far beyond
what chance does, and must be exceeded in three polls running.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.planning.load_grade import LoadForecast, format_number

POLLS = 3  # running
FACTOR = 2.5  # times what was expected
DEVIATIONS = 5  # of a number whose mean was expected
LEAST = 5  # more than expected; for small numbers


@dataclass(frozen=True, slots=True)
class Expectation:
    """What was forecast for one backend, on all load balancers together.

    Attributes:
        backend: the backend.
        servers: how many carry it.
        active_servers: how many there are.
        sessions: in flight.
        limit: how many they may have at once; None where a server has no `maxconn`.
        error_share: the share of requests for which clients saw an error before.
    """

    backend: str
    servers: int
    active_servers: int
    sessions: float
    limit: int | None
    error_share: float = 0.0


class Reading(NamedTuple):
    """What one backend does now, on all load balancers together.

    Attributes:
        sessions: in flight on the servers that take traffic.
        queue: requests that wait.
        requests: since the drain began.
        errors: of these, those for which a client saw an error; 0 where that must not count.
    """

    sessions: int
    queue: int
    requests: int = 0
    errors: int = 0


def build_expectations(forecasts: Iterable[LoadForecast], error_share: float = 0.0) -> dict[str, Expectation]:
    """Return what is expected of each backend."""
    found: dict[str, Expectation] = {}
    for forecast in forecasts:
        before = found.get(forecast.backend)
        known = before is None or before.limit is not None
        found[forecast.backend] = Expectation(
            forecast.backend,
            max(forecast.servers, before.servers if before else 0),
            max(forecast.active_servers, before.active_servers if before else 0),
            forecast.all_sessions_then + (before.sessions if before else 0.0),
            None
            if forecast.limit is None or not known
            else forecast.limit + ((before.limit or 0) if before else 0),
            error_share,
        )
    return found


class OverloadRule:
    """Judges the readings of one backend."""

    def __init__(self, expectation: Expectation) -> None:
        self._expectation = expectation
        self._reasons: deque[str] = deque(maxlen=POLLS)

    def add(self, reading: Reading) -> str:
        """Take note of the next reading; return why the servers cannot carry it, or empty."""
        self._reasons.append(self._judge(reading))
        overloaded = len(self._reasons) == POLLS and all(self._reasons)
        return self._reasons[-1] if overloaded else ""

    def describe(self, reading: Reading) -> str:
        """Format as `12 sessions, 14 were expected`."""
        return f"{reading.sessions} sessions, {format_number(self._expectation.sessions)} were expected"

    def _judge(self, reading: Reading) -> str:
        expected = self._expectation
        which = f"{expected.servers} of {expected.active_servers} servers cannot carry it"
        # Short queues come and go near the limit; what grows beyond chance does not.
        if reading.queue > math.sqrt(expected.limit or 0):
            return f"{which}: {reading.queue} requests wait in the queue"
        if _is_far_beyond(reading.sessions, expected.sessions):
            sessions = format_number(expected.sessions)
            return f"{which}: {reading.sessions} sessions where {sessions} were expected"
        errors = expected.error_share * reading.requests
        if _is_far_beyond(reading.errors, errors):
            failed = f"{reading.errors} of {reading.requests} requests failed"
            return f"{which}: {failed} where {format_number(errors)} were expected"
        return ""


def _is_far_beyond(number: int, expected: float) -> bool:
    return number > FACTOR * expected and number > expected + DEVIATIONS * math.sqrt(expected) + LEAST
