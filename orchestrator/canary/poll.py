"""What one poll of a load balancer says about the old and the new version. Values, without a clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.balancers.response_times import TimeReading
from orchestrator.events.judgement import Group

FAST_INTERVAL_S, SLOW_INTERVAL_S = 0.25, 1.0
"""Seconds between two polls of a load balancer: for a while after the return of a node, and otherwise."""

FAST_PHASE_S = 30.0
"""For how long polls are frequent after a return."""

RETURN_PAUSE_S = 5.0
"""For how long a server took no part in polls when it has returned anew."""

MAX_OLD_SERVERS = 200
"""Of one backend on one load balancer; more of them would cost more than they tell."""


class Cell(NamedTuple):
    """What one server got and did between two polls of its load balancer.

    Attributes:
        node: the node behind the server.
        server: the server's name in its backend.
        group: which version it runs.
        requests: requests that it was sent; sessions in TCP mode.
        errors: those for which a client saw an error; None in TCP mode, where they are not known.
        soft: retries and redispatches, which no client noticed.
        check_failures: failed checks of HAProxy.
        answered: responses that began, for the recovery of mean response times.
        response_time: HAProxy's decayed average in milliseconds, as it reads now; None: not known.
        total_answered: responses that it began since HAProxy began to count, without informational ones.
        total_informational: informational responses since then: HAProxy's average counts them too.
        earlier_response_time: the same average at the poll before; None: not known.
        broken: of `errors`, requests without a response, such as time-outs.
        in_flight: requests that are in flight now.
    """

    node: str
    server: str
    group: Group
    requests: int
    errors: int | None
    soft: int = 0
    check_failures: int = 0
    answered: int = 0
    response_time: int | None = None
    total_answered: int = 0
    total_informational: int = 0
    earlier_response_time: int | None = None
    broken: int = 0
    in_flight: int = 0

    @property
    def reading(self) -> TimeReading:
        """What HAProxy says now of its response times."""
        return TimeReading(self.response_time, self.total_answered, self.total_informational)


@dataclass(frozen=True, slots=True)
class Stratum:
    """One backend on one load balancer in one poll: what is compared with each other.

    Attributes:
        backend: its name.
        cells: its servers that are in rotation and got requests, or have some in flight.
    """

    backend: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll of one load balancer, compared with its poll before.

    Attributes:
        balancer: the load balancer.
        at: when it was read, in monotonic seconds.
        duration_s: since the poll before.
        strata: its backends. A backend in which a counter went back is left out.
    """

    balancer: str
    at: float
    duration_s: float
    strata: Sequence[Stratum]


class Lifetime(NamedTuple):
    """What a server did since HAProxy began to count, before the rollout.

    Attributes:
        balancer: the load balancer.
        backend: the backend.
        server: the server's name in it.
        requests: requests that it was sent.
        errors: those for which a client saw an error; None in TCP mode.
        duration_s: since HAProxy began to count.
        response_ms: HAProxy's average of its last hundreds of responses; None: not known.
    """

    balancer: str
    backend: str
    server: str
    requests: int
    errors: int | None
    duration_s: float
    response_ms: int | None = None
