"""The transcript: every command with its raw reply, so that an operator can continue manually."""

from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from backends.text import abridge, counted, format_local_time, visible
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.judgement import Measured, VerdictChanged
from orchestrator.events.text import RepeatedEvents, describe, list_details
from widgets.searchable_lines import LinesView, SearchableLines
from widgets.segments import truncate

MAX_LINES = 20_000  # lines
MAX_REPLY = 128 * 1024  # characters of a reply that are shown; the journal has all of it
MARKS = {"command": " >", "failed": "✗>", "reply": " <", "event": " ·", "bad": " ✗"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the transcript; its text is already safe to print."""

    number: int
    time: str
    node: str
    step: str
    target: str
    kind: str  # of MARKS
    text: str

    def head(self, size: int = 8) -> str:
        """Return time, node, step and target in columns; a reply is indented below its command."""
        if self.kind == "reply":
            return " " * (18 + 2 * size)
        return f"{self.time:<8} {self.node:<{size}} {self.step:<7} {self.target:<{size}}"

    def __str__(self) -> str:
        return f"{self.head()} {MARKS[self.kind]} {self.text}".rstrip()


class Lines(LinesView[Line]):
    """The lines that pass the filter, in columns."""

    def build_text(self, line: Line, width: int) -> Text:
        # Cut before it is rendered, so that a line of 10 kB costs no more than its visible part.
        text = Text(no_wrap=True, end="")
        size = 8 if width < 100 else 14
        short = replace(line, node=truncate(line.node, size), target=truncate(line.target, size))
        text.append(f"{short.head(size)} ", self.style_of("head"))
        text.append(f"{MARKS[line.kind]} {line.text[: 4 * width]}", self.style_of(line.kind))
        return text


def make_lines(record: Record, number: int) -> list[Line]:
    """Return a record as lines, numbered from `number`: one line, or a command and its reply."""
    at = format_local_time(record.at, "%H:%M:%S")
    event = record.event
    if isinstance(event, events.CommandSending):
        return []  # the command follows with its reply
    node = visible(getattr(event, "node", getattr(event, "subject", "")))
    step = visible(getattr(event, "step", "") or "")
    if not isinstance(event, events.CommandFinished):
        kind = "bad" if _is_bad(event) else "event"
        return [
            Line(number + index, at, node, step, "", "reply" if index else kind, visible(text))
            for index, text in enumerate((describe(event), *list_details(event)))
        ]
    kind = "command" if event.ok else "failed"
    reply = abridge(event.reply.rstrip(), MAX_REPLY)
    texts = [event.command, *(reply.split("\n") if reply.strip() else ["(empty)"])]
    return [
        Line(number + index, at, node, step, visible(event.target), "reply" if index else kind, visible(text))
        for index, text in enumerate(texts)
    ]


def _is_bad(event: events.AnyEvent) -> bool:
    match event:
        case events.NodeFailed() | events.HookFired(ok=False) | VerdictChanged(state="bad"):
            return True
    return False


class Transcript(SearchableLines[Line]):
    """Commands with their raw replies, and one line for each other event; the last 20,000 lines.

    What only repeats an earlier event is left out, such as a `Waiting` that comes every second.
    """

    HELP = """
# Transcript
`>` was sent, `<` is the raw reply, `✗` failed, `·` is another event. It follows the end
until you scroll up; `f` follows again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "only", "node", id="only", tooltip="Only the next node's lines, then all again")
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(Lines(), id=id, classes=classes)
        self._all: deque[Line] = deque(maxlen=MAX_LINES)
        self._only = ""
        self._count = 0  # lines ever added
        self._repeats = RepeatedEvents()
        self._seen_nodes: dict[str, None] = {}  # in the order of their first line

    # -- what comes in ------------------------------------------------------------------------

    def add(self, record: Record) -> None:
        """Add the next record; records that come together are rendered once."""
        if isinstance(record.event, Measured) or self._repeats.has(record.event):
            return
        if node := getattr(record.event, "node", ""):
            self._seen_nodes.setdefault(visible(node))
        for line in make_lines(record, self._count + 1):
            self._keep(line)
        self.settle_later()

    def _keep(self, line: Line) -> None:
        self._count += 1
        if len(self._all) == MAX_LINES and self._view.lines and self._view.lines[0] is self._all[0]:
            self._view.lines.popleft()
            self._gone += 1
        self._all.append(line)
        if not self._only or line.node == self._only:
            self._view.lines.append(line)

    def describe(self) -> list[str]:
        parts = [f"only {self._only}" if self._only else "all nodes", counted(len(self._view.lines), "line")]
        return parts + ([f"the {self.dropped} oldest were dropped"] if self.dropped else [])

    # -- filter --------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """The number of lines that were dropped."""
        return self._count - len(self._all)

    @property
    def only(self) -> str:
        """The node whose lines are shown; empty for all."""
        return self._only

    @only.setter
    def only(self, node: str) -> None:
        self._only = visible(node)
        self._view.lines = deque(line for line in self._all if not self._only or line.node == self._only)
        self._view.following = True
        self.settle()

    def lines_as_text(self) -> str:
        """Return the shown lines, uncut, to be copied or saved."""
        first = (
            [f"({counted(self.dropped, 'older line')} dropped; {MAX_LINES} are kept)"] if self.dropped else []
        )
        return "\n".join([*first, *map(str, self._view.lines), ""])

    def action_only(self) -> None:
        names = ["", *self._seen_nodes]
        self.only = names[(names.index(self._only) + 1) % len(names)]
