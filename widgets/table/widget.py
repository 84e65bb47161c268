"""The live table of servers or nodes: it draws only visible lines, and the cursor stays on its row's key."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from widgets.table.by_server import RowKey
from widgets.table.cell_text import fit
from widgets.table.columns import ColumnLayout, RowSegments, build_heading, build_row, lay_out_for, sort_at
from widgets.table.model import Row, Rows, Sort, TableOptions
from widgets.table.names import TableNames

NO_ROWS = "no servers"


class ServerTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows under a fixed line of titles. It posts where the cursor is and changes nothing itself."""

    class Moved(Message):
        """The cursor is on another server."""

        def __init__(self, key: RowKey) -> None:
            super().__init__()
            self.key = key

    class Chosen(Message):
        """Enter or a double click on a server."""

        def __init__(self, key: RowKey) -> None:
            super().__init__()
            self.key = key

    class Ordered(Message):
        """A click on the title of a column by which rows can be sorted."""

        def __init__(self, sort: Sort) -> None:
            super().__init__()
            self.sort = sort

    HELP = """
# Servers
Each row is a server or, after `v`, a node: ✓ then means in rotation in all of its backends there.

Arrows, `j` and `k`, page up and down, home and end or `G` move the cursor; it stays on its server
whatever the order.
`x` marks a server: an action then applies to all marked rows.

A click on a title orders by it, another one reverses it (▾ ▴); HEALTH has the problems first.
"""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"server-table--{name}"
        for name in ("ok", "moving", "bad", "out", "quiet", "plain", "trend", "cursor", "header")
    }
    DEFAULT_CSS = """
    ServerTable {
        overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1;
        & > .server-table--ok { color: $text-success; }
        & > .server-table--moving { color: $text-warning; }
        & > .server-table--bad { color: $text-error; text-style: bold; }
        & > .server-table--out { color: $text-primary; }
        & > .server-table--quiet { color: $foreground-muted; }
        & > .server-table--trend { color: $foreground 40%; }
        & > .server-table--header { color: $foreground-muted; text-style: bold; }
        & > .server-table--cursor { background: $foreground 15%; text-style: bold; }
        &:nocolor > .server-table--moving, &:nocolor > .server-table--bad { color: $foreground; }
        &:nocolor > .server-table--cursor, &:ansi > .server-table--cursor { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, text, show=text == "mark", id=f"table-{text}", tooltip=tooltip)
        for key, action, text, tooltip in (
            ("up,k", "move(-1)", "up", "To the server above"),
            ("down,j", "move(1)", "down", "To the server below"),
            ("pageup,ctrl+b", "page(-1)", "page-up", "A screenful up"),
            ("pagedown,ctrl+f", "page(1)", "page-down", "A screenful down"),
            ("home", "move(-1_000_000_000)", "first", "To the first server"),
            ("end,G", "move(1_000_000_000)", "last", "To the last server"),
            ("x", "mark", "mark", "Mark or unmark this server"),
            ("enter", "choose", "choose", "Show this server in detail"),
        )
    ]
    empty_text = reactive(NO_ROWS)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Rows | None = None
        self._names = TableNames()
        self._instances = 0
        self._options = TableOptions()
        self._at = 0
        self._key: RowKey | None = None
        self._marked: frozenset[RowKey] = frozenset()
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(512)
        self._styles: dict[tuple[str, bool], Style] = {}
        self._rendered: list[Strip] = []

    # -- what others see ----------------------------------------------------------------------

    @property
    def cursor_key(self) -> RowKey | None:
        """Backend and name of the server under the cursor; None when no row is shown."""
        return self._key if self._count else None

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor, as it was shown last."""
        return self._rows[self._at] if self._rows is not None and self._count else None

    @property
    def marked(self) -> frozenset[RowKey]:
        """The marked rows, in sight or filtered out."""
        return self._marked

    def clear_marks(self) -> None:
        """Clear all marks."""
        self.mark(frozenset())

    def mark(self, keys: frozenset[RowKey]) -> None:
        """Mark these rows and no others."""
        self._marked = keys
        self._repaint()

    def show(self, rows: Rows, instances: int, options: TableOptions | None = None) -> None:
        """Show these rows. The cursor stays on its server, or where it was when that is gone.

        Args:
            rows: what to show, in order; read only where it is in sight.
            instances: how many load balancers there are, for the width of their marks.
            options: of the rows; the one before when None.
        """
        followed = 0 <= self._at - self.scroll_offset.y < self._page
        if rows.names is not self._names:
            self._names = rows.names
            self._strips.clear()  # names are cut where they differ, so that new ones change the others
        self._rows, self._instances = rows, instances
        self._options = options or self._options
        self.virtual_size = Size(self._width, len(rows) + 1)
        at = rows.index(self._key) if self._key is not None else 0
        self._put(self._at if at is None else at, follow=followed)

    # -- the cursor ---------------------------------------------------------------------------

    @property
    def _count(self) -> int:
        return len(self._rows) if self._rows is not None else 0

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width  # that of the scroll bar is not ours

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def _put(self, at: int, follow: bool = True) -> None:
        if self._rows is not None and self._count:
            self._at = max(0, min(at, self._count - 1))
            if (key := self._rows.key(self._at)) != self._key:
                self._key = key
                self.post_message(self.Moved(key))
        if follow:
            top = max(self._at - self._page + 1, min(self.scroll_offset.y, self._at))
            self.scroll_to(y=top, animate=False)
        self._repaint()

    def action_move(self, rows: int) -> None:
        self._put(self._at + rows)

    def action_page(self, pages: int) -> None:
        self._put(self._at + pages * self._page)

    def action_mark(self) -> None:
        if (key := self.cursor_key) is not None:
            self.mark(self._marked ^ {key})

    def action_choose(self) -> None:
        if (key := self.cursor_key) is not None:
            self.post_message(self.Chosen(key))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y > self._count - self.scroll_offset.y:
            return
        if offset.y == 0:
            if sort := sort_at(offset.x, self._layout(self._width)):
                self.post_message(self.Ordered(sort))
            return
        self._put(self.scroll_offset.y + offset.y - 1)
        if event.chain == 2:
            self.action_choose()

    def on_resize(self) -> None:
        self.virtual_size = Size(self._width, self._count + 1)
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
        # Only the lines that differ: most numbers of most servers do not change within a second.
        width = self._width
        fresh = [self._line(y, width) for y in range(self.size.height)]
        same = len(fresh) == len(self._rendered)
        regions = [
            Region(0, y, width, 1) for y, strip in enumerate(fresh) if not same or strip != self._rendered[y]
        ]
        self._rendered = fresh
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        width = self._width
        # A line is nearly always requested right after `_repaint` found that it differs.
        known = self._rendered[y] if y < len(self._rendered) else None
        return known if known is not None and known.cell_length == width else self._line(y, width)

    def _layout(self, width: int) -> ColumnLayout:
        return lay_out_for(width, self._instances, self._names)

    def _line(self, y: int, width: int) -> Strip:
        if y == 0:
            titles = build_heading(self._layout(width), len(self._marked), self._options)
            return self._strip([(titles, "header")], width)
        at = self.scroll_offset.y + y - 1
        if self._rows is not None and at < self._count:
            row = self._rows[at]
            return self._row(row, width, row.key == self._key, row.key in self._marked)
        text = self.empty_text if y == 2 and not self._count else ""
        return self._strip([(fit(" " + text, width), "quiet")], width)

    def _row(self, row: Row, width: int, cursor: bool, marked: bool) -> Strip:
        known = (row, width, self._instances, cursor, marked)
        if (strip := self._strips.get(known)) is None:
            glyph = ("◆" if marked else "▸") if cursor else "•" if marked else " "
            runs = build_row(row, self._layout(width), self._names)
            strip = self._strip([(glyph, "plain"), *runs], width, cursor)
            self._strips[known] = strip
        return strip

    def _strip(self, runs: RowSegments, width: int, cursor: bool = False) -> Strip:
        if cursor and self._style("cursor").reverse:  # without colors one bar reads better than patches
            runs = [("".join(text for text, _ in runs), "cursor")]
        segments = [Segment(text, self._style(name, cursor)) for text, name in runs]
        return Strip(segments).adjust_cell_length(width)

    def _style(self, name: str, cursor: bool = False) -> Style:
        """Return the style of a segment from a cache, as looking it up costs more than all else."""
        if (name, cursor) not in self._styles:
            style = self.get_component_rich_style(f"server-table--{name}")
            band = self.get_component_rich_style("server-table--cursor") if cursor else Style()
            if cursor and not band.reverse:
                style += Style(bgcolor=band.bgcolor, bold=True)
            self._styles[name, cursor] = style
        return self._styles[name, cursor]
