"""The Gantt chart of a rollout: a row for each node, a bar for each step, marks for failures and questions.

Here it is calculated where everything lies; the template draws it. No text is escaped here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from backends.text import counted, format_clock, format_duration
from console.terminal.output import clean, shorten
from orchestrator.events import events
from orchestrator.events.steps import STEPS
from orchestrator.events.timeline import Timeline

NAME_COLUMNS = 20
MIN_BAR_WIDTH = 1.5  # so that a step which took no time is still visible
_ROW_HEIGHT = 24
_RIGHT_MARGIN = 20
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Bar:
    """What took its time: a step, or a pause.

    Attributes:
        kind: the step, "other" for a step of no known name, or "paused".
        idle: whether there was nothing to do meanwhile; it is drawn paler.
        title: shown while the pointer is on it.
    """

    kind: str
    x: float
    y: int
    width: float
    title: str
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A cross or a diamond around a point; `title` is shown while the pointer is on it."""

    kind: Literal["failed", "asked"]
    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a point: the name of a node, or a time of the grid."""

    x: float
    y: int
    text: str
    whole: str = ""


class Gantt:
    """The chart, in units of its own: it grows and shrinks as a whole."""

    width: ClassVar = 1100
    names_width: ClassVar = 150  # for the names of the nodes, on the left
    top: ClassVar = 26  # for the times of the grid
    bar_height: ClassVar = 14

    def __init__(self, timeline: Timeline) -> None:
        """Of a timeline in which at least one step was begun."""
        self._timeline = timeline
        self._began = min(timeline.state.began or timeline.spans[0].began, timeline.spans[0].began)
        self._seconds = max(timeline.last_at - self._began, 0.001)
        self._rows = {node: self.top + _ROW_HEIGHT * index for index, node in enumerate(timeline.nodes)}
        self.height = self.top + _ROW_HEIGHT * len(self._rows) + 6
        self.label = f"{counted(len(self._rows), 'node')} over {format_clock(self._seconds)}"
        self.pauses = list(self._pauses())
        self.failures = list(self._failures())
        self.questions = list(self._questions())
        self.waited = any(span.waited for span in timeline.spans)

    def ticks(self) -> Iterator[Label]:
        """The lines of the grid: at most eleven, with their times."""
        step_s = next((tick for tick in _TICKS_S if self._seconds / tick <= 10), self._seconds / 10)
        for number in range(int(self._seconds / step_s) + 1):
            x = self._x(self._began + number * step_s)
            yield Label(x, self.top - 12, format_clock(number * step_s))

    def names(self) -> Iterator[Label]:
        for node, y in self._rows.items():
            short = shorten(clean(node), NAME_COLUMNS)
            yield Label(self.names_width - 10, y + self.bar_height - 2, short, node)

    def steps(self) -> Iterator[Bar]:
        """A drain that waited for sessions is paler; so is what came after a verification: the bake."""
        for span in self._timeline.spans:
            y, ended = self._rows[span.node], span.ended or self._timeline.last_at
            title = f"{span.step} {format_duration(span.seconds)}: {span.detail}".removesuffix(": ")
            kind = span.step if span.step in STEPS else "other"
            waits = kind != "other" and STEPS.spec(kind).waits
            if waits or span.baked is None:
                idle = waits and bool(span.waits)
                yield self._bar(kind, span.began, ended, y, title, idle=idle)
            else:
                yield self._bar(kind, span.began, span.baked, y, title)
                yield self._bar(kind, span.baked, ended, y, title, idle=True)

    def _pauses(self) -> Iterator[Bar]:
        for pause in self._timeline.pauses:
            ended = pause.ended or self._timeline.last_at
            title = f"paused {format_duration(ended - pause.began)}"
            yield self._bar("paused", pause.began, ended, self.top - 6, title)

    def _failures(self) -> Iterator[Mark]:
        for span in self._timeline.spans:
            if span.result in ("failed", "interrupted"):
                title = f"{span.step} {span.result}: {span.detail}"
                yield self._mark("failed", span.node, span.ended or self._timeline.last_at, title)

    def _questions(self) -> Iterator[Mark]:
        """About nodes; without those that a failure has raised, because its cross stands there."""
        failed = {(span.node, span.ended) for span in self._timeline.spans if span.result == "failed"}
        for record in self._timeline.notes:
            event = record.event
            if isinstance(event, events.DecisionRequested) and event.subject in self._rows:
                if (event.subject, record.at) not in failed:
                    yield self._mark("asked", event.subject, record.at, event.text)

    def _x(self, at: float) -> float:
        share = min(1.0, max(0.0, (at - self._began) / self._seconds))
        return round(self.names_width + share * (self.width - self.names_width - _RIGHT_MARGIN), 2)

    def _bar(self, kind: str, began: float, ended: float, y: int, title: str, *, idle: bool = False) -> Bar:
        x = self._x(began)
        return Bar(kind, x, y, round(max(MIN_BAR_WIDTH, self._x(ended) - x), 2), title, idle)

    def _mark(self, kind: Literal["failed", "asked"], node: str, at: float, title: str) -> Mark:
        return Mark(kind, self._x(at), self._rows[node] + self.bar_height / 2, title)
