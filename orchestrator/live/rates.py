"""Rates from the differences of counters: requests per second and the share of errors, server by server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from backends.haproxy.columns import Columns, Name
from backends.model import RequestCounters
from orchestrator.balancers.request_errors import Sample, Signals, signals, went_back

TREND_LENGTH = 8  # rates that are kept


@dataclass(frozen=True, eq=False)
class RowIndex:
    """Which server stands where in the columns. The same object as long as nothing changes."""

    names: list[Name]

    @cached_property
    def index(self) -> dict[Name, int]:
        return {name: index for index, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True)
class RateSample:
    """The counters at one moment, in the order of the places; None for a server that was not there."""

    at: float  # monotonic seconds
    counters: Sequence[RequestCounters | None]
    backends: Mapping[str, RequestCounters] = field(default_factory=dict)  # of their own rows


@dataclass(frozen=True, slots=True)
class Rates:
    """The last few looks at the counters of one load balancer. Empty right after a reload."""

    places: RowIndex = field(default_factory=lambda: RowIndex([]))
    samples: tuple[RateSample, ...] = ()

    def with_sample(
        self,
        places: RowIndex,
        at: float,
        columns: Columns,
        backends: Mapping[str, RequestCounters] | None = None,
    ) -> "Rates":
        """One look later."""
        kept = self.samples[-TREND_LENGTH:]
        if places is not self.places:
            kept = tuple(self._moved(sample, places) for sample in kept)
        return Rates(places, (*kept, RateSample(at, columns.counters, backends or {})))

    def rate(self, index: int) -> float | None:
        """Requests, or sessions in TCP mode, per second between the last two looks.

        None before the second look, and when the counter went back: it was cleared or began again.
        """
        return _rate(self.samples[-2], self.samples[-1], index) if len(self.samples) > 1 else None

    def counts(self, index: int) -> tuple[int, int | None]:
        """Requests between the last two looks, and in how many of them a client saw an error.

        The errors are None in TCP mode, where they are not known.
        """
        if len(self.samples) < 2:
            return 0, 0
        before, after = self.samples[-2:]
        if (sound := _sound(before.counters[index], after.counters[index])) is not None:
            return sound, 0
        latest = self._since(before, after, index)
        if latest is None:
            return 0, 0
        # From the oldest look that is kept: what one look sees half of cancels out in the next one.
        oldest = self.samples[0]
        earlier, whole = self._since(oldest, before, index), self._since(oldest, after, index)
        if earlier is None or whole is None:
            earlier, whole = Signals(), latest
        if whole.hard is None or earlier.hard is None:
            return latest.started, None
        return max(0, whole.started - earlier.started), max(0, whole.hard - earlier.hard)

    def unattributed(self) -> int:
        """Responses 5xx that no server explains, over all looks that are kept."""
        if len(self.samples) < 2:
            return 0
        first, last = self.samples[0], self.samples[-1]
        missing = dict[str, int]()
        for name, now in last.backends.items():
            then = first.backends.get(name)
            if then is not None and now.http and (told := now.answered_5xx - then.answered_5xx) > 0:
                missing[name] = told
        if not missing:
            return 0  # nearly always, and without a look at every server
        for index, (backend, _) in enumerate(self.places.names):
            if backend not in missing or _sound(first.counters[index], last.counters[index]) is not None:
                continue
            if (signal := self._since(first, last, index)) is not None:
                missing[backend] -= signal.told
        return sum(max(0, errors) for errors in missing.values())

    def _since(self, before: RateSample, after: RateSample, index: int) -> Signals | None:
        """None when it was not there, its counters went back, or no time has passed."""
        then, now = before.counters[index], after.counters[index]
        if then is None or now is None or before.at > after.at:
            return None
        backend = self.places.names[index][0]
        return signals(Sample(then, before.backends.get(backend)), Sample(now, after.backends.get(backend)))

    def trend(self, index: int) -> tuple[float, ...]:
        """The last rates that are known, oldest first, at most `TREND_LENGTH`."""
        pairs = zip(self.samples, self.samples[1:], strict=False)
        rates = (_rate(before, after, index) for before, after in pairs)
        return tuple(rate for rate in rates if rate is not None)

    def _moved(self, sample: RateSample, places: RowIndex) -> RateSample:
        """The same counters where the servers stand now: some came or went, the others keep their trend."""
        where = [self.places.index.get(name) for name in places.names]
        counters = [None if place is None else sample.counters[place] for place in where]
        return RateSample(sample.at, counters, sample.backends)


def _sound(then: RequestCounters | None, now: RequestCounters | None) -> int | None:
    """The requests of a server on which nothing failed, as on most of ten thousand; None: look closer."""
    if then is None or now is None or not now.http or now.total < then.total:
        return None
    failed = now.answered_5xx, now.refused, now.broken, now.server_aborts
    if failed != (then.answered_5xx, then.refused, then.broken, then.server_aborts):
        return None
    return max(0, now.requests - then.requests)


def _rate(before: RateSample, after: RateSample, index: int) -> float | None:
    seconds, then, now = after.at - before.at, before.counters[index], after.counters[index]
    if seconds <= 0 or then is None or now is None or went_back(then, now):
        return None
    return max(0, now.requests - then.requests) / seconds
