"""The detail of one node: a title, and a page that scrolls and keeps its position when data change."""

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from backends.text import visible
from widgets.detail.model import Detail
from widgets.detail.page import Page, as_text, build_page, build_title
from widgets.detail.tabs import Tab
from widgets.segments import KINDS, css_colors, find_styles, render_line, render_lines


class DetailTitle(Widget):
    """The title line: the node, its version, where it is in rotation, and the time of day."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"detail-title--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    DetailTitle { height: 1; background: $panel; }
    """ + css_colors("DetailTitle", "detail-title")

    def __init__(self) -> None:
        super().__init__()
        self._detail: Detail | None = None
        self._clock = ""

    def show(self, detail: Detail, clock_text: str) -> None:
        """Show this node; `clock_text` is the time of day, such as "16:42:05"."""
        self._detail, self._clock = detail, visible(clock_text)
        self.refresh()

    def render(self) -> Text:
        if self._detail is None:
            return Text()
        return render_lines(self, "detail-title", [build_title(self._detail, self._clock, self.size.width)])


class DetailView(ScrollView, can_focus=True, inherit_bindings=False):
    """The page below the title; only visible lines are rendered, and only those that changed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"detail--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    DetailView { height: 1fr; overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """ + css_colors("DetailView", "detail")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, text, show=False, id=f"detail-{text}", tooltip=tooltip)
        for key, action, text, tooltip in (
            ("up,k", "by(-1)", "up", "A line up"),
            ("down,j", "by(1)", "down", "A line down"),
            ("pageup", "page(-1)", "page-up", "A screenful up"),
            ("pagedown,space", "page(1)", "page-down", "A screenful down"),
            ("home,g", "first", "first", "To the beginning"),
            ("end,G", "last", "last", "To the newest of the journal, and stay there"),
        )
    ]

    def __init__(self) -> None:
        super().__init__()
        self._detail: Detail | None = None
        self._tab: Tab | None = None
        self._page = Page([], {})
        self._rendered: list[Strip] = []
        self._follows = False  # the end
        self._settling = False  # while this class scrolls, and not the operator

    def show(self, detail: Detail, tab: Tab | None = None) -> None:
        """Show this node; the scroll position stays, and the end stays in sight after End."""
        self._detail = detail
        if tab != self._tab:
            self._tab = tab
            self.action_first()
        self._lay_out()

    def as_text(self) -> str:
        """Return the whole page, wide enough that nothing is cut."""
        return as_text(self._detail) if self._detail is not None else ""

    def _lay_out(self) -> None:
        if self._detail is None or self._width <= 0:
            return
        section, offset = self._page.place(self.scroll_offset.y)
        self._page = build_page(self._detail, self._width, self._tab)
        self._settling = True
        self.virtual_size = Size(self._width, len(self._page.lines))
        top = self._page.starts.get(section, 0) + offset if self.scroll_offset.y else 0
        top = self.max_scroll_y if self._follows else top
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True, force=True)
        self._settling = False
        self._repaint()

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width  # without the scroll bar

    def action_by(self, lines: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False, immediate=True)

    def action_first(self) -> None:
        self._follows = False
        self.scroll_to(y=0, animate=False, immediate=True)

    def action_last(self) -> None:
        self._follows = True
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)

    def action_page(self, pages: int) -> None:
        self.action_by(pages * max(1, self.size.height - 1))

    def on_resize(self) -> None:
        self._rendered = []
        self._lay_out()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and not self._settling:
            self._follows = False
        self._rendered = []  # all lines are other lines now: nothing to compare with

    def _repaint(self) -> None:
        fresh = [self.render_line(y) for y in range(self.size.height)]
        same = len(fresh) == len(self._rendered)
        regions = [
            Region(0, y, self._width, 1)
            for y, strip in enumerate(fresh)
            if not same or strip != self._rendered[y]
        ]
        self._rendered = fresh
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        at, width, base = y + self.scroll_offset.y, self._width, self.rich_style
        if not 0 <= at < len(self._page.lines):
            return Strip.blank(width, base)
        styles = find_styles(self, "detail")
        text = render_line(self._page.lines[at], styles, width)
        return Strip(text.render(self.app.console)).adjust_cell_length(width, base).apply_style(base)
