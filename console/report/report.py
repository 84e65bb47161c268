"""The report of one journal entry: a single HTML file without scripts, which loads nothing.

All its markup is in the template, which escapes every value that it prints; nothing here makes any. The Gantt
chart has a row for each node, a bar for each step, and marks for failures and questions: positions and sizes
are calculated here, and the template draws them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from backends.text import counted, format_clock, format_duration, format_local_time
from console.report.verdict_chart import make_charts
from console.terminal.history import (
    STANDING_KINDS,
    has_no_end,
    missing_text,
    no_end_facts,
    no_end_text,
    node_columns,
    number_columns,
    operator_text,
    origin_text,
    period_text,
    plan_size_text,
    step_rows,
    step_times_text,
    traffic_text,
)
from console.terminal.output import clean, shorten
from console.terminal.rollout_text import reason_text
from console.terminal.timeline import GLYPHS, entries_by_node, reply_lines, sent_commands
from console.terminal.verdict import VERDICT_KINDS, last_verdict_text
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.steps import STEPS
from orchestrator.events.text import describe_mixed_versions
from orchestrator.events.timeline import Timeline
from orchestrator.events.ways_back import WAY_ON_LABELS, describe_intention, list_way_lines
from orchestrator.journal.entry_summary import EntrySummary, findings_of
from orchestrator.planning.findings import fold_findings

NAME_COLUMNS = 20
MIN_BAR_WIDTH = 1.5  # so that a step which took no time is still visible
_ROW_HEIGHT = 24
_RIGHT_MARGIN = 20
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart: a step, or a pause.

    Attributes:
        kind: the step, "other" for a step of no known name, or "paused".
        idle: whether it was only waiting, which is drawn paler.
        title: shown while the pointer is on the bar.
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
    """The chart, in units of its own, so that it scales as a whole."""

    width: ClassVar = 1100
    names_width: ClassVar = 150  # for the names of the nodes, on the left
    top: ClassVar = 26  # for the times of the grid
    bar_height: ClassVar = 14

    def __init__(self, timeline: Timeline) -> None:
        """Lay out a timeline in which at least one step has started."""
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
        """Yield the lines of the grid with their times, at most eleven."""
        step_s = next((tick for tick in _TICKS_S if self._seconds / tick <= 10), self._seconds / 10)
        for number in range(int(self._seconds / step_s) + 1):
            x = self.x(self._began + number * step_s)
            yield Label(x, self.top - 12, format_clock(number * step_s))

    def names(self) -> Iterator[Label]:
        for node, y in self._rows.items():
            short = shorten(clean(node), NAME_COLUMNS)
            yield Label(self.names_width - 10, y + self.bar_height - 2, short, node)

    def steps(self) -> Iterator[Bar]:
        """Yield a bar for each step; drains that waited for sessions, and bake time, are paler."""
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
        """Yield a mark for each question about a node, unless the cross of a failure is there."""
        failed = {(span.node, span.ended) for span in self._timeline.spans if span.result == "failed"}
        for record in self._timeline.notes:
            event = record.event
            if isinstance(event, events.DecisionRequested) and event.subject in self._rows:
                if (event.subject, record.at) not in failed:
                    yield self._mark("asked", event.subject, record.at, event.text)

    def x(self, at: float) -> float:
        """Return the position of a time, in seconds since 1970."""
        share = min(1.0, max(0.0, (at - self._began) / self._seconds))
        return round(self.names_width + share * (self.width - self.names_width - _RIGHT_MARGIN), 2)

    def _bar(self, kind: str, began: float, ended: float, y: int, title: str, *, idle: bool = False) -> Bar:
        x = self.x(began)
        return Bar(kind, x, y, round(max(MIN_BAR_WIDTH, self.x(ended) - x), 2), title, idle)

    def _mark(self, kind: Literal["failed", "asked"], node: str, at: float, title: str) -> Mark:
        return Mark(kind, self.x(at), self._rows[node] + self.bar_height / 2, title)


_MOMENT_CLASSES = {
    **{"ok": " ok", "bad": " bad", "open": " working", "same": "", "event": ""},
    **{"question": " warn", "pause": " warn", "note": " warn"},
}


def render_report(summary: EntrySummary, records: Sequence[Record]) -> str:
    """Return the whole file.

    Args:
        summary: of the entry.
        records: all events of the entry.
    """
    timeline = Timeline.of(records)
    gantt = Gantt(timeline) if timeline.spans else None
    state = timeline.state
    entry, ended = summary.entry, timeline.state.ended
    text = (
        _environment()
        .get_template("template.html.j2")
        .render(
            summary=summary,
            entry=entry,
            title=f"{entry.application}: {summary.what}",
            standing_class=STANDING_KINDS.get(summary.standing, ""),
            reason=reason_text(entry.result, entry.reason),
            facts=_facts(summary, timeline),
            ended=ended,
            mixed=describe_mixed_versions(ended.versions) if ended is not None else "",
            no_end_text=no_end_text(summary) if has_no_end(summary, timeline) else "",
            no_end=no_end_facts(summary, timeline),
            gantt=gantt,
            verdict=state.verdict,
            verdict_text=last_verdict_text(state),
            charts=make_charts(state.comparison, gantt.x, state.version) if gantt is not None else [],
            columns=node_columns(),
            numbers=number_columns(),
            rows=list(step_rows(timeline)),
            timeline=entries_by_node(timeline),
            findings=fold_findings(findings_of(entry)),
            commands=list(sent_commands(records)),
        )
    )
    return f"{text}\n"


def _facts(summary: EntrySummary, timeline: Timeline) -> Iterator[tuple[str, str]]:
    entry = summary.entry
    problem = f", cannot be read: {entry.problem}" if entry.problem else ""
    facts = {
        "Entry": f"{entry.id} ({entry.kind}){problem}",
        "Rolled back": f"by entry {summary.rolled_back_text}" if summary.rolled_back else "",
        "When": f"{period_text(entry)} ({format_local_time(entry.began, 'UTC%z')})",
        "By": operator_text(entry),
        "From": origin_text(timeline),
        "Reason": timeline.reason,
        "Nodes": f"{summary.nodes} done",
        "Steps": f"{step_times_text(timeline)}; {timeline.times_text}" if timeline.spans else "",
        "Traffic": traffic_text(timeline),
        "Plan": plan_size_text(summary),
        "Follows": "" if entry.follows is None else f"entry {entry.follows}",
        "Journal": missing_text(timeline),
    }
    return ((name, value) for name, value in facts.items() if value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("console", "report"),
        autoescape=True,
        finalize=_make_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "duration": format_duration, "when": format_local_time}
    environment.globals |= {
        "GLYPHS": GLYPHS,
        "MOMENT_CLASSES": _MOMENT_CLASSES,
        "WAY_ON_LABELS": WAY_ON_LABELS,
        "STEPS": STEPS,
        "VERDICT_KINDS": VERDICT_KINDS,
        "reply_lines": reply_lines,
        "list_way_lines": list_way_lines,
        "describe_intention": describe_intention,
    }
    return environment


def _make_visible(value: object) -> object:
    """Make a value harmless before it is escaped; the result of a macro has been through this already.

    Text from outside is thus made harmless twice: it controls no terminal or editor, and it is no markup.
    """
    return value if isinstance(value, Markup) else clean(str(value))
