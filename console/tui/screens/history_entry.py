"""One entry of the journal: its timeline, and keys for its transcript, its verdicts and its export."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content

from backends.local_files import write_beside
from backends.text import format_local_time, visible, visible_json
from console.terminal.history import (
    STANDING_KINDS,
    has_no_end,
    missing_text,
    no_end_facts,
    no_end_text,
    operator_text,
    origin_text,
    period_text,
    plan_size_text,
    step_rows,
    step_times_text,
    traffic_text,
)
from console.terminal.timeline import GLYPHS, ROLLOUT, TimelineEntry, entries_by_node
from console.terminal.verdict import last_verdict_text
from orchestrator.events.events import Record
from orchestrator.events.json import encode, event_fields
from orchestrator.events.text import format_reason
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entry_summary import EntrySummary
from widgets.dialogs.base import Report, make_heading
from widgets.dialogs.elements import QUIET_STYLE, Entry, InlineButton, to_content
from widgets.dialogs.result import build_result_entries

STYLES = {
    "ok": "$text-success",
    "bad": "$text-error",
    "open": "$text-warning",
    "question": "$text-warning",
    "pause": "$text-warning",
    "note": "$text-warning",
}
FACT_CELLS = 10


class EntryScreen(Report[None]):
    """What an entry was about, how it ended, and what each node went through.

    Args:
        summary: of the entry.
        records: its events.
    """

    HELP = """
