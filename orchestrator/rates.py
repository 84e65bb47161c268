"""Rates from the differences of counters: requests per second and the share of errors, server by server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from backends.columns import Columns, Name

TREND = 8  # rates that are kept
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Places:
    """Which server stands where in the columns. The same object as long as nothing changes."""

    names: list[Name]

    @cached_property
    def index(self) -> dict[Name, int]:
        return {name: index for index, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters at one moment, in the order of the places; -1 for a server that was not there."""

    at: float  # monotonic seconds
    requests: Sequence[int]
    errors: Sequence[int]


@dataclass(frozen=True, slots=True)
class Rates:
    """The last few looks at the counters of one load balancer. Empty right after a reload."""

    places: Places = field(default_factory=lambda: Places([]))
    samples: tuple[Sample, ...] = ()

    def with_sample(self, places: Places, at: float, columns: Columns) -> "Rates":
        """One look later."""
        kept = self.samples[-TREND:]
        if places is not self.places:
            kept = tuple(self._moved(each, places) for each in kept)
        return Rates(places, (*kept, Sample(at, columns.requests, columns.errors_5xx)))

    def rate(self, index: int) -> float | None:
        """Requests per second between the last two looks.

        None before the second look, and when the counter went back: it was cleared or began again.
        """
        return _rate(self.samples[-2], self.samples[-1], index) if len(self.samples) > 1 else None

    def counts(self, index: int) -> tuple[int, int]:
        """Responses between the last two looks, and how many of them were 5xx."""
        if len(self.samples) < 2:
            return 0, 0
        before, after = self.samples[-2:]
        if not before.at < after.at or not 0 <= before.requests[index] <= after.requests[index]:
            return 0, 0
        return (
            after.requests[index] - before.requests[index],
            max(0, after.errors[index] - before.errors[index]),
        )

    def trend(self, index: int) -> tuple[float, ...]:
        """The last rates that are known, oldest first, at most `TREND`."""
        pairs = zip(self.samples, self.samples[1:], strict=False)
        rates = (_rate(before, after, index) for before, after in pairs)
        return tuple(each for each in rates if each is not None)

    def _moved(self, sample: Sample, places: Places) -> Sample:
        """The same counters where the servers stand now: some came or went, the others keep their trend."""
        where = [self.places.index.get(name, _UNKNOWN) for name in places.names]
        return Sample(sample.at, _picked(sample.requests, where), _picked(sample.errors, where))


def _picked(column: Sequence[int], where: list[int]) -> list[int]:
    return [column[place] if place >= 0 else _UNKNOWN for place in where]


def _rate(before: Sample, after: Sample, index: int) -> float | None:
    seconds, done = after.at - before.at, after.requests[index] - before.requests[index]
    return done / seconds if seconds > 0 and done >= 0 <= before.requests[index] else None
