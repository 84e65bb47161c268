"""The columns of the server table: their text, their width and the sort order of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from backends.text import visible
from orchestrator.balancers.response_times import ResponseTime
from widgets.table.model import Row, Sort, TableOptions

NO_VALUE = "\N{EN DASH}"
BARS = "▁▂▃▄▅▆▇█"
_MAX_HIDDEN_FOR_NOTE = 3  # columns at the end, which are less important than a note
MAX_CELL_CHARS = 512  # no screen shows more, and some servers send 10 kB
RowSegments = list[tuple[str, str]]
"""Texts, each with the name of its style."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its width depends on the width of the screen only, so that nothing moves when data change."""

    title: str
    narrow: int  # cells at 80 columns; 0 hides it
    wide: int  # cells when there is room
    text: Callable[[Row, int], str]  # of a row, for this number of cells
    style: str = "plain"  # "kind": that of the row
    right: bool = False
    sort: Sort | None = None  # the order that a click on its title selects


def fit(text: str, width: int, right: bool = False) -> str:
    """Return text of exactly `width` cells; an ellipsis marks what was cut."""
    text = visible(text[:MAX_CELL_CHARS])
    room = width - cell_len(text)
    if room >= 0:
        return " " * room + text if right else text + " " * room
    return set_cell_size(text, width - 1) + "…" if width else ""


def shorten_name(text: str, width: int) -> str:
    """Return a name that is cut before the number at its end, which tells nodes apart."""
    if len(text) <= width or width < 6 or not text.isascii() or not text[-1].isdigit():
        return text
    return f"{text[: width - 3]}…{text[-2:]}"


def format_number(value: float | None, width: int) -> str:
    """Return a count in at most `width` cells: thousands as k; a fraction only below ten."""
    if value is None:
        return NO_VALUE
    text = f"{value:.1f}" if 0 < value < 10 and isinstance(value, float) else f"{value:.0f}"
    for unit in "kMGT":
        if len(text) <= width:
            break
        value /= 1000
        text = f"{value:.0f}{unit}"
    return text


def format_percent(ratio: float | None) -> str:
    """Return a ratio from 0 to 1 as a percentage in at most four cells."""
    if ratio is None:
        return NO_VALUE
    return "100" if ratio >= 0.9995 else f"{ratio * 100:.1f}"


def format_errors(row: Row, width: int) -> str:
    """Return the percentage of requests that ended in an error for the client."""
    return format_percent(row.errors) if row.errors_known else "?"


