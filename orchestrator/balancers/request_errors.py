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
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import gt, sub
from typing import NamedTuple

from backends.haproxy.columns import columns_of
from backends.model import RequestCounters, Snapshot
from orchestrator.balancers.forced_ends import count_forced_ends

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


@dataclass(slots=True)
class Totals:
    """What clients got.

    Attributes:
        requests: requests that were sent to servers; sessions in TCP mode.
        answered_5xx: 5xx responses of the servers themselves.
        errors: errors that clients saw because of a server; in TCP mode only refused connections are known.
        unattributed: 5xx responses that no server explains, such as 503 of HAProxy when none is there.
        http: whether any backend is in HTTP mode, so that errors are known.
        unknown: backends in TCP mode, where errors are not known.
        gaps: how often counters began again: what happened just before is not known.
    """

    requests: int = 0
    answered_5xx: int = 0
    errors: int = 0
    unattributed: int = 0
    http: bool = False
    unknown: set[str] = field(default_factory=set)
    gaps: int = 0


class TrafficCount:
    """Adds up what load balancers count, from the first snapshot of each of them on.

    A snapshot costs next to nothing, however many servers there are: they are gone through at the end, and
    when counters begin again.
    """

    def __init__(self, backends: Collection[str] | None = None) -> None:
        """Begin to count; later snapshots of a load balancer are compared with its first one.

        Args:
            backends: the backends in which responses are counted that no server explains; by default all.
        """
        self._backends = backends
        self._first: dict[str, Snapshot] = {}
        self._last: dict[str, Snapshot] = {}
        self._kept = Totals()

    def add(self, snapshot: Snapshot) -> None:
        """Add the next snapshot of one load balancer."""
        name = snapshot.info.instance
        if name not in self._first:
            self._first[name] = snapshot
        elif _has_begun_again(self._last[name], snapshot):
            self._count(self._kept, self._first[name], self._last[name])
            self._kept.gaps += 1
            self._first[name] = snapshot
        self._last[name] = snapshot

    def totals(self) -> Totals:
        """Return the totals until the last snapshot of each load balancer."""
        kept = self._kept
        found = replace(kept, unknown=set(kept.unknown))
        for name, first in self._first.items():
            self._count(found, first, self._last[name])
        return found

    def _count(self, totals: Totals, first: Snapshot, last: Snapshot) -> None:
        wanted = self._backends
        _count(totals, first, last, lambda backend: wanted is None or backend in wanted)


def _backend_counters(snapshot: Snapshot) -> dict[str, RequestCounters]:
    return {backend.name: backend.counters for backend in snapshot.backends}


def _has_begun_again(before: Snapshot, after: Snapshot) -> bool:
    """Return whether counters began again: they may survive a reload, and be cleared without one."""
    now = _backend_counters(after)
    return any(went_back(then, now[name]) for name, then in _backend_counters(before).items() if name in now)


def _count(totals: Totals, first: Snapshot, last: Snapshot, counts: Callable[[str], bool]) -> None:
    then, now = _backend_counters(first), _backend_counters(last)
    explained_5xx, unanswered = Counter[str](), Counter[str]()
    for backend, change, answered_5xx in _compute_server_signals(first, last, then, now):
        totals.requests += change.started
        totals.answered_5xx += answered_5xx
        totals.errors += change.known
        explained_5xx[backend] += change.with_5xx
        unanswered[backend] += change.broken + change.refused
    for name, counters in now.items():
        if not counters.http:
            totals.unknown.add(name)
            continue
        totals.http = True
        if name in then and counts(name):
            unexplained = counters.answered_5xx - then[name].answered_5xx - explained_5xx[name]
            if unexplained > 0:
                unexplained -= count_forced_ends(
                    _server_counters(first, name),
                    _server_counters(last, name),
                    then[name],
                    counters,
                    unanswered=unanswered[name],
                )
            totals.unattributed += max(0, unexplained)


def _server_counters(snapshot: Snapshot, backend: str) -> list[RequestCounters]:
    columns = columns_of(snapshot.servers)
    rows = zip(columns.names, columns.counters, strict=True)
    return [counters for name, counters in rows if name[0] == backend]


def _compute_server_signals(
    first: Snapshot,
    last: Snapshot,
    then: Mapping[str, RequestCounters],
    now: Mapping[str, RequestCounters],
) -> Sequence[tuple[str, Signals, int]]:
    """Return backend, signals and own 5xx responses of each server that is in both snapshots."""
    before, after = columns_of(first.servers), columns_of(last.servers)
    index_of = {name: index for index, name in enumerate(before.names)}
    found = []
    for name, counters in zip(after.names, after.counters, strict=True):
        index = index_of.get(name)
        if index is None:
            continue
        old, backend = before.counters[index], name[0]
        change = compute_signals(Sample(old, then.get(backend)), Sample(counters, now.get(backend)))
        if change is not None:
            found.append((backend, change, counters.answered_5xx - old.answered_5xx))
    return found
