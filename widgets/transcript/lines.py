"""The lines of the transcript: made from records, each rendered when it comes into sight."""

from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events as ui
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.text import abridge, format_local_time, visible
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.text import describe, details
from widgets.segments import truncate

MAX_REPLY = 128 * 1024  # characters of a reply that are shown; the journal has all of it
MARKS = {"command": " >", "failed": "✗>", "reply": " <", "event": " ·", "bad": " ✗"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; its text is already safe to print."""

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


class Lines(ScrollView, can_focus=True):
    """The lines that pass the filter, each rendered when it comes into sight."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{kind}" for kind in (*MARKS, "head", "match", "here")}
    DEFAULT_CSS = """
    Lines { height: 1fr; overflow-x: hidden; overflow-y: scroll; }
    Lines > .lines--command { text-style: bold; }
    Lines > .lines--failed, Lines > .lines--bad { color: $error; text-style: bold; }
    Lines > .lines--head, Lines > .lines--event { color: $foreground 60%; }
    Lines > .lines--match { text-style: underline; }
    Lines > .lines--here { text-style: reverse; }
    Lines:nocolor > .lines--failed, Lines:nocolor > .lines--bad { color: $foreground; }
    """

    following: reactive[bool] = reactive(True)

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[Line] = deque()
        self.query_text = ""
        self.here = 0  # number of the line that the search has found

    def settle(self, gone: int = 0) -> None:
        """After lines came, and `gone` lines above went: what is read stays where it is, or the end shows."""
        self.virtual_size = Size(0, len(self.lines))
        if self.following:
            self.scroll_end(animate=False, immediate=True, force=True)
        elif gone:
            self.scroll_to(y=max(0, self.scroll_y - gone), animate=False, immediate=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.following = new_value >= self.max_scroll_y

    def on_resize(self, event: ui.Resize) -> None:
        self.settle()

    def render_line(self, y: int) -> Strip:
        index, width = y + int(self.scroll_y), self.scrollable_content_region.width
        base = self.rich_style
        if not 0 <= index < len(self.lines):
            return Strip.blank(width, base)
        text = self._painted(self.lines[index], width)
        return Strip(text.render(self.app.console)).adjust_cell_length(width, base).apply_style(base)

    def _painted(self, line: Line, width: int) -> Text:
        style = self._style(line.kind)
        # Cut before it is painted: a line of 10 kB costs as much as what is seen of it.
        text = Text(no_wrap=True, end="")
        size = 8 if width < 100 else 14
        short = replace(line, node=truncate(line.node, size), target=truncate(line.target, size))
        text.append(f"{short.head(size)} ", self._style("head"))
        text.append(f"{MARKS[line.kind]} {line.text[: 4 * width]}", style)
        if self.query_text and self.query_text in str(line).lower():
            kind = "here" if line.number == self.here else "match"
            text.highlight_words([self.query_text], self._style(kind), case_sensitive=False)
        text.truncate(max(1, width), overflow="ellipsis")
        return text

    def _style(self, kind: str) -> Style:
        return self.get_component_rich_style(f"lines--{kind}")


def lines_of(record: Record, number: int) -> list[Line]:
    """A record as lines, numbered from `number`: a command with each line of its reply, or one line."""
    at = format_local_time(record.at, "%H:%M:%S")
    event = record.event
    if isinstance(event, events.CommandSending):
        return []  # the command follows with its reply
    node = visible(getattr(event, "node", getattr(event, "subject", "")))
    step = visible(getattr(event, "step", ""))
    if not isinstance(event, events.CommandFinished):
        bad = isinstance(event, events.NodeFailed) or (isinstance(event, events.HookFired) and not event.ok)
        kind = "bad" if bad else "event"
        return [
            Line(number + index, at, node, step, "", "reply" if index else kind, visible(text))
            for index, text in enumerate((describe(event), *details(event)))
        ]
    kind = "command" if event.ok else "failed"
    reply = abridge(event.reply.rstrip(), MAX_REPLY)
    texts = [event.command, *(reply.split("\n") if reply.strip() else ["(empty)"])]
    return [
        Line(number + index, at, node, step, visible(event.target), "reply" if index else kind, visible(text))
        for index, text in enumerate(texts)
    ]
