"""Every command that was sent and every raw reply, so that a human can go on by hand."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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

from orchestrator import events
from orchestrator.events import Record
from widgets.header import cut, duration
from widgets.text import visible

KEPT = 20_000  # lines
SAID: dict[type[events.Event], str] = {
    events.RolloutStarted: "{operator} starts {application} → {version} on {nodes}",
    events.Prefetched: "on every node beforehand, in {seconds}",
    events.BatchStarted: "batch {number}: {nodes}",
    events.StepStarted: "begins",
    events.Waiting: "waits, at most {left} more: {reason}",
    events.Noted: "note: {text}",
    events.StepDone: "done in {seconds}: {detail}",
    events.NodeUpgraded: "upgraded in {seconds}",
    events.NodeSkipped: "skipped by {who}",
    events.NodeFailed: "failed: {error}",
    events.Asked: "asks for {choices}: {text}",
    events.Answered: "{who} says {choice}",
    events.Paused: "paused by {who}: {why}",
    events.Resumed: "resumed by {who} after {seconds}",
    events.AbortRequested: "abort asked by {who}: {why}",
    events.RolloutEnded: "ended {result} in {seconds}: {reason}",
}
MARKS = {"command": " >", "failed": "✗>", "reply": " <", "event": " ·", "bad": " ✗"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; all text in it is visible already."""

    number: int
    time: str
    node: str
    step: str
    target: str
    kind: str  # of MARKS
    text: str

    def head(self, size: int = 8) -> str:
        """Time, node, step and target in columns; a reply stands below its command."""
        if self.kind == "reply":
            return " " * (18 + 2 * size)
        return f"{self.time:<8} {self.node:<{size}} {self.step:<7} {self.target:<{size}}"

    def __str__(self) -> str:
        return f"{self.head()} {MARKS[self.kind]} {self.text}".rstrip()


class Lines(ScrollView, can_focus=True):
    """The lines that are chosen, drawn one by one as they come into sight."""

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
        short = replace(line, node=cut(line.node, size), target=cut(line.target, size))
        text.append(f"{short.head(size)} ", self._style("head"))
        text.append(f"{MARKS[line.kind]} {line.text[: 4 * width]}", style)
        if self.query_text and self.query_text in str(line).lower():
            kind = "here" if line.number == self.here else "match"
            text.highlight_words([self.query_text], self._style(kind), case_sensitive=False)
        text.truncate(max(1, width), overflow="ellipsis")
        return text

    def _style(self, kind: str) -> Style:
        return self.get_component_rich_style(f"lines--{kind}")


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

    A `Waiting` that only repeats its reason is left out: it comes every second.
    """

    HELP = """
# Transcript
`>` was sent, `<` is the raw reply, `✗` failed, `·` is what happened besides. It follows the end
until you scroll up; `f` follows again.
"""
    DEFAULT_CSS = """
    Transcript > Search { display: none; height: 1; border: none; padding: 0 1; }
    Transcript > Search.-shown { display: block; }
    Transcript > Static { height: 1; color: $foreground 60%; }
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
        self._all: deque[Line] = deque(maxlen=KEPT)
        self._view, self._search, self._status = Lines(), Search(compact=True), Static(markup=False)
        self._only = ""
        self._count = self._gone = 0  # lines ever added; lines that went from the view since it was drawn
        self._told: dict[tuple[str, str], str] = {}
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
        """Take the next record; cheap, as drawing is done once for all that came together."""
        event = record.event
        if isinstance(event, events.Waiting):
            key = (event.node, event.step)
            if self._told.get(key) == event.reason:
                return
            self._told[key] = event.reason
        elif isinstance(event, events.StepStarted):
            self._told.pop((event.node, event.step), None)
        if node := getattr(event, "node", ""):
            self._seen_nodes.setdefault(visible(node))
        for line in lines_of(record, self._count + 1):
            self._keep(line)
        if not self._pending and self.is_mounted:
            self._pending = True
            self.call_later(self._settle)

    def _keep(self, line: Line) -> None:
        self._count += 1
        if len(self._all) == KEPT and self._view.lines and self._view.lines[0] is self._all[0]:
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
        parts = [f"only {self._only}" if self._only else "all nodes", f"{len(self._view.lines)} lines"]
        parts += [f"the {self.dropped} oldest were dropped"] if self.dropped else []
        parts += (
            [f"{len(list(self._found()))} with {self._view.query_text!r}"] if self._view.query_text else []
        )
        parts += ["follows" if self._view.following else "stands still, f: follow"]
        self._status.update(Text(visible(" · ".join(parts)), no_wrap=True, overflow="ellipsis"))

    # -- what is asked ------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """Lines that are no longer kept."""
        return self._count - len(self._all)

    @property
    def only(self) -> str:
        """The node whose lines are shown; empty for all."""
        return self._only

    @only.setter
    def only(self, node: str) -> None:
        self._only = visible(node)
        self._view.lines = deque(each for each in self._all if not self._only or each.node == self._only)
        self._view.following = True
        self._settle()

    def search(self, text: str) -> int:
        """Mark every line with this text, whatever its case, and go to the first one from what is seen on.

        Returns:
            How many lines have it.
        """
        self._view.query_text = visible(text).lower()
        seen = [each.number for each in self._view.lines]
        top = int(self._view.scroll_y)
        self._view.here = seen[top] - 1 if top < len(seen) else 0
        self.action_next(1)
        return len(list(self._found()))

    def lines_as_text(self) -> str:
        """What is shown, each line whole, ready to be copied or saved."""
        first = [f"(the {self.dropped} oldest lines were dropped; {KEPT} are kept)"] if self.dropped else []
        return "\n".join([*first, *map(str, self._view.lines), ""])

    def action_search(self) -> None:
        self._search.add_class("-shown")
        self._search.focus()

    def action_next(self, direction: int) -> None:
        found = list(self._found())
        if found:
            here = self._view.here
            ahead = [each for each in found[::direction] if (each[1] - here) * direction > 0]
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
        """Place and number of the lines with the searched text."""
        for index, line in enumerate(self._view.lines):
            if self._view.query_text and self._view.query_text in str(line).lower():
                yield index, line.number


def lines_of(record: Record, number: int) -> list[Line]:
    """A record as lines, numbered from `number`: a command with each line of its reply, or one line."""
    at = datetime.fromtimestamp(record.at, UTC).astimezone().strftime("%H:%M:%S")
    event = record.event
    node = visible(getattr(event, "node", getattr(event, "subject", "")))
    step = visible(getattr(event, "step", ""))
    if not isinstance(event, events.Sent):
        kind = "bad" if isinstance(event, events.NodeFailed) else "event"
        return [Line(number, at, node, step, "", kind, visible(said(event)))]
    kind = "command" if event.ok else "failed"
    texts = [event.command, *(event.reply.rstrip().split("\n") if event.reply.strip() else ["(empty)"])]
    return [
        Line(number + index, at, node, step, visible(event.target), "reply" if index else kind, visible(text))
        for index, text in enumerate(texts)
    ]


def said(event: events.AnyEvent) -> str:
    """An event in words, without the node and step that stand before it; what is not known here, as it is."""
    fields = {name: _word(getattr(event, name)) for name in event.__struct_fields__}
    words = SAID.get(type(event))
    # Only our own words are a format; what comes from outside is a value, in which braces mean nothing.
    return words.format(**fields).removesuffix(": ") if words else " · ".join(filter(None, fields.values()))


def _word(value: object) -> str:
    if isinstance(value, float):
        return duration(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
