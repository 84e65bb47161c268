"""The live table of servers: virtual, only lines in sight are built; the cursor stays on its key."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
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

from widgets.model import Key, Row, Rows
from widgets.text import visible

NONE = "\N{EN DASH}"
BARS = "▁▂▃▄▅▆▇█"
LONGEST = 512  # characters of one cell that are looked at: no screen shows more, and some send 10 kB
Runs = list[tuple[str, str]]  # text and the name of its style


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its width depends on that of the screen only, so that nothing jumps."""

    title: str
    narrow: int  # cells at 80 columns; 0: not there
    wide: int  # cells when there is room
    text: Callable[[Row, int], str]  # of a row, for so many cells
    style: str = "plain"  # "kind": that of the row
    right: bool = False


def fit(text: str, width: int, right: bool = False) -> str:
    """Text of exactly `width` cells; what is cut has an ellipsis."""
    text = visible(text[:LONGEST])
    room = width - cell_len(text)
    if room >= 0:
        return " " * room + text if right else text + " " * room
    return set_cell_size(text, width - 1) + "…" if width else ""


def name(text: str, width: int) -> str:
    """A name, cut before the number at its end: that tells nodes apart."""
    if len(text) <= width or width < 6 or not text.isascii() or not text[-1].isdigit():
        return text
    return f"{text[: width - 3]}…{text[-2:]}"


def number(value: float | None, width: int) -> str:
    """A count in at most `width` cells: thousands as k; a fraction only below ten."""
    if value is None:
        return NONE
    text = f"{value:.1f}" if 0 < value < 10 and isinstance(value, float) else f"{value:.0f}"
    for unit in "kMGT":
        if len(text) <= width:
            break
        value /= 1000
        text = f"{value:.0f}{unit}"
    return text


def percent(share: float | None) -> str:
    """A share, 0 to 1, in at most four cells."""
    if share is None:
        return NONE
    return "100" if share >= 0.9995 else f"{share * 100:.1f}"


