"""Every command and every raw reply, so that an operator can continue manually."""

from collections import deque
from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from backends.text import counted, visible
from orchestrator.events.events import Record
from orchestrator.events.text import RepeatedWaits
from widgets.transcript.lines import Line, Lines, lines_of

MAX_LINES = 20_000  # lines


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
`>` was sent, `<` is the raw reply, `✗` failed, `·` is another event. It follows the end
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
        self._all: deque[Line] = deque(maxlen=MAX_LINES)
        self._view, self._search, self._status = Lines(), Search(compact=True), Static(markup=False)
        self._only = ""
        self._count = self._gone = 0  # lines ever added; lines that went from the view since it was drawn
        self._repeats = RepeatedWaits()
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
        if self._repeats.has(record.event):
            return
        if node := getattr(record.event, "node", ""):
            self._seen_nodes.setdefault(visible(node))
        for line in lines_of(record, self._count + 1):
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