# One entry of the journal
First how it ended and what was out of rotation, then the timeline of each node. `t` shows every command with
its raw reply, `c` both versions over the rollout. `y` copies this page; `ctrl+s` writes the HTML report, and
`J` all events as lines of JSON, into the current folder.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "transcript", "log", id="entry.transcript", tooltip="Every command and every raw reply"),
        Binding("c", "chart", "verdicts", id="entry.chart", tooltip="Both versions over the rollout"),
        Binding("y", "copy", "copy", id="report.copy", tooltip="Copy this page to the clipboard"),
        Binding("ctrl+s", "save", "HTML", id="entry.html", tooltip="Write the HTML report to a file here"),
        Binding("J", "save_json", "JSON", id="entry.json", tooltip="Write its events as JSON to a file here"),
        Binding("q", "leave", "back", id="entry.back", tooltip="Back to the list", show=False),
    ]

    def __init__(self, summary: EntrySummary, records: Sequence[Record]) -> None:
        super().__init__()
        self._summary = summary
        self._records = records
        self._timeline = Timeline.of(records)

    def headline(self) -> Content:
        entry, summary = self._summary.entry, self._summary
        words = f"{entry.kind} {entry.id} of {entry.application}: {summary.what}"
        took = f" · {summary.times_text}" if summary.times_text else ""
        style = STYLES.get(STANDING_KINDS.get(summary.standing, ""), "$text-warning")
        return to_content(f"{words} · ") + to_content(summary.standing, style) + to_content(took)

    def entries(self) -> Sequence[Entry]:
        return [*self._facts(), *self._end(), *self._table(), *self._moments()]

    def buttons(self) -> Iterator[InlineButton]:
        yield InlineButton("close", "Close")

    @on(InlineButton.Pressed)
    def _pressed(self) -> None:
        self.dismiss(None)

    # -- the text -----------------------------------------------------------------------------

    def _facts(self) -> Iterator[Entry]:
        for label, value in self._list_facts():
            if value:
                yield Entry(to_content(f"{label:<{FACT_CELLS}}", QUIET_STYLE), to_content(value))

    def _list_facts(self) -> Iterator[tuple[str, str]]:
        entry, timeline = self._summary.entry, self._timeline
        yield "result", f"{self._summary.standing}{format_reason(entry.result, entry.reason)}"
        yield "", f"rolled back by {back}" if (back := self._summary.rolled_back_text) else ""
        yield "problem", f"cannot be read: {entry.problem}" if entry.problem else ""
        yield "when", period_text(entry)
        yield "by", operator_text(entry)
        yield "from", origin_text(timeline)
        yield "reason", timeline.reason
        yield "plan", plan_size_text(self._summary)
        yield "follows", f"entry {entry.follows}" if entry.follows is not None else ""
        yield "traffic", traffic_text(timeline)
        yield "verdict", last_verdict_text(timeline.state) if timeline.state.verdict is not None else ""
        if timeline.spans:
            yield "steps", step_times_text(timeline)
            yield "", timeline.times_text
        yield "journal", missing_text(timeline)

    def _end(self) -> Iterator[Entry]:
        ended = self._timeline.state.ended
        if ended is not None:
            yield from build_result_entries(ended)
        elif has_no_end(self._summary, self._timeline):
            yield make_heading(no_end_text(self._summary), "$text-warning")
            for label, value in no_end_facts(self._summary, self._timeline):
                yield Entry(to_content(f"  {label}: ", QUIET_STYLE), to_content(value))

    def _table(self) -> Iterator[Entry]:
        """Yield the time of each step of each node, in words: a table would not fit into 80 columns."""
        rows = list(step_rows(self._timeline))
        if rows:
            yield make_heading("Nodes, with the time of each step")
        for name, before, became, *times in rows:
            *steps, working, waiting = times
            took = "  ".join(f"{time}" for time in steps)
            text = f"{before} · {became} · {took} · working {working}, waiting {waiting}"
            yield Entry(to_content(f"  {name}  ", "bold"), to_content(text))

    def _moments(self) -> Iterator[Entry]:
        for name, moments in entries_by_node(self._timeline).items():
            yield make_heading(name if name != ROLLOUT else "The rollout")
            for moment in moments:
                yield from _lines_of(moment)

    # -- keys ---------------------------------------------------------------------------------

    def action_transcript(self) -> None:
        from console.tui.screens.detail import TranscriptScreen

        self.app.push_screen(TranscriptScreen(deque(self._records)))

    def action_chart(self) -> None:
        from console.tui.screens.chart import ChartScreen

        if self._timeline.state.verdict is None:
            self.notify("there was no verdict in this entry", timeout=3)
        else:
            self.app.push_screen(ChartScreen(lambda: self._timeline.state))

    def action_copy(self) -> None:
        lines = [self.headline(), *(entry.head + entry.body for entry in self.entries())]
        self.app.copy_to_clipboard("\n".join(line.plain for line in lines) + "\n")
        self.notify("copied", timeout=2)

    def action_save(self) -> None:
        from console.report.report import render_report

        text = render_report(self._summary, list(self._records))
        self._write(f"rolldeck-{self._summary.entry.id}.html", text.encode(errors="backslashreplace"))

    def action_save_json(self) -> None:
        number = self._summary.entry.id
        lines = [self._summary.fields() | {"plan": self._summary.entry.plan}]
        lines += [event_fields(record, entry=number) for record in self._records]
        text = "".join(f"{visible_json(encode(line).decode())}\n" for line in lines)
        self._write(f"rolldeck-{number}.jsonl", text.encode())

    def _write(self, name: str, content: bytes) -> None:
        try:
            path = write_beside(Path(name), content)
        except OSError as error:
            self.notify(f"{name} cannot be saved: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"saved to {visible(str(path.absolute()))}", markup=False)


def _lines_of(moment: TimelineEntry) -> Iterator[Entry]:
    style = STYLES.get(moment.kind, QUIET_STYLE)
    step = f"{moment.step:<8}{moment.took:>6}  " if moment.step else ""
    head = to_content(f"  {format_local_time(moment.at, '%H:%M:%S')} ", QUIET_STYLE)
    yield Entry(head + to_content(f"{GLYPHS[moment.kind]} ", style), to_content(f"{step}{moment.text}"))
    for line in moment.more:
        yield Entry(to_content(" " * 13), to_content(line, QUIET_STYLE))
