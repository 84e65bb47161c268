"""Error rate and response time of the new and the old version over a rollout, computed from its verdicts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.verdict_text import format_percent

NO_VALUE = "\N{EN DASH}"
_TOLERANCE = 1e-6  # of a column, for the errors of floats
MAX_POINTS = 240  # of a comparison; with more, neighbors are merged, so that a rollout of days has its curve


@dataclass(frozen=True, slots=True)
class GroupSample:
    """What one version got and did in a span of time.

    Attributes:
        requests: requests that it got.
        errors: those of them that clients saw fail.
        response_ms: its mean response time; None when it is not known.
    """

    requests: int = 0
    errors: int = 0
    response_ms: float | None = None

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed, 0 to 1; None without requests: that is no zero."""
        return self.errors / self.requests if self.requests else None

    def merge(self, other: "GroupSample") -> "GroupSample":
        """Return both as one; the mean response time is weighted by requests."""
        known = [sample for sample in (self, other) if sample.response_ms is not None]
        weight = sum(max(1, sample.requests) for sample in known)
        total = sum((sample.response_ms or 0.0) * max(1, sample.requests) for sample in known)
        return GroupSample(
            self.requests + other.requests, self.errors + other.errors, total / weight if known else None
        )


@dataclass(frozen=True, slots=True)
class ComparisonPoint:
    """Both versions in the same span of time.

    Attributes:
        began: seconds since 1970.
        ended: seconds since 1970.
        new: the version that is judged.
        old: the version of all other nodes.
    """

    began: float
    ended: float
    new: GroupSample
    old: GroupSample

    def merge(self, later: "ComparisonPoint") -> "ComparisonPoint":
        """Return one point for both spans."""
        return ComparisonPoint(self.began, later.ended, self.new.merge(later.new), self.old.merge(later.old))


Measure = Callable[[GroupSample], float | None]
"""A number of a sample, such as its error rate; None when it is not known."""


@dataclass(slots=True)
class Comparison:
    """Both versions over a rollout: give it every verdict, in order, and read it at any moment."""

    points: list[ComparisonPoint] = field(default_factory=list)
    _last: VerdictChanged | None = None
    _last_at: float = 0.0

    def apply(self, verdict: VerdictChanged, at: float) -> None:
        """Add the span since the verdict before.

        Args:
            verdict: whose counts are since the rollout began; where they went back, a span is left out.
            at: seconds since 1970.
        """
        before, began = self._last, self._last_at
        if before is not None and at <= began:
            return  # emitted together: the next one has the counts of both
        self._last, self._last_at = verdict, at
        if before is None:
            return
        new = _difference(verdict.requests - before.requests, verdict.errors - before.errors)
        old = _difference(
            verdict.other_requests - before.other_requests, verdict.other_errors - before.other_errors
        )
        if new is None or old is None or not (new.requests or old.requests):
            return
        self.points.append(
            ComparisonPoint(
                began,
                at,
                GroupSample(new.requests, new.errors, verdict.response_ms),
                GroupSample(old.requests, old.errors, verdict.other_response_ms),
            )
        )
        if len(self.points) > MAX_POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            odd = self.points[-1:] if len(self.points) % 2 else []
            self.points = [*(first.merge(second) for first, second in pairs), *odd]

    @property
    def began(self) -> float:
        """Seconds since 1970 of the first point; 0 without points."""
        return self.points[0].began if self.points else 0.0

    @property
    def ended(self) -> float:
        """Seconds since 1970 of the end of the last point; 0 without points."""
        return self.points[-1].ended if self.points else 0.0

    @property
    def seconds(self) -> float:
        """The span of all points in seconds."""
        return self.ended - self.began

    def columns(self, count: int) -> list[ComparisonPoint | None]:
        """Return the whole span in this many equal parts; None where nothing was measured."""
        columns: list[ComparisonPoint | None] = [None] * count
        scale = count / self.seconds if self.points else 0.0
        for point in self.points:
            first = min(count - 1, int((point.began - self.began) * scale + _TOLERANCE))
            last = min(count, math.ceil((point.ended - self.began) * scale - _TOLERANCE))
            for index in range(first, max(first + 1, last)):
                known = columns[index]
                columns[index] = point if known is None else known.merge(point)
        return columns


def measure_error_rate(sample: GroupSample) -> float | None:
    """Return the error rate, 0 to 1."""
    return sample.error_rate


def measure_response(sample: GroupSample) -> float | None:
    """Return the mean response time in milliseconds; None when it is not known."""
    value = sample.response_ms
    return value if sample.requests and value is not None and math.isfinite(value) else None


def find_top(points: Sequence[ComparisonPoint], measure: Measure) -> float:
    """Return the largest value of both versions, for a scale that they share; 0 when there is none."""
    values = (measure(sample) for point in points for sample in (point.new, point.old))
    return max((value for value in values if value is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """What a chart shows of both versions; `text` formats one value."""

    title: str  # where there is little room
    name: str
    measure: Measure
    text: Callable[[float], str]

    def format(self, value: float | None) -> str:
        """Return one value, or a dash where it is not known."""
        return NO_VALUE if value is None else self.text(value)


def format_response(value: float) -> str:
    """Return milliseconds in at most eight columns: `8.2 ms`, `120 ms`, `2.5 s`."""
    if value >= 99_950:
        return f"{min(value / 1000, 99_999):.0f} s"
    return (
        f"{value / 1000:.1f} s"
        if value >= 999.5
        else f"{value:.0f} ms"
        if value >= 9.95
        else f"{value:.1f} ms"
    )


METRICS = (
    Metric("errors", "error rate", measure_error_rate, format_percent),
    Metric("response", "response time", measure_response, format_response),
)


def _difference(requests: int, errors: int) -> GroupSample | None:
    """Return what came since the verdict before; None where counts went back, as after a resumed rollout."""
    return GroupSample(requests, errors) if requests >= 0 and errors >= 0 else None
