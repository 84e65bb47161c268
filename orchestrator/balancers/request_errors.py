"""The errors that clients saw, computed from HAProxy's counters. Pure.

`hrsp_5xx` of a server counts only the node's own responses. If a node resets the connection, sends garbage or
does not answer, the client gets a 502 or 504, and `eresp` grows, twice in some versions. If it breaks off in
the middle of a response, `srv_abrt` grows, and usually `eresp` too; if it refuses all attempts to connect,
`econ`. If it resets a connection that the client has used before, HAProxy closes that one without a word, so
that the client repeats the request: `eresp` and `srv_abrt`, as for a response that broke off, which are told
apart by how many 502 and 504 the backend has. Of several servers each has its share of those, which is exact
unless they fail in different ways at the same time, some with one `eresp` and some with two. Measured on 2.2,
2.6, 3.0 and 3.2: `tests/integration/test_request_errors.py` has the table.

Two cases show in no counter: before 3.0, a node that closes a connection that was kept open instead of
answering; in 3.0, a body that stops until `timeout server`, which is counted as if the client had left.
"""

import math
from dataclasses import dataclass
from operator import gt, sub
from typing import NamedTuple

from backends.model import RequestCounters

MIN_REQUESTS = 50
"""Requests; with fewer, none of which failed, one in twenty may still fail."""

_GROWING = RequestCounters._fields.index("in_flight")  # counters; what comes after them is none


