"""Charts of error rate and response time: the new version against the old one, below the steps in time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from orchestrator.events.comparison import METRICS, Comparison, GroupSample, Metric, find_top


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of one version: commands of an SVG path, and its last value in words."""

    kind: str
    title: str
    path: str
    last: str


class VerdictChart:
    """One metric of both versions, in the units of the Gantt chart above it."""

    height: ClassVar = 96
    top: ClassVar = 16
    bottom: ClassVar = 84

    def __init__(
        self, comparison: Comparison, metric: Metric, x: Callable[[float], float], version: str
    ) -> None:
        """Lay out a comparison that has a point.

        Args:
            comparison: of both versions.
            metric: what is drawn.
            x: returns the position of a time, in seconds since 1970.
            version: of the new version's nodes.
        """
        self._comparison = comparison
        self._metric = metric
        self._x = x
        self._scale = find_top(comparison.points, metric.measure)
        self.name = metric.name
        self.most = metric.format(self._scale) if self._scale else ""
        self.curves = [self._curve("old", "others", old=True), self._curve("new", version, old=False)]

    def _curve(self, kind: str, name: str, *, old: bool) -> Curve:
        points = [
            (point.began, point.ended, point.old if old else point.new) for point in self._comparison.points
        ]
        last = self._metric.format(self._metric.measure(points[-1][2]))
        return Curve(kind, f"{name}: {self.name} {last} at the end", " ".join(self._commands(points)), last)

    def _commands(self, points: list[tuple[float, float, GroupSample]]) -> Iterator[str]:
        """Yield the path: a horizontal line for each span, connected unless something is missing between."""
        end: float | None = None
        for began, ended, sample in points:
            value = self._metric.measure(sample)
            if value is None:
                end = None
                continue
            y = self._y(value)
            yield f"{'L' if end == began else 'M'}{self._x(began)} {y}L{self._x(ended)} {y}"
            end = ended

    def _y(self, value: float) -> float:
        share = value / self._scale if self._scale else 0.0
        return round(self.bottom - share * (self.bottom - self.top), 1)


def make_charts(comparison: Comparison, x: Callable[[float], float], version: str) -> list[VerdictChart]:
    """Return a chart for each metric; none without a point."""
    return [VerdictChart(comparison, metric, x, version) for metric in METRICS if comparison.points]
