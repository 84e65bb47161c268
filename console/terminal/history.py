"""The journal as text: the table of its entries, and one entry in detail."""

import shlex
import textwrap
import time
from collections.abc import Iterator, Sequence

from backends.name_ranges import fold_names
from backends.text import counted, format_duration, format_local_time
from console.terminal.output import clean, paint, shorten, table, width
from console.terminal.rollout_text import ending_lines, reason_text
from console.terminal.timeline import GLYPHS, ROLLOUT, TimelineEntry, entries_by_node
from console.terminal.verdict import last_verdict_text, paint_verdict
from orchestrator.events.actor import describe_origin
from orchestrator.events.spans import StepTimes
from orchestrator.events.state import DONE
from orchestrator.events.steps import STEPS
from orchestrator.events.text import describe
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entries import NO_ROLLOUTS, UNKNOWN, Entry
from orchestrator.journal.entry_summary import EntrySummary, batches_of

HEADER = ("ID", "WHEN", "APP", "WHAT", "BY", "RESULT", "NODES", "TOOK")
# Columns that are narrowed, in this order, and the width that they keep.
MIN_COLUMNS = {"BY": 6, "APP": 6, "WHAT": 21}
RECENT_S = 300 * 86_400.0  # for so long, a date needs no year
STANDING_KINDS = {
    "healthy": "ok",
    "degraded": "bad",
    "aborted": "warn",
    "running": "working",
    "interrupted": "bad",
}
MAX_CELL_COLUMNS = 60  # of one cell, on however wide a terminal


_GLYPH_KINDS = {
    "ok": "ok",
    "bad": "bad",
    "open": "working",
    "question": "warn",
    "pause": "warn",
    "note": "warn",
}


def number_columns() -> tuple[str, ...]:
    """Return the headings of the columns that have durations."""
    return (*(step.upper() for step in STEPS), "WORK", "WAIT")


def node_columns() -> tuple[str, ...]:
    """Return the headings of the table of nodes."""
    return ("NODE", "BEFORE", "BECAME", *number_columns())


def entry_table(entries: Sequence[EntrySummary], columns: int) -> Iterator[str]:
    """Yield a table of entries that fits into this many columns if possible; 0 for no limit."""
    rows = _cells(entries, "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M")
    if columns and _excess_columns(rows, columns) > 0:
        # As `ls` does: the time of recent entries, the year of old ones.
        rows = _fit(_cells(entries, "%m-%d %H:%M", "%Y-%m-%d"), columns)
    head, *lines = table(HEADER, rows, right=("ID", "NODES", "TOOK"))
    yield head
    for line, summary in zip(lines, entries, strict=True):
        kind = STANDING_KINDS.get(summary.standing, "info")
        yield line if kind == "ok" else paint(line, kind)


def _cells(entries: Sequence[EntrySummary], new: str, old: str) -> list[list[str]]:
    recent = time.time() - RECENT_S
    return [
        [
            shorten(clean(cell), MAX_CELL_COLUMNS)
            for cell in _row(summary, new if summary.entry.began > recent else old)
        ]
        for summary in entries
    ]


def _row(summary: EntrySummary, form: str) -> tuple[str, ...]:
    entry = summary.entry
    took = summary.took_text or "-"
    head = (
        str(entry.id),
        format_local_time(entry.began, form),
        entry.application,
        summary.what,
        entry.operator,
    )
    return (*head, summary.standing, summary.nodes, took)


def _column_widths(rows: list[list[str]]) -> list[int]:
    return [max([len(title), *(width(row[index]) for row in rows)]) for index, title in enumerate(HEADER)]


def _excess_columns(rows: list[list[str]], columns: int) -> int:
    return sum(_column_widths(rows)) + 2 * (len(HEADER) - 1) - columns


def _fit(rows: list[list[str]], columns: int) -> list[list[str]]:
    for title, least in MIN_COLUMNS.items():
        index = HEADER.index(title)
        size = max(least, _column_widths(rows)[index] - max(0, _excess_columns(rows, columns)))
        rows = [[*row[:index], shorten(row[index], size), *row[index + 1 :]] for row in rows]
    return rows


def entry_lines(summary: EntrySummary, timeline: Timeline, columns: int) -> Iterator[str]:
    """Yield one entry in detail: who, when, the result, the time of each step, and what nodes went through.

    Args:
        summary: of the entry.
        timeline: of its events.
        columns: at which long lines of the timeline are wrapped; 0 for no wrapping.
    """
    entry = summary.entry
    yield f"{entry.kind} {entry.id} of {clean(entry.application)}: {clean(summary.what)}"
    yield from _facts(summary, timeline)
    rows = list(step_rows(timeline))
    if rows:
        yield ""
        yield from table(node_columns(), rows, right=number_columns())
    for name, moments in entries_by_node(timeline).items():
        yield ""
        yield clean(name) if name != ROLLOUT else "general"
        for moment in moments:
            yield from _timeline_lines(moment, columns)
    last = list(_end_lines(summary, timeline))
    yield from ["", *last] if last else []


