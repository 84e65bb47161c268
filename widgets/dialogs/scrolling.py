"""Text that scrolls, says how much of it is out of sight, and the keys that scroll it."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.widgets import Static


class ScrolledText(VerticalScroll, can_focus=False):
    """A part of a screen that scrolls, without the focus: that would be one more stop before an answer.

    Attributes:
        place: what is out of sight, such as "↑ 3  ↓ 12 more"; empty when everything is in sight.
    """

    DEFAULT_CSS = """
    ScrolledText { scrollbar-size-vertical: 1; }
    """

    place: reactive[str] = reactive("")

    def on_mount(self) -> None:
        self.watch(self, "virtual_size", self._measure, init=False)
        self.watch(self, "scroll_y", self._measure, init=False)

    def on_resize(self) -> None:
        self._measure()

    def _measure(self) -> None:
        above = round(self.scroll_y)
        below = self.virtual_size.height - self.size.height - above
        parts = [f"↑ {above}"] if above > 0 else []
        parts += [f"↓ {below} more"] if below > 0 else []
        self.place = "  ".join(parts)

    def scroll_lines(self, by: int) -> None:
        """Scroll down by this many lines; up when negative."""
        self.scroll_relative(y=by, animate=False)

    def scroll_pages(self, by: int) -> None:
        """Scroll down by this many pages, which have one line in common; up when negative."""
        self.scroll_lines(by * max(1, self.size.height - 1))

    def scroll_to_edge(self, which: int) -> None:
        """Scroll to the beginning (-1) or to the end (1)."""
        self.scroll_to(y=0 if which < 0 else self.max_scroll_y, animate=False)


class Headline(Horizontal):
    """The first line of a page: what it is, and on the right how much of its text is out of sight."""

    DEFAULT_CSS = """
    Headline { height: 1; padding: 0 1; background: $panel; }
    Headline > #headline { width: 1fr; height: 1; text-style: bold; }
    Headline > #place { width: auto; height: 1; margin-left: 2; }
    """

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content

    def compose(self) -> ComposeResult:
        yield Static(self._content, id="headline")
        yield Static(id="place", markup=False)


class ScrollKeys(DOMNode):
    """The keys of a page with a `Headline` and a `ScrolledText` with the id `text`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_text(-1)", "up", id="report.up", tooltip="Scroll up", show=False),
        Binding("down,j", "scroll_text(1)", "down", id="report.down", tooltip="Scroll down", show=False),
        Binding("pageup", "page(-1)", "page up", id="report.pageup", tooltip="A page up", show=False),
        Binding("pagedown", "page(1)", "page down", id="report.pagedown", tooltip="A page down", show=False),
        Binding("home,g", "end(-1)", "top", id="report.home", tooltip="To the beginning", show=False),
        Binding("end,G", "end(1)", "bottom", id="report.end", tooltip="To the end", show=False),
    ]

    def show_places(self) -> None:
        """Show in the headline from now on what is out of sight."""
        self.watch(self._text, "place", self._show_place)

    def _show_place(self, place: str) -> None:
        self.query_one("#place", Static).update(place)

    def action_scroll_text(self, by: int) -> None:
        self._text.scroll_lines(by)

    def action_page(self, by: int) -> None:
        self._text.scroll_pages(by)

    def action_end(self, which: int) -> None:
        self._text.scroll_to_edge(which)

    @property
    def _text(self) -> ScrolledText:
        return self.query_one("#text", ScrolledText)
