"""Lines that arrive one after the other: they scroll, follow the end, and can be searched."""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Generic, Protocol, TypeVar

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

from backends.text import visible
from widgets.key_names import name_keys
from widgets.typed_line import TypedLine


class NumberedLine(Protocol):
    """A line; its text is the searched one, and already safe to print."""

    @property
    def number(self) -> int:
        """Its place among all lines, from 1; it stays the same when earlier ones are dropped."""

    @property
    def kind(self) -> str:
        """Which style it has."""


Item = TypeVar("Item", bound=NumberedLine)
KINDS = ("command", "failed", "reply", "event", "bad", "line", "note", "head", "match", "here")


class LinesView(ScrollView, Generic[Item], can_focus=True):
    """The lines that are shown, each rendered when it comes into sight."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    LinesView { height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; }
    LinesView > .lines--command { text-style: bold; }
    LinesView > .lines--failed, LinesView > .lines--bad { color: $text-error; text-style: bold; }
    LinesView > .lines--head, LinesView > .lines--event { color: $foreground-muted; }
    LinesView > .lines--note { color: $text-warning; text-style: italic; }
    LinesView > .lines--match { text-style: underline; }
    LinesView > .lines--here { text-style: reverse; }
    LinesView:nocolor > .lines--failed, LinesView:nocolor > .lines--bad { color: $foreground; }
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
        self.lines: deque[Item] = deque()
        self.query_text = ""
        self.here = 0  # number of the line that the search has found

    @abstractmethod
    def build_text(self, line: Item, width: int) -> Text:
        """Return a line with its styles; it may be wider."""

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
        line = self.lines[index]
        text = self.build_text(line, width)
        if self.query_text and self.query_text in str(line).lower():
            kind = "here" if line.number == self.here else "match"
            text.highlight_words([self.query_text], self.style_of(kind), case_sensitive=False)
        text.truncate(max(1, width), overflow="ellipsis")
        return Strip(text.render(self.app.console)).adjust_cell_length(width, base).apply_style(base)

    def style_of(self, kind: str) -> Style:
        """Return the style of a kind of line."""
        return self.get_component_rich_style(f"lines--{kind}")


class Search(TypedLine):
    """The line in which the searched text is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "find", id="search-find", tooltip="Go to the next line with this text"),
        Binding("escape", "leave", "back", id="search-leave", tooltip="Back to the lines"),
    ]

    def action_leave(self) -> None:
        self.remove_class("-shown")
        if isinstance(self.parent, SearchableLines):
            self.parent.focus()


class SearchableLines(Vertical, Generic[Item]):
    """Lines with a search, and a line below them that says how many there are.

    Args:
        view: shows the lines.
    """

    DEFAULT_CSS = """
    SearchableLines > Search { display: none; height: 1; border: none; padding: 0 1; }
    SearchableLines > Search.-shown { display: block; }
    SearchableLines > Static {
        height: 1; color: $foreground-muted; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", id="search", tooltip="Find a text"),
        Binding("n", "next(1)", "next", id="search-next", tooltip="The next line with this text"),
        Binding("N", "next(-1)", "previous", id="search-previous", tooltip="The one before", show=False),
        Binding("f", "follow", "follow", id="follow", tooltip="To the end, and stay there"),
    ]

    def __init__(self, view: LinesView[Item], *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._view, self._search, self._status = view, Search(compact=True), Static(markup=False)
        self._gone = 0  # lines that went from the view since it was drawn
        self._pending = False

    def compose(self) -> ComposeResult:
        yield self._view
        yield self._search
        yield self._status

    def focus(self, scroll_visible: bool = True) -> "SearchableLines[Item]":
        self._view.focus(scroll_visible)
        return self

    @abstractmethod
    def describe(self) -> list[str]:
        """Return what the lines are, for the line below them."""

    def source(self) -> str:
        """Return where the lines come from, which is shown as far as there is room; empty: nothing is."""
        return ""

    # -- what comes in ------------------------------------------------------------------------

    def settle_later(self) -> None:
        """Show added lines soon; those that come together are rendered once."""
        if not self._pending and self.is_mounted:
            self._pending = True
            self.call_later(self.settle)

    def on_mount(self) -> None:
        self.watch(self._view, "following", self._update_status, init=False)
        self.settle()

    def settle(self) -> None:
        """Show added lines now."""
        self._pending = False
        self._view.settle(self._gone)
        self._gone = 0
        self._update_status()

    def _update_status(self) -> None:
        parts = self.describe()
        if self._view.query_text:
            parts.append(f"{len(list(self._found()))} with {self._view.query_text!r}")
        key = name_keys(self)["follow"]
        parts.append("follows" if self._view.following else f"not following, {key}: follow")
        parts += [source] if (source := self.source()) else []
        self._status.update(Text(visible(" · ".join(parts)), no_wrap=True, overflow="ellipsis"))

    # -- search -------------------------------------------------------------------------------

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
        self._update_status()

    def action_follow(self) -> None:
        self._view.following = True
        self.settle()

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
