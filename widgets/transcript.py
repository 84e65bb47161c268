"""The transcript: every command with its raw reply, so that an operator can continue manually."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events as ui
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input, Static

from backends.text import abridge, counted, format_local_time, visible
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.judgement import Measured, VerdictChanged
from orchestrator.events.text import RepeatedEvents, describe, list_details
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


class Lines(ScrollView, can_focus=True):
    """The lines that pass the filter, each rendered when it comes into sight."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{kind}" for kind in (*MARKS, "head", "match", "here")}
    DEFAULT_CSS = """
    Lines { height: 1fr; overflow-x: hidden; overflow-y: scroll; }
    Lines > .lines--command { text-style: bold; }
    Lines > .lines--failed, Lines > .lines--bad { color: $text-error; text-style: bold; }
    Lines > .lines--head, Lines > .lines--event { color: $foreground-muted; }
    Lines > .lines--match { text-style: underline; }
    Lines > .lines--here { text-style: reverse; }
    Lines:nocolor > .lines--failed, Lines:nocolor > .lines--bad { color: $foreground; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"scroll_{where}", where, show=False, id=f"lines-{where}", tooltip=tooltip)
        for key, where, tooltip in (
            ("k", "up", "A line up"),
            ("j", "down", "A line down"),
            ("g", "home", "To the beginning"),
            ("G", "end", "To the end"),
        )
    ]
    following: reactive[bool] = reactive(True)

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[Line] = deque()
        self.query_text = ""
        self.here = 0  # number of the line that the search has found

    def settle(self, gone: int = 0) -> None:
        """Show added lines, with `gone` lines removed above; the position stays, or follows the end."""
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
        text = self._build_text(self.lines[index], width)
        return Strip(text.render(self.app.console)).adjust_cell_length(width, base).apply_style(base)

    def _build_text(self, line: Line, width: int) -> Text:
        style = self._style(line.kind)
        # Cut before it is rendered, so that a line of 10 kB costs no more than its visible part.
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


class Search(Input):
    """The line in which the searched text is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="search-leave", tooltip="Back to the lines")
    ]

    def action_leave(self) -> None:
        self.remove_class("-shown")
        if self.parent is not None:
            self.screen.query_one(Lines).focus()


class Transcript(Vertical):
    """Commands with their raw replies, and one line for each other event; the last 20,000 lines.

    What only repeats an earlier event is left out, such as a `Waiting` that comes every second.
    """

    HELP = """
# Transcript
`>` was sent, `<` is the raw reply, `✗` failed, `·` is another event. It follows the end
until you scroll up; `f` follows again.
"""
    DEFAULT_CSS = """
    Transcript > Search { display: none; height: 1; border: none; padding: 0 1; }
    Transcript > Search.-shown { display: block; }
    Transcript > Static { height: 1; color: $foreground-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", id="search", tooltip="Find a text"),
        Binding("n", "next(1)", "next", id="search-next", tooltip="The next line with this text"),
        Binding("N", "next(-1)", "previous", id="search-previous", tooltip="The one before", show=False),
        Binding("o", "only", "node", id="only", tooltip="Only the next node's lines, then all again"),
        Binding("f", "follow", "follow", id="follow", tooltip="To the end, and stay there"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._all: deque[Line] = deque(maxlen=MAX_LINES)
        self._view, self._search, self._status = Lines(), Search(compact=True), Static(markup=False)
        self._only = ""
        self._count = self._gone = 0  # lines ever added; lines that went from the view since it was drawn
        self._repeats = RepeatedEvents()
        self._seen_nodes: dict[str, None] = {}  # in the order of their first line
        self._pending = False

    def compose(self) -> ComposeResult:
        yield self._view
        yield self._search
        yield self._status

    def focus(self, scroll_visible: bool = True) -> "Transcript":
        self._view.focus(scroll_visible)
        return self

    # -- what comes in ------------------------------------------------------------------------

    def add(self, record: Record) -> None:
        """Add the next record; records that come together are rendered once."""
        if isinstance(record.event, Measured) or self._repeats.has(record.event):
            return
        if node := getattr(record.event, "node", ""):
            self._seen_nodes.setdefault(visible(node))
        for line in make_lines(record, self._count + 1):
            self._keep(line)
        if not self._pending and self.is_mounted:
            self._pending = True
            self.call_later(self._settle)

    def _keep(self, line: Line) -> None:
        self._count += 1
        if len(self._all) == MAX_LINES and self._view.lines and self._view.lines[0] is self._all[0]:
            self._view.lines.popleft()
            self._gone += 1
        self._all.append(line)
        if not self._only or line.node == self._only:
            self._view.lines.append(line)

    def on_mount(self) -> None:
        self.watch(self._view, "following", self._tell, init=False)
        self._settle()

    def _settle(self) -> None:
        self._pending = False
        self._view.settle(self._gone)
        self._gone = 0
        self._tell()

    def _tell(self) -> None:
        parts = [f"only {self._only}" if self._only else "all nodes", counted(len(self._view.lines), "line")]
        parts += [f"the {self.dropped} oldest were dropped"] if self.dropped else []
        parts += (
            [f"{len(list(self._found()))} with {self._view.query_text!r}"] if self._view.query_text else []
        )
        parts += ["follows" if self._view.following else "not following, f: follow"]
        self._status.update(Text(visible(" · ".join(parts)), no_wrap=True, overflow="ellipsis"))

    # -- search and filter --------------------------------------------------------------------

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
        self._settle()

    def search(self, text: str) -> int:
        """Mark every line with this text, whatever its case, and go to the first one from what is seen on.

        Returns:
            How many lines have it.
        """
        self._view.query_text = visible(text).lower()
        seen = [line.number for line in self._view.lines]
        top = int(self._view.scroll_y)
        self._view.here = seen[top] - 1 if top < len(seen) else 0
        self.action_next(1)
        return len(list(self._found()))

    def lines_as_text(self) -> str:
        """Return the shown lines, uncut, to be copied or saved."""
        first = (
            [f"({counted(self.dropped, 'older line')} dropped; {MAX_LINES} are kept)"] if self.dropped else []
        )
        return "\n".join([*first, *map(str, self._view.lines), ""])

    def action_search(self) -> None:
        self._search.add_class("-shown")
        self._search.focus()

    def action_next(self, direction: int) -> None:
        found = list(self._found())
        if found:
            here = self._view.here
            ahead = [match for match in found[::direction] if (match[1] - here) * direction > 0]
            index, self._view.here = ahead[0] if ahead else found[::direction][0]
            self._view.scroll_to(y=max(0, index - self._view.size.height // 2), animate=False, immediate=True)
        self._view.refresh()
        self._tell()

    def action_only(self) -> None:
        names = ["", *self._seen_nodes]
        self.only = names[(names.index(self._only) + 1) % len(names)]

    def action_follow(self) -> None:
        self._view.following = True
        self._settle()

    @on(Input.Submitted)
    def _searched(self, event: Input.Submitted) -> None:
        event.stop()
        self.search(event.value)
        self._search.action_leave()

    def _found(self) -> Iterator[tuple[int, int]]:
        """Yield index and number of the lines with the searched text."""
        for index, line in enumerate(self._view.lines):
            if self._view.query_text and self._view.query_text in str(line).lower():
                yield index, line.number