class Signals(NamedTuple):
    """What became of the requests to one server between two snapshots.

    Attributes:
        started: requests that were sent to it; sessions in TCP mode.
        answered: responses that it began.
        silent: requests that are over and had no response; one too many or too few in a snapshot in between.
        hard: those for which a client saw an error; None in TCP mode, where that is not known.
        broken: of `hard`, those without a response: it reset, timed out, or sent no HTTP.
        cut: of `hard`, those in which a response broke off in the middle.
        refused: of `hard`, connections that were refused to the end. Known in TCP mode too.
        soft: retries and redispatches: no client noticed.
    """

    started: int = 0
    answered: int = 0
    silent: int = 0
    hard: int | None = 0
    broken: int = 0
    cut: int = 0
    refused: int = 0
    soft: int = 0

    @property
    def known(self) -> int:
        """The errors that are known: in TCP mode only refused connections."""
        return self.refused if self.hard is None else self.hard

    @property
    def with_5xx(self) -> int:
        """Errors for which clients got a status of 500 or more."""
        return self.known - self.cut

    def __add__(self, other: object) -> "Signals":
        """Add both; what is unknown in one of them is unknown in the sum."""
        if not isinstance(other, Signals):
            return NotImplemented
        hard = None if self.hard is None or other.hard is None else self.hard + other.hard
        return Signals(
            self.started + other.started,
            self.answered + other.answered,
            self.silent + other.silent,
            hard,
            self.broken + other.broken,
            self.cut + other.cut,
            self.refused + other.refused,
            self.soft + other.soft,
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of one server and those of its backend, read at the same moment."""

    server: RequestCounters
    backend: RequestCounters | None = None  # None: not known, and then no bound


def went_back(before: RequestCounters, after: RequestCounters) -> bool:
    """Return whether any counter is smaller: HAProxy was restarted, or somebody has cleared them."""
    return any(map(gt, before[:_GROWING], after[:_GROWING]))


def compute_signals(before: Sample, after: Sample) -> Signals | None:
    """Return what happened between two snapshots of one server.

    Over several polls, compare with the first one each time: what one poll sees half of cancels out.

    Returns:
        None when a counter went back: what happened meanwhile cannot be known.
    """
    then, now = before.server, after.server
    grown = _subtract(then, now)
    if grown is None:
        return None
    refused, answered = grown.refused, grown.answered
    silent = max(0, grown.requests - answered - refused - grown.in_flight - grown.client_aborts)
    soft = grown.retries + grown.redispatches
    if not now.http:
        return Signals(max(0, grown.requests), hard=None, refused=refused, soft=soft)
    of_all = _subtract(before.backend, after.backend)
    gateway_errors = _count_gateway_errors(grown, of_all) if of_all is not None else None
    closed = _count_closed(grown, of_all) if of_all is not None else 0
    broken = _count_broken(grown, silent, gateway_errors, closed)
    if gateway_errors is not None:
        if now.informational:
            # A WebSocket that has ended is silent too. A reset is a 502 of the backend, or a `srv_abrt`.
            broken = min(broken, gateway_errors + grown.server_aborts)
        gateway_errors = min(gateway_errors, broken - min(broken, closed))
    cut = grown.server_aborts - (0 if gateway_errors is None else max(0, broken - gateway_errors))
    if gateway_errors is None or now.informational:
        # A WebSocket that nobody used for too long ends like a response that broke off, but without `eresp`.
        cut = min(cut, grown.broken - broken)
    most = grown.total - grown.redispatches + then.in_flight
    if before.backend is not None and after.backend is not None:  # where an attempt is not a request each
        most = min(most, after.backend.total - before.backend.total + before.backend.in_flight)
    if gateway_errors is not None and of_all is not None and of_all.doubtful_aborts:
        # Counted for a reset while HAProxy waits for its processor, and then with `eresp` twice, as for each
        # reset. What is cut off has an `eresp` beyond those.
        beyond = grown.broken - broken - min(broken, gateway_errors)
        cut = min(cut, beyond) if broken and beyond >= 0 else cut
    # Only answers are cut off.
    answers = answered - grown.answered_5xx + then.in_flight + grown.retries
    cut = max(0, min(cut, answers, most - refused - broken - grown.answered_5xx))
    hard = grown.answered_5xx + refused + broken + cut
    started = max(grown.requests, hard)
    return Signals(started, answered, silent, hard, broken, cut, refused, soft)


def compute_all_signals(sample: Sample) -> Signals:
    """Return what happened since HAProxy began to count."""
    nothing = RequestCounters(http=sample.server.http)
    return compute_signals(Sample(nothing, sample.backend and RequestCounters()), sample) or Signals()


def _subtract(then: RequestCounters | None, now: RequestCounters | None) -> RequestCounters | None:
    """Return what a row has grown by; what is in flight may be less. None: not known."""
    if then is None or now is None or went_back(then, now):
        return None
    growth = map(sub, now[: _GROWING + 1], then)  # `in_flight` follows the counters
    return RequestCounters._make([*growth, now.http, now.doubtful_aborts])


def _count_gateway_errors(grown: RequestCounters, of_all: RequestCounters) -> int:
    """Return how many 502 and 504 HAProxy can have sent for this server at most.

    The row of the backend has those for all of its servers. Each of them is one or two `eresp` and no
    `srv_abrt`, in the rows of server and backend, while what a reset of a kept connection or the end of a
    response adds to one it adds to the other: so the share of this server is that of the difference.
    """
    found = max(0, of_all.answered_5xx - grown.answered_5xx - grown.refused)
    own, whole = (row.broken - row.server_aborts for row in (grown, of_all))
    if own >= whole:  # it is the only one
        return found
    share = min(own, max(round(found * own / whole), math.ceil(own / 2))) if own > 0 else 0
    return min(found, share)


def _count_closed(grown: RequestCounters, of_all: RequestCounters) -> int:
    """Return how many requests to this server HAProxy closed without a response, as far as that is known.

    From 2.6 on they are in no class of responses of the backend. No server has more of them than `srv_abrt`.
    """
    ended = of_all.total - of_all.in_flight
    without = ended - of_all.answered - of_all.informational - of_all.client_aborts
    of_others = max(0, of_all.server_aborts - grown.server_aborts)
    return min(grown.server_aborts, max(0, without - of_others))


def _count_broken(grown: RequestCounters, silent: int, gateway_errors: int | None, closed: int) -> int:
    """Count the requests that ended without a response.

    `eresp` counts some of them twice, and each attempt of `retry-on`. So there are no more of them than
    requests without a response. Which of these are over cannot be seen while others last for long, or are
    retried: then HAProxy's own error responses are counted, and what it closed without one.
    """
    least = min(grown.broken, silent)
    if gateway_errors is None:
        return least
    unanswered = max(0, grown.total - grown.redispatches - grown.answered - grown.refused)
    return max(least, min(grown.broken, unanswered, gateway_errors + closed))


class RequestTally:
    """Adds up what became of one server's requests, also when its counters begin again."""

    __slots__ = ("_first", "_kept", "_last", "gaps")

    def __init__(self, first: Sample) -> None:
        self._first = self._last = first
        self._kept = Signals()
        self.gaps = 0  # polls in which a counter went back: nothing is known of the time before them

    def add(self, sample: Sample) -> None:
        """Add the next sample; they must come in order."""
        if went_back(self._last.server, sample.server):
            self._kept += compute_signals(self._first, self._last) or Signals()
            self._first = sample
            self.gaps += 1
        self._last = sample

    @property
    def signals(self) -> Signals:
        """What happened until the last sample."""
        return self._kept + (compute_signals(self._first, self._last) or Signals())
