"""Requests and errors of all servers of an application while a rollout goes on."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.haproxy.columns import columns_of
from backends.model import RequestCounters, Snapshot
from orchestrator.balancers.request_errors import Sample, Signals, signals, went_back
from orchestrator.events.events import Traffic


@dataclass(slots=True)
class Totals:
    """What clients were given.

    Attributes:
        requests: that were sent to servers; sessions in TCP mode.
        answered_5xx: responses 5xx of the servers themselves.
        errors: that clients saw because of a server; in TCP mode only refused connections are known.
        unattributed: responses 5xx that no server explains, such as 503 of HAProxy when none is there.
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
    """Adds up what load balancers count, from the first look at each of them on.

    A look costs next to nothing, however many servers there are: they are gone through at the end, and when
    counters begin again.
    """

    def __init__(self, backends: Collection[str] | None = None) -> None:
        """Begin to count; the first look at each load balancer is what later ones are compared with.

        Args:
            backends: of which responses are counted that no server explains; by default all.
        """
        self._backends = backends
        self._first: dict[str, Snapshot] = {}
        self._last: dict[str, Snapshot] = {}
        self._kept = Totals()

    def add(self, snapshot: Snapshot) -> None:
        """The next look at one load balancer."""
        name = snapshot.info.instance
        if name not in self._first:
            self._first[name] = snapshot
        elif _began_again(self._last[name], snapshot):
            self._count(self._kept, self._first[name], self._last[name])
            self._kept.gaps += 1
            self._first[name] = snapshot
        self._last[name] = snapshot

    def totals(self) -> Totals:
        """Up to the last look at each."""
        kept = self._kept
        found = replace(kept, unknown=set(kept.unknown))
        for name, first in self._first.items():
            self._count(found, first, self._last[name])
        return found

    def _count(self, totals: Totals, first: Snapshot, last: Snapshot) -> None:
        wanted = self._backends
        _count(totals, first, last, lambda backend: wanted is None or backend in wanted)


def summarize(totals: Totals, seconds: float) -> Traffic:
    """The event at the end of a rollout."""
    return Traffic(
        served=totals.requests,
        errors_5xx=totals.answered_5xx,
        duration_s=round(seconds, 3),
        errors=totals.errors if totals.http or totals.errors else None,
        unattributed=totals.unattributed,
        unknown=sorted(totals.unknown),
        gaps=totals.gaps,
    )


def _rows(snapshot: Snapshot) -> dict[str, RequestCounters]:
    return {backend.name: backend.counters for backend in snapshot.backends}


def _began_again(before: Snapshot, after: Snapshot) -> bool:
    """By the counters, not by the process: they may survive a reload, and may be cleared without one."""
    now = _rows(after)
    return any(went_back(then, now[name]) for name, then in _rows(before).items() if name in now)


def _count(totals: Totals, first: Snapshot, last: Snapshot, explained: Callable[[str], bool]) -> None:
    then, now = _rows(first), _rows(last)
    told = Counter[str]()
    for backend, change, answered_5xx in _signals(first, last, then, now):
        totals.requests += change.started
        totals.answered_5xx += answered_5xx
        totals.errors += change.known
        told[backend] += change.told
    for name, counters in now.items():
        if not counters.http:
            totals.unknown.add(name)
            continue
        totals.http = True
        if name in then and explained(name):
            totals.unattributed += max(0, counters.answered_5xx - then[name].answered_5xx - told[name])


def _signals(
    first: Snapshot,
    last: Snapshot,
    then: Mapping[str, RequestCounters],
    now: Mapping[str, RequestCounters],
) -> Sequence[tuple[str, Signals, int]]:
    """Backend, signals and own responses 5xx of each server that both looks have."""
    before, after = columns_of(first.servers), columns_of(last.servers)
    places = {name: index for index, name in enumerate(before.names)}
    found = []
    for name, counters in zip(after.names, after.counters, strict=True):
        place = places.get(name)
        if place is None:
            continue
        old, backend = before.counters[place], name[0]
        change = signals(Sample(old, then.get(backend)), Sample(counters, now.get(backend)))
        if change is not None:
            found.append((backend, change, counters.answered_5xx - old.answered_5xx))
    return found