def _facts(summary: EntrySummary, timeline: Timeline) -> Iterator[str]:
    entry = summary.entry
    result = paint(clean(summary.standing), STANDING_KINDS.get(summary.standing, "info"))
    yield f"  result    {result}{reason_text(entry.result, entry.reason)}"
    if back := summary.rolled_back_text:
        yield f"            rolled back by {clean(back)}"
    if entry.problem:
        yield f"  entry     {paint(clean(f'cannot be read: {entry.problem}'), 'bad')}"
    yield f"  when      {period_text(entry)} ({format_local_time(entry.began, 'UTC%z')})"
    yield f"  by        {clean(operator_text(entry))}"
    if origin := origin_text(timeline):
        yield f"  from      {clean(origin)}"
    if timeline.reason:
        yield f"  reason    {clean(timeline.reason)}"
    yield f"  plan      {plan_size_text(summary)}"
    if entry.follows is not None:
        yield f"  follows   {entry.follows}: rolldeck history show {entry.follows}"
    if timeline.traffic is not None:
        traffic = timeline.traffic
        errors = traffic.errors_5xx if traffic.errors is None else traffic.errors
        kind = "bad" if errors or traffic.unattributed else "ok"
        yield f"  traffic   {paint(traffic_text(timeline), kind)}"
    if verdict := timeline.state.verdict:
        yield f"  verdict   {paint_verdict(last_verdict_text(timeline.state), verdict)}"
    if timeline.spans:
        yield f"  steps     {step_times_text(timeline)}"
        yield f"            {timeline.times_text}"
    if timeline.missing:
        yield f"  journal   {paint(missing_text(timeline), 'bad')}"


def period_text(entry: Entry) -> str:
    """Return when an entry began and ended."""
    until = f" to {format_local_time(entry.ended, '%H:%M:%S')}" if entry.ended is not None else ", no end"
    return f"{format_local_time(entry.began)}{until}"


def operator_text(entry: Entry) -> str:
    """Return who began an entry, and by which process."""
    return f"{entry.operator}, process {entry.pid} on {entry.host}"


def missing_text(timeline: Timeline) -> str:
    """Return how many events are missing; empty when none is."""
    return f"not whole: {counted(timeline.missing, 'event')} missing" if timeline.missing else ""


def origin_text(timeline: Timeline) -> str:
    """Return from where, and with which uid and SSH key, the operator worked; empty when unknown."""
    return describe_origin(timeline.began.origin) if timeline.began is not None else ""


def plan_size_text(summary: EntrySummary) -> str:
    """Return whether the plan is intact, and its size."""
    if not summary.entry.intact:
        return "NOT intact: it was changed"
    if summary.entry.kind in NO_ROLLOUTS:
        return "intact"
    size = len(batches_of(summary.entry))
    batches = counted(size, "batch")
    return f"intact: {counted(summary.total, 'node')} in {batches}"


def traffic_text(timeline: Timeline) -> str:
    """Return the requests and errors during the rollout; empty when they were not counted."""
    return "" if timeline.traffic is None else describe(timeline.traffic)


def step_times_text(timeline: Timeline) -> str:
    """Return the time that each step took, of all nodes together."""
    done = {span.step for span in timeline.spans}
    return ", ".join(
        f"{step} {format_duration(timeline.duration_of(step))}" for step in STEPS if step in done
    )


def step_rows(timeline: Timeline) -> Iterator[tuple[str, ...]]:
    """Yield a row for each node with the time of each step, under `node_columns`."""
    for name in timeline.nodes:
        own = [span for span in timeline.spans if span.node == name]
        done = {span.step for span in own}
        took = [format_duration(timeline.duration_of(step, name)) if step in done else "-" for step in STEPS]
        times = StepTimes.of(own)
        before = timeline.state.before.get(name, "?")
        sums = [format_duration(times.working), format_duration(times.waiting)] if own else ["-", "-"]
        yield (name, before, timeline.node_result(name), *took, *sums)


def _timeline_lines(moment: TimelineEntry, columns: int) -> Iterator[str]:
    kind = _GLYPH_KINDS.get(moment.kind)
    glyph = paint(GLYPHS[moment.kind], kind) if kind else GLYPHS[moment.kind]
    step = f"{clean(moment.step):<8}{moment.took:>6}  " if moment.step else ""
    first, *others = _wrap(f"{step}{clean(moment.text)}", columns - 13, len(step)) or [step]
    yield f"  {format_local_time(moment.at, '%H:%M:%S')} {glyph} {first}".rstrip()
    for more in moment.more:
        others += _wrap(clean(more), columns - 15, 2)
    for line in others:
        yield f"{' ' * 13}{line}"


def _wrap(text: str, columns: int, indent: int) -> list[str]:
    """Wrap text to this many columns; leave it as it is where that is too narrow."""
    if columns < 40:
        return [text]
    return textwrap.wrap(text, columns, subsequent_indent=" " * indent)


def _end_lines(summary: EntrySummary, timeline: Timeline) -> Iterator[str]:
    """Yield the result and what was out of rotation with the commands; or that nothing was recorded."""
    if timeline.state.ended is not None:
        yield from ending_lines(timeline.state.ended)
    elif has_no_end(summary, timeline):
        yield paint(no_end_text(summary), "working")
        for label, value in no_end_facts(summary, timeline):
            yield f"  {label + ':':<26}{clean(value)}"


def has_no_end(summary: EntrySummary, timeline: Timeline) -> bool:
    """Return whether it is a rollout without a result."""
    return timeline.state.ended is None and summary.entry.kind not in (*NO_ROLLOUTS, UNKNOWN)


def no_end_text(summary: EntrySummary) -> str:
    """Return why there is no result."""
    if summary.standing == "running":
        return "it still runs"
    return f"{summary.standing}: what is out of rotation was not recorded"


def no_end_facts(summary: EntrySummary, timeline: Timeline) -> Iterator[tuple[str, str]]:
    """Yield, for a rollout without a result, the nodes that it had started, and commands to go on with."""
    application = shlex.quote(summary.entry.application)
    touched = dict.fromkeys(span.node for span in timeline.spans)
    done = {node.name for node in timeline.state.nodes.values() if node.state in DONE}
    left = [name for name in touched if name not in done]
    if left:
        yield "begun and not finished", fold_names(left)
    yield "check it", f"rolldeck status {application}"
    if summary.standing != "running":
        yield "finish it", f"rolldeck resume {application}"