def format_milliseconds(value: int, width: int) -> str:
    """Return milliseconds, or seconds with an `s` where milliseconds are too long."""
    return str(value) if len(str(value)) <= width else format_number(value // 1000, width - 1) + "s"


def format_response(response: ResponseTime | None, width: int) -> str:
    """Return a response time; one of HAProxy's average is marked with `~` where there is room for it."""
    if response is None:
        return NO_VALUE
    text = format_milliseconds(response.ms, width)
    return text if response.is_recent or len(text) == width else "~" + text


def format_trend(values: tuple[float, ...], width: int) -> str:
    """Return the newest values as bars, scaled to the largest of all values."""
    top = max(values, default=0) or 1
    bars = "".join(BARS[min(7, max(0, round(value / top * 7)))] for value in values[-width:])
    return bars.rjust(width)  # the newest is on the right, also while there are few


def format_since(seconds: int) -> str:
    """Return a time in one unit, in at most six cells."""
    if seconds < 60:
        return f"{max(0, seconds)} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400} d"


def format_admin(row: Row, width: int) -> str:
    """Return the administrative state; one word where load balancers disagree and both states do not fit."""
    return "mixed" if len(row.admin) > width and "/" in row.admin else row.admin


def format_backends(row: Row, width: int) -> str:
    """Return all backends; only their number where they do not fit, as part of a list would mislead."""
    if row.backend_count == 1:
        return shorten_name(row.backend, width)
    counted = f"{row.backend_count} backends"
    texts = (row.backend[:MAX_CELL_CHARS], counted, f"in {row.backend_count}")
    return next((text for text in texts if cell_len(visible(text)) <= width), str(row.backend_count))


COLUMNS = (
    Column("NODE", 6, 14, lambda row, width: shorten_name(row.node, width), "name", sort="node"),
    Column("BACKEND", 7, 12, format_backends, "quiet"),
    Column("ADMIN", 5, 11, format_admin, "kind"),
    Column("HEALTH", 9, 10, lambda row, width: row.health, "kind", sort="problems"),
    Column("VERSION", 7, 10, lambda row, width: row.version or NO_VALUE),
    Column("WGHT", 0, 4, lambda row, width: row.weight, "quiet", right=True),
    Column("SESS", 4, 5, lambda row, width: format_number(row.sessions, width), right=True, sort="sessions"),
    Column("Q", 3, 4, lambda row, width: format_number(row.queue, width), right=True),
    Column("REQ/S", 5, 6, lambda row, width: format_number(row.rate, width), right=True, sort="rate"),
    Column("ERR%", 4, 4, format_errors, right=True, sort="errors"),
    Column(
        "RT",
        3,
        5,
        lambda row, width: format_response(row.response, width),
        right=True,
        sort="response",
    ),
    Column("TREND", 5, 8, lambda row, width: format_trend(row.trend, width), "trend"),
)


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The width of each column, in cells, on a screen of one width."""

    columns: tuple[tuple[Column, int], ...]
    glyphs: int
    end: int  # of the text after the glyphs: where they differ, since when


@lru_cache(maxsize=16)
def lay_out_columns(width: int, instances: int) -> ColumnLayout:
    """Distribute the cells: first the narrow widths, then the text at the end, numbers, and longer names."""
    glyphs = max(2, instances)
    room = width - 2 - glyphs - sum(column.narrow + 1 for column in COLUMNS if column.narrow)
    end = max(0, min(room, 12))
    room -= end
    widths = {}
    for column in reversed(COLUMNS):
        more = column.wide - column.narrow + (column.narrow == 0)  # a column that is new also needs a gap
        more = min(more, max(0, room)) if column.narrow else more * (room >= more)
        widths[column.title] = column.narrow + more - (column.narrow == 0 and more > 0)
        room -= more
    for title in ("NODE", "BACKEND"):
        longer = max(0, min(room // 3, 16))
        widths[title] += longer
        room -= longer
    columns = tuple((column, widths[column.title]) for column in COLUMNS if widths[column.title])
    return ColumnLayout(columns, glyphs, end + max(0, room))


def build_row(row: Row, width: int, instances: int) -> RowSegments:
    """Return the segments of a row, without the glyph of cursor and mark before it."""
    layout = lay_out_columns(width, instances)
    hidden, room = _hide_for_note(layout, cell_len(visible(row.note[:MAX_CELL_CHARS])))
    runs = [
        (fit(column.text(row, cells), cells, column.right) + " ", _style(column.style, row))
        for column, cells in layout.columns[: len(layout.columns) - hidden]
    ]
    if hidden:
        return [
            *runs,
            (fit(f"{row.glyphs} {row.note[:MAX_CELL_CHARS]}", len(row.glyphs) + 1 + room), row.kind),
        ]
    text, style = _end_text(row, layout.end)
    return [
        *runs,
        (fit(row.glyphs, layout.glyphs) + " ", row.kind),
        (fit(text, layout.end), style),
    ]


def _hide_for_note(layout: ColumnLayout, needed: int) -> tuple[int, int]:
    """Return how many of the last columns to hide so that a note fits, and the cells that the note then has.

    A note is more important than the trend, the response time and the errors; each is hidden when necessary.
    """
    room = layout.end
    for hidden in range(_MAX_HIDDEN_FOR_NOTE):
        if needed <= room:
            return hidden, room
        room += layout.columns[-1 - hidden][1] + 1
    return _MAX_HIDDEN_FOR_NOTE, room


def _end_text(row: Row, width: int) -> tuple[str, str]:
    ago = format_since(row.since_s) + (" ago" if width >= 10 else "")
    if not row.note:
        return ago, "quiet"
    both = f"{row.note} · {ago}"
    return (both if cell_len(visible(both)) <= width else row.note), row.kind


def _style(style: str, row: Row) -> str:
    if style == "name":
        return row.kind if row.is_problem else "plain"
    return row.kind if style == "kind" else style


def build_heading(width: int, instances: int, marked: int, options: TableOptions) -> str:
    """Return the line of titles, with an arrow at the column by which rows are sorted.

    It ends with the number of marked rows, as some may be out of sight.
    """
    layout = lay_out_columns(width, instances)
    count = next((text for text in (f"• {marked} marked", f"•{marked}") if len(text) <= layout.end), "•")
    cells = [_title(column, cells, options) for column, cells in layout.columns]
    return " " + "".join(
        [
            *cells,
            fit("LB", layout.glyphs),
            " ",
            fit(count if marked else "SINCE", layout.end),
        ]
    )


def _title(column: Column, width: int, options: TableOptions) -> str:
    """Return a title and the gap after it, which the arrow may take so that nothing moves."""
    if column.sort is None or column.sort != options.sort:
        return fit(column.title, width, column.right) + " "
    return fit(column.title + ("▴" if options.reverse else "▾"), width + 1, column.right)


def sort_at(x: int, width: int, instances: int) -> Sort | None:
    """Return the sort order of the title at this cell; None where there is none."""
    begins = 1  # after the cursor's column
    for column, cells in lay_out_columns(width, instances).columns:
        if begins <= x <= begins + cells:
            return column.sort
        begins += cells + 1
    return None