def milliseconds(value: int | None, width: int) -> str:
    """Milliseconds, or seconds with an `s` when that is too long."""
    if value is None:
        return NONE
    return str(value) if len(str(value)) <= width else number(value // 1000, width - 1) + "s"


def trend(values: tuple[float, ...], width: int) -> str:
    """The newest values as bars, scaled to the largest of all."""
    top = max(values, default=0) or 1
    return "".join(BARS[min(7, max(0, round(each / top * 7)))] for each in values[-width:])


def since(seconds: int) -> str:
    """How long it has been like this, in one unit, at most six cells."""
    if seconds < 60:
        return f"{max(0, seconds)} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400} d"


def admin(row: Row, width: int) -> str:
    """The administrative state; one word where load balancers disagree and both do not fit."""
    return "mixed" if len(row.admin) > width and "/" in row.admin else row.admin


COLUMNS = (
    Column("NODE", 6, 14, lambda row, width: name(row.node, width), "name"),
    Column("BACKEND", 7, 12, lambda row, width: name(row.backend, width), "quiet"),
    Column("ADMIN", 5, 11, admin, "kind"),
    Column("HEALTH", 9, 10, lambda row, width: row.health, "kind"),
    Column("VERSION", 7, 10, lambda row, width: row.version or NONE),
    Column("WGHT", 0, 4, lambda row, width: row.weight, "quiet", right=True),
    Column("SESS", 4, 5, lambda row, width: number(row.sessions, width), right=True),
    Column("Q", 3, 4, lambda row, width: number(row.queue, width), right=True),
    Column("REQ/S", 5, 6, lambda row, width: number(row.rate, width), right=True),
    Column("ERR%", 4, 4, lambda row, width: percent(row.errors), right=True),
    Column("RT", 3, 5, lambda row, width: milliseconds(row.response, width), right=True),
    Column("TREND", 5, 8, lambda row, width: trend(row.trend, width), "trend"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Who has how many cells on a screen of one width."""

    columns: tuple[tuple[Column, int], ...]
    marks: int
    end: int  # of the text after the marks: why they differ, since when


@lru_cache(maxsize=16)
def layout(width: int, instances: int) -> Layout:
    """Share out the cells: the sketch at 80 columns, then the text at the end, numbers, and longer names."""
    marks = max(2, instances)
    room = width - 2 - marks - sum(each.narrow + 1 for each in COLUMNS if each.narrow)
    end = max(0, min(room, 12))
    room -= end
    widths = {}
    for each in reversed(COLUMNS):
        more = each.wide - each.narrow + (each.narrow == 0)  # a column that is new also needs a gap
        more = min(more, max(0, room)) if each.narrow else more * (room >= more)
        widths[each.title] = each.narrow + more - (each.narrow == 0 and more > 0)
        room -= more
    longer = max(0, min(room // 3, 16))
    widths["NODE"] += longer
    columns = tuple((each, widths[each.title]) for each in COLUMNS if widths[each.title])
    return Layout(columns, marks, end + max(0, room - longer))


def line(row: Row, width: int, instances: int) -> Runs:
    """A row as texts with the names of their styles, without the glyph of cursor and mark before it."""
    place = layout(width, instances)
    crowded = bool(row.note) and cell_len(visible(row.note[:LONGEST])) > place.end
    # Why load balancers disagree is worth more than the trend.
    shown = place.columns[:-1] if crowded else place.columns
    runs = [
        (fit(each.text(row, wide), wide, each.right) + " ", _style(each.style, row)) for each, wide in shown
    ]
    if crowded:
        room = place.columns[-1][1] + 1 + place.marks + 1 + place.end
        return [*runs, (fit(f"{row.marks} {row.note[:LONGEST]}", room), row.kind)]
    text, style = _end(row, place.end)
    return [*runs, (fit(row.marks, place.marks) + " ", row.kind), (fit(text, place.end), style)]


def _end(row: Row, width: int) -> tuple[str, str]:
    ago = since(row.since) + (" ago" if width >= 10 else "")
    if not row.note:
        return ago, "quiet"
    both = f"{row.note} · {ago}"
    return (both if cell_len(visible(both)) <= width else row.note), row.kind


def _style(style: str, row: Row) -> str:
    if style == "name":
        return row.kind if row.problem else "plain"
    return row.kind if style == "kind" else style


def heading(width: int, instances: int, marked: int) -> str:
    """The line of titles; at its end how many rows are marked, as some may be out of sight."""
    place = layout(width, instances)
    count = next((text for text in (f"• {marked} marked", f"•{marked}") if len(text) <= place.end), "•")
    cells = [fit(each.title, wide, each.right) for each, wide in place.columns]
    return " " + " ".join([*cells, fit("LB", place.marks), fit(count if marked else "SINCE", place.end)])


class ServerTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of servers under a fixed line of titles. Tells where the cursor is; changes nothing itself."""

    class Moved(Message):
        """The cursor is on another server."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    class Chosen(Message):
        """Enter or a double click on a server."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    HELP = """
# Servers
Arrows, page up and down, home and end move the cursor; it stays on its server whatever the order.
`x` marks a server: what you do then is done to all that are marked. Enter shows one server closely.
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
        & > .server-table--quiet { color: $foreground 60%; }
        & > .server-table--trend { color: $foreground 40%; }
        & > .server-table--header { color: $foreground 60%; text-style: bold; }
        & > .server-table--cursor { background: $foreground 15%; text-style: bold; }
        &:nocolor > .server-table--moving, &:nocolor > .server-table--bad { color: $foreground; }
        &:nocolor > .server-table--cursor, &:ansi > .server-table--cursor { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, text, show=False, id=f"table-{text}", tooltip=tooltip)
        for key, action, text, tooltip in (
            ("up", "move(-1)", "up", "To the server above"),
            ("down", "move(1)", "down", "To the server below"),
            ("pageup", "page(-1)", "page-up", "A screenful up"),
            ("pagedown", "page(1)", "page-down", "A screenful down"),
            ("home", "move(-1_000_000_000)", "first", "To the first server"),
            ("end", "move(1_000_000_000)", "last", "To the last server"),
            ("x", "mark", "mark", "Mark this server, or take the mark away"),
            ("enter", "choose", "choose", "Look at this server closely"),
        )
    ]
    empty_text = reactive("no servers")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Rows | None = None
        self._instances = 0
        self._at = 0
        self._key: Key | None = None
        self._marked: frozenset[Key] = frozenset()
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(512)
        self._painted: list[Strip] = []

    # -- what others see ----------------------------------------------------------------------

    @property
    def cursor_key(self) -> Key | None:
        """Backend and name of the server under the cursor; None when no row is shown."""
        return self._key if self._count else None

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor, as it was shown last."""
        return self._rows[self._at] if self._rows is not None and self._count else None

    @property
    def marked(self) -> frozenset[Key]:
        """What is marked, in sight or filtered out."""
        return self._marked

    def toggle_mark(self) -> None:
        """Mark the server under the cursor, or take its mark away."""
        if (key := self.cursor_key) is not None:
            self._marked ^= {key}
            self._repaint()

    def clear_marks(self) -> None:
        """Take all marks away."""
        self._marked = frozenset()
        self._repaint()

    def show(self, rows: Rows, instances: int) -> None:
        """Show these rows. The cursor stays on its server, or where it was when that is gone.

        Args:
            rows: what to show, in order; read only where it is in sight.
            instances: how many load balancers there are, for the width of their marks.
        """
        followed = 0 <= self._at - self.scroll_offset.y < self._page
        self._rows, self._instances = rows, instances
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
        self.toggle_mark()

    def action_choose(self) -> None:
        if (key := self.cursor_key) is not None:
            self.post_message(self.Chosen(key))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or not 0 < offset.y <= self._count - self.scroll_offset.y:
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
        self._painted = []  # all lines are other rows now: nothing to compare with

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def _repaint(self) -> None:
        # Only the lines that differ: most numbers of most servers do not change within a second.
        fresh = [self.render_line(y) for y in range(self.size.height)]
        same = len(fresh) == len(self._painted)
        regions = [
            Region(0, y, self._width, 1)
            for y, strip in enumerate(fresh)
            if not same or strip != self._painted[y]
        ]
        self._painted = fresh
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        width = self._width
        if y == 0:
            return self._strip([(heading(width, self._instances, len(self._marked)), "header")])
        at = self.scroll_offset.y + y - 1
        if self._rows is not None and at < self._count:
            row = self._rows[at]
            return self._row(row, width, row.key == self._key, row.key in self._marked)
        text = self.empty_text if y == 2 and not self._count else ""
        return self._strip([(fit(" " + text, width), "quiet")])

    def _row(self, row: Row, width: int, cursor: bool, marked: bool) -> Strip:
        known = (row, width, self._instances, cursor, marked)
        if (strip := self._strips.get(known)) is None:
            glyph = ("◆" if marked else "▸") if cursor else "•" if marked else " "
            strip = self._strip([(glyph, "plain"), *line(row, width, self._instances)], cursor)
            self._strips[known] = strip
        return strip

    def _strip(self, runs: Runs, cursor: bool = False) -> Strip:
        style = self.get_component_rich_style("server-table--cursor")
        if cursor and style.reverse:  # without colours one bar reads better than patches
            runs = [("".join(text for text, _ in runs), "cursor")]
        band = Style(bgcolor=style.bgcolor, bold=True) if cursor and not style.reverse else Style()
        segments = [
            Segment(text, self.get_component_rich_style(f"server-table--{name}") + band)
            for text, name in runs
        ]
        return Strip(segments).adjust_cell_length(self._width)
