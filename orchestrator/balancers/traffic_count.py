"""What all clients got: the errors of servers, and 5xx responses that no server explains. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.haproxy.columns import columns_of
from backends.model import RequestCounters, Snapshot
from orchestrator.balancers.forced_ends import count_forced_ends
from orchestrator.balancers.request_errors import Sample, Signals, compute_signals, went_back


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
