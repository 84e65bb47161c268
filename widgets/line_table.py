"""A table that draws only its visible lines; the cursor stays on its row's key, whatever the order."""

from abc import abstractmethod
from collections.abc import Hashable
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from widgets.segments import fit

Key = TypeVar("Key", bound=Hashable)
Content = TypeVar("Content", bound=Hashable)
Runs = list[tuple[str, str]]
"""Texts, each with the name of its style: a component class of the table without its prefix."""


class LineTable(ScrollView, Generic[Key, Content], can_focus=True, inherit_bindings=False):
    """Rows under a fixed line of titles.

    A subclass has the rows and reacts to clicks; `show_rows` paints the rows after a change.

    Attributes:
        has_marks: whether rows can be marked.
    """

    has_marks: ClassVar[bool] = True

    STYLES: ClassVar[tuple[str, ...]] = (
        *("ok", "moving", "bad", "out", "quiet", "plain", "trend"),
        *("cursor", "header"),
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line-table--{name}" for name in STYLES}
    DEFAULT_CSS = """
    LineTable {
        overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1;
        & > .line-table--ok { color: $text-success; }
        & > .line-table--moving { color: $text-warning; }
        & > .line-table--bad { color: $text-error; text-style: bold; }
        & > .line-table--out { color: $text-primary; }
        & > .line-table--quiet { color: $foreground-muted; }
        & > .line-table--trend { color: $foreground 40%; }
        & > .line-table--header { color: $foreground-muted; text-style: bold; }
        & > .line-table--cursor { background: $foreground 15%; text-style: bold; }
        &:nocolor > .line-table--moving, &:nocolor > .line-table--bad { color: $foreground; }
        &:nocolor > .line-table--cursor, &:ansi > .line-table--cursor { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, text, show=text == "mark", id=f"table-{text}", tooltip=tooltip)
        for key, action, text, tooltip in (
            ("up,k", "move(-1)", "up", "To the row above"),
            ("down,j", "move(1)", "down", "To the row below"),
            ("pageup,ctrl+b", "page(-1)", "page-up", "A screenful up"),
            ("pagedown,ctrl+f", "page(1)", "page-down", "A screenful down"),
            ("home", "move(-1_000_000_000)", "first", "To the first row"),
            ("end,G", "move(1_000_000_000)", "last", "To the last row"),
            ("x", "mark", "mark", "Mark or unmark this row"),
            ("enter", "choose", "choose", "Open this row"),
        )
    ]

    empty_text = reactive("")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._at = 0
        self._key: Key | None = None
        self._marked: frozenset[Key] = frozenset()
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(512)
        self._styles: dict[tuple[str, bool], Style] = {}
        self._rendered: list[Strip] = []

    # -- what a subclass has ------------------------------------------------------------------

    @abstractmethod
    def count_rows(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def key_at(self, index: int) -> Key:
        """Return the key of a row, which identifies it in any order."""

    @abstractmethod
    def index_of(self, key: Key) -> int | None:
        """Return where a row is now; None when it is not shown."""

    @abstractmethod
    def content_at(self, index: int) -> Content:
        """Return everything that the line of a row depends on, apart from its width."""

    @abstractmethod
    def build_line(self, content: Content, width: int) -> Runs:
        """Return the line of a row in this many cells, without the mark of the cursor before it."""

    @abstractmethod
    def build_titles(self, width: int) -> str:
        """Return the line of titles, likewise."""

    @abstractmethod
    def row_reached(self, key: Key) -> None:
        """Take note that the cursor is on another row."""

    @abstractmethod
    def row_chosen(self, key: Key) -> None:
        """React to Enter or a double click on a row."""

    @abstractmethod
    def title_clicked(self, x: int) -> None:
        """React to a click on the line of titles, at this cell."""

    # -- what others see ----------------------------------------------------------------------

    @property
    def cursor_key(self) -> Key | None:
        """The key of the row under the cursor; None when no row is shown."""
        return self._key if self.count_rows() else None

    @property
    def marked(self) -> frozenset[Key]:
        """The marked rows, in sight or filtered out."""
        return self._marked

    def mark(self, keys: frozenset[Key]) -> None:
        """Mark these rows and no others."""
        self._marked = keys
        self._repaint()

    def clear_marks(self) -> None:
        """Clear all marks."""
        self.mark(frozenset())

    @property
    def cursor_index(self) -> int:
        """The index of the row under the cursor, as it was shown last."""
        return self._at

    @property
    def line_width(self) -> int:
        """The cells of a line."""
        return self.scrollable_content_region.width  # that of the scroll bar is not ours

    def forget_lines(self) -> None:
        """Build all lines anew: something else than the content of a row has changed."""
        self._strips.clear()

    def move_to(self, key: Key) -> None:
        """Put the cursor on a row, if it is shown."""
        if (at := self.index_of(key)) is not None:
            self._put(at)

    def show_rows(self) -> None:
        """Paint the rows again. The cursor stays on its row, or where it was when that is gone."""
        followed = 0 <= self._at - self.scroll_offset.y < self._page
        self.virtual_size = Size(self.line_width, self.count_rows() + 1)
        at = self.index_of(self._key) if self._key is not None else 0
        self._put(self._at if at is None else at, follow=followed)

    # -- the cursor ---------------------------------------------------------------------------

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def _put(self, at: int, follow: bool = True) -> None:
        if count := self.count_rows():
            self._at = max(0, min(at, count - 1))
            if (key := self.key_at(self._at)) != self._key:
                self._key = key
                self.row_reached(key)
        if follow:
            top = max(self._at - self._page + 1, min(self.scroll_offset.y, self._at))
            self.scroll_to(y=top, animate=False)
        self._repaint()

    def action_move(self, rows: int) -> None:
        self._put(self._at + rows)

    def action_page(self, pages: int) -> None:
        self._put(self._at + pages * self._page)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return False for an action that this table does not have."""
        return self.has_marks if action == "mark" else super().check_action(action, parameters)

    def action_mark(self) -> None:
        if (key := self.cursor_key) is not None:
            self.mark(self._marked ^ {key})

    def action_choose(self) -> None:
        if (key := self.cursor_key) is not None:
            self.row_chosen(key)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y > self.count_rows() - self.scroll_offset.y:
            return
        if offset.y == 0:
            self.title_clicked(offset.x)
            return
        self._put(self.scroll_offset.y + offset.y - 1)
        if event.chain == 2:
            self.action_choose()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.line_width, self.count_rows() + 1)
        self._put(self._at)

    # -- painting -----------------------------------------------------------------------------

    def watch_empty_text(self) -> None:
        self._repaint()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._rendered = []  # all lines are other rows now: nothing to compare with

    def notify_style_update(self) -> None:
        self._strips.clear()
        self._styles.clear()
        self._rendered = []
        super().notify_style_update()

    def _repaint(self) -> None:
        # Only the lines that differ: most rows do not change within a second.
        width = self.line_width
        fresh = [self._line(y, width) for y in range(self.size.height)]
        same = len(fresh) == len(self._rendered)
        regions = [
            Region(0, y, width, 1) for y, strip in enumerate(fresh) if not same or strip != self._rendered[y]
        ]
        self._rendered = fresh
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        width = self.line_width
        # A line is nearly always requested right after `_repaint` found that it differs.
        known = self._rendered[y] if y < len(self._rendered) else None
        return known if known is not None and known.cell_length == width else self._line(y, width)

    def _line(self, y: int, width: int) -> Strip:
        if y == 0:
            return self._strip([(fit(self.build_titles(width), width), "header")], width)
        at = self.scroll_offset.y + y - 1
        if at < self.count_rows():
            return self._row(at, width)
        text = self.empty_text if y == 2 and not self.count_rows() else ""
        return self._strip([(fit(" " + text, width), "quiet")], width)

    def _row(self, at: int, width: int) -> Strip:
        key = self.key_at(at)
        cursor, marked = key == self._key, key in self._marked
        content = self.content_at(at)
        known = (content, width, cursor, marked)
        if (strip := self._strips.get(known)) is None:
            glyph = ("◆" if marked else "▸") if cursor else "•" if marked else " "
            strip = self._strip([(glyph, "plain"), *self.build_line(content, width)], width, cursor)
            self._strips[known] = strip
        return strip

    def _strip(self, runs: Runs, width: int, cursor: bool = False) -> Strip:
        if cursor and self._style("cursor").reverse:  # without colors one bar reads better than patches
            runs = [("".join(text for text, _ in runs), "cursor")]
        segments = [Segment(text, self._style(name, cursor)) for text, name in runs]
        return Strip(segments).adjust_cell_length(width, self._style("plain", cursor))

    def _style(self, name: str, cursor: bool = False) -> Style:
        """Return the style of a segment from a cache, as looking it up costs more than all else."""
        if (name, cursor) not in self._styles:
            style = self.get_component_rich_style(f"line-table--{name}")
            band = self.get_component_rich_style("line-table--cursor") if cursor else Style()
            if cursor and not band.reverse:
                style += Style(bgcolor=band.bgcolor, bold=True)
            self._styles[name, cursor] = style
        return self._styles[name, cursor]
