"""Requests per second, errors and response times of each server, from the differences of counters."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from backends.haproxy.columns import Columns, Name
from backends.model import RequestCounters
from orchestrator.balancers.request_errors import Sample, Signals, compute_signals, went_back
from orchestrator.balancers.response_times import ResponseTime, TimeReading, choose_response_time

TREND_LENGTH = 8  # rates that are kept of any number of servers
LONG_TREND_LENGTH, LONG_TREND_SERVERS = 30, 500  # rates that are kept of as many servers at most


@dataclass(frozen=True, eq=False)
class RowIndex:
    """The row of each server in the columns; the same object as long as nothing changes."""

    names: list[Name]

    @cached_property
    def index(self) -> dict[Name, int]:
        return {name: index for index, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True)
class RateSample:
    """The counters at one moment, in the order of the rows; None for a server that was not there."""

    at: float  # monotonic seconds
    counters: Sequence[RequestCounters | None]
    backends: Mapping[str, RequestCounters] = field(default_factory=dict)  # of the backends themselves
    response: Sequence[int | None] = ()  # HAProxy's average response times, milliseconds
    backend_response: Mapping[str, int | None] = field(default_factory=dict)  # likewise, of the backends

    def times(self, index: int) -> TimeReading | None:
        """Return what is known about the response times of a server; None when it was not there."""
        counters = self.counters[index]
        return TimeReading.of(counters, self.response[index]) if counters is not None else None


class IntervalRates:
    """Requests, or sessions in TCP mode, per second between two samples; each is computed when it is read.

    Most servers are behind no line that is visible, and those of a fleet are not shown at all.

    Args:
        rows: of both samples.
        before: the first sample.
        after: the next one.
    """

    def __init__(self, rows: RowIndex, before: RateSample, after: RateSample) -> None:
        self._rows = rows
        self._before = before
        self._after = after
        self._known: dict[int, float | None] = {}

    def of(self, rows: RowIndex, index: int) -> float | None:
        """Return the rate of a server, by its row among these rows, which may be newer ones."""
        row = index if rows is self._rows else self._rows.index.get(rows.names[index])
        if row is None:
            return None
        if row not in self._known:
            self._known[row] = _rate(self._before, self._after, row)
        return self._known[row]


@dataclass(frozen=True, slots=True)
class Rates:
    """The last few samples of the counters of one load balancer. Empty right after a reload."""

    rows: RowIndex = field(default_factory=lambda: RowIndex([]))
    samples: tuple[RateSample, ...] = ()
    intervals: tuple[IntervalRates, ...] = ()  # oldest first; more of them than samples with few servers

    def with_sample(
        self,
        rows: RowIndex,
        at: float,
        columns: Columns,
        backends: Mapping[str, RequestCounters] | None = None,
        backend_response: Mapping[str, int | None] | None = None,
    ) -> "Rates":
        """Return the rates with one more sample, and without the oldest ones."""
        kept = self.samples[-TREND_LENGTH:]
        if rows is not self.rows:
            kept = tuple(self._moved(sample, rows) for sample in kept)
        sample = RateSample(at, columns.counters, backends or {}, columns.response, backend_response or {})
        length = LONG_TREND_LENGTH if len(rows.names) <= LONG_TREND_SERVERS else TREND_LENGTH
        latest = [IntervalRates(rows, kept[-1], sample)] if kept else []
        return Rates(rows, (*kept, sample), (*self.intervals[1 - length :], *latest))

    def rate(self, index: int) -> float | None:
        """Return requests, or sessions in TCP mode, per second between the last two samples.

        None before the second sample, and when the counter went back: it was cleared or began again.
        """
        return self.intervals[-1].of(self.rows, index) if self.intervals else None

    def counts(self, index: int) -> tuple[int, int | None]:
        """Return requests between the last two samples, and in how many of them a client saw an error.

        The errors are None in TCP mode, where they are not known.
        """
        if len(self.samples) < 2:
            return 0, 0
        before, after = self.samples[-2:]
        if (requests := _requests_without_error(before.counters[index], after.counters[index])) is not None:
            return requests, 0
        latest = self._since(before, after, index)
        if latest is None:
            return 0, 0
        # From the oldest sample that is kept: what one sample has half of cancels out in the next one.
        oldest = self.samples[0]
        earlier, whole = self._since(oldest, before, index), self._since(oldest, after, index)
        if earlier is None or whole is None:
            earlier, whole = Signals(), latest
        if whole.hard is None or earlier.hard is None:
            return latest.started, None
        return max(0, whole.started - earlier.started), max(0, whole.hard - earlier.hard)

    def response_time(self, index: int) -> ResponseTime | None:
        """Return the mean response time over all samples that are kept, or else HAProxy's average."""
        if not self.samples or (now := self.samples[-1].times(index)) is None:
            return None
        for sample in self.samples[:-1]:
            before = sample.times(index)
            # Not where it was not there, its counters went back, or HAProxy's sum was exact only then.
            if before is not None and before.answered <= now.answered and before.is_exact <= now.is_exact:
                return choose_response_time(before, now)
        return choose_response_time(None, now)

    def unattributed(self) -> int:
        """Return how many 5xx responses no server explains, over all samples that are kept."""
        if len(self.samples) < 2:
            return 0
        first, last = self.samples[0], self.samples[-1]
        missing = dict[str, int]()
        for name, now in last.backends.items():
            then = first.backends.get(name)
            if then is not None and now.http and (unexplained := now.answered_5xx - then.answered_5xx) > 0:
                missing[name] = unexplained
        if not missing:
            return 0  # nearly always, and without going through all servers
        for index, (backend, _) in enumerate(self.rows.names):
            if (
                backend not in missing
                or _requests_without_error(first.counters[index], last.counters[index]) is not None
            ):
                continue
            if (signal := self._since(first, last, index)) is not None:
                missing[backend] -= signal.with_5xx
        return sum(max(0, errors) for errors in missing.values())

    def count_cut_off(self, backends: Collection[str]) -> int:
        """Return how many responses of these backends were cut off, over all samples that are kept."""
        if len(self.samples) < 2:
            return 0
        rows = (index for index, (backend, _) in enumerate(self.rows.names) if backend in backends)
        signals = (self._since(self.samples[0], self.samples[-1], index) for index in rows)
        return sum(signal.cut for signal in signals if signal is not None)

    def _since(self, before: RateSample, after: RateSample, index: int) -> Signals | None:
        """Return what happened to a server; None when it was not there, or its counters went back."""
        then, now = before.counters[index], after.counters[index]
        if then is None or now is None or before.at > after.at:
            return None
        backend = self.rows.names[index][0]
        return compute_signals(
            Sample(then, before.backends.get(backend)), Sample(now, after.backends.get(backend))
        )

    def trend(self, index: int) -> tuple[float, ...]:
        """Return the last known rates, oldest first, at most as many as are kept."""
        rates = (interval.of(self.rows, index) for interval in self.intervals)
        return tuple(rate for rate in rates if rate is not None)

    def _moved(self, sample: RateSample, rows: RowIndex) -> RateSample:
        """Return the counters in the new order: some servers came or went, the others keep their trend."""
        old = [self.rows.index.get(name) for name in rows.names]
        counters = [None if row is None else sample.counters[row] for row in old]
        response = [None if row is None else sample.response[row] for row in old]
        return replace(sample, counters=counters, response=response)


def _requests_without_error(then: RequestCounters | None, now: RequestCounters | None) -> int | None:
    """Return the requests of a server where nothing failed, as nearly always; None: it has to be computed."""
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
