"""The columns of the server table: which ones there is room for, their widths, and the sort order of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from rich.cells import cell_len

from backends.text import visible
from widgets.line_table import Runs
from widgets.segments import MAX_CELL_CHARS, fit
from widgets.table import cell_text
from widgets.table.cell_text import NO_VALUE, format_number
from widgets.table.model import Row, Sort, TableOptions
from widgets.table.names import MIN_NAME_CELLS, TableNames

_MAX_HIDDEN_FOR_NOTE = 3  # columns at the end, which are less important than a note
_MIN_BACKEND_CELLS = 7  # as wide as its title


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its width depends on the screen and on names only, so that nothing moves when data change."""

    title: str
    cells: int  # at least; 0 hides it where there is no room
    text: Callable[[Row, int, TableNames], str]  # of a row, for this number of cells
    style: str = "plain"  # "kind": that of the row
    right: bool = False
    sort: Sort | None = None  # the order that a click on its title selects


def _number(value: Callable[[Row], float | None], row: Row, width: int, _: TableNames) -> str:
    return format_number(value(row), width)


COLUMNS = (
    Column(
        "NODE",
        MIN_NAME_CELLS,
        lambda row, width, names: names.nodes.shorten(row.node, width),
        "name",
        sort="node",
    ),
    Column("BACKEND", 0, cell_text.format_backends, "quiet"),
    Column("ADDRESS", 0, lambda row, width, _: row.address or NO_VALUE, "quiet"),
    Column("ADMIN", 5, lambda row, width, _: cell_text.format_admin(row, width), "kind"),
    Column("HEALTH", 9, lambda row, width, _: row.health, "kind", sort="problems"),
    Column("CHECK", 0, lambda row, width, _: row.check or NO_VALUE, "quiet"),
    Column("VERSION", 7, lambda row, width, _: row.version or NO_VALUE),
    Column("WGHT", 0, lambda row, width, _: row.weight, "quiet", right=True),
    Column("SESS", 4, partial(_number, lambda row: row.sessions), right=True, sort="sessions"),
    Column("Q", 3, partial(_number, lambda row: row.queue), right=True),
    Column("REQ/S", 5, partial(_number, lambda row: row.rate), right=True, sort="rate"),
    Column("ERR%", 4, lambda row, width, _: cell_text.format_errors(row, width), right=True, sort="errors"),
    Column(
        "RT",
        3,
        lambda row, width, _: cell_text.format_response(row.response, width),
        right=True,
        sort="response",
    ),
    Column("TREND", 0, lambda row, width, _: cell_text.format_trend(row.trend, width), "trend"),
)
_END = "SINCE"  # the text after the marks of the load balancers

_GROWTH = (
    *((_END, 6), ("TREND", 5), (_END, 12)),
    *(("RT", 5), ("REQ/S", 6), ("Q", 4), ("SESS", 5), ("VERSION", 10), ("HEALTH", 10), ("ADMIN", 11)),
    *(("WGHT", 4), ("TREND", 8), ("CHECK", 14), (_END, 24), ("TREND", 16), ("ADDRESS", 21)),
    *((_END, 36), ("TREND", 30), ("CHECK", 24), ("VERSION", 16)),
)
"""What gets the room that names leave, in this order: a column, and the cells that it then has.

Names come before all of these: WGHT, TREND and SINCE are the first that have to do without room.
"""


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The width of each column, in cells, on a screen of one width."""

    columns: tuple[tuple[Column, int], ...]
    glyphs: int
    end: int  # of the text after the glyphs: where they differ, since when, who changed it


@lru_cache(maxsize=16)
def lay_out_columns(width: int, instances: int, node: int, backend: int) -> ColumnLayout:
    """Distribute the cells: first what must not be missing, then names in full, then all else.

    Args:
        width: of the table, in cells.
        instances: the number of load balancers.
        node: cells of the longest name of a node.
        backend: cells of the longest name of a backend; 0 where all rows have the same one.
    """
    glyphs = max(2, instances)
    widths = {column.title: column.cells for column in COLUMNS} | {_END: 0}
    room = width - 2 - glyphs - sum(column.cells + 1 for column in COLUMNS if column.cells)
    room += MIN_NAME_CELLS
    if backend:
        full = max(MIN_NAME_CELLS, min(node, room - _MIN_BACKEND_CELLS - 1))
        widths["BACKEND"] = max(_MIN_BACKEND_CELLS, min(backend, room - full - 1))
        room -= widths["BACKEND"] + 1
    widths["NODE"] = max(MIN_NAME_CELLS, min(node, room))
    room -= widths["NODE"]
    for title, cells in _GROWTH:
        gap = 1 if title != _END and not widths[title] else 0
        more = cells - widths[title] + gap
        if more <= 0 or (gap and more > room):
            continue
        more = max(0, min(more, room))
        widths[title] += more - gap
        room -= more
    columns = tuple((column, widths[column.title]) for column in COLUMNS if widths[column.title])
    return ColumnLayout(columns, glyphs, widths[_END] + max(0, room))


def lay_out_for(width: int, instances: int, names: TableNames) -> ColumnLayout:
    """Return the layout of a table with these names; BACKEND is there only if there are several."""
    several = len(names.backends.names) > 1
    return lay_out_columns(width, instances, names.nodes.cells, names.backends.cells if several else 0)


def build_row(row: Row, layout: ColumnLayout, names: TableNames) -> Runs:
    """Return the segments of a row, without the glyph of cursor and mark before it."""
    hidden, room = _hide_for_note(layout, cell_len(visible(row.note[:MAX_CELL_CHARS])))
    runs = [
        (fit(column.text(row, cells, names), cells, column.right) + " ", _style(column.style, row))
        for column, cells in layout.columns[: len(layout.columns) - hidden]
    ]
    if hidden:
        return [
            *runs,
            (fit(f"{row.glyphs} {row.note[:MAX_CELL_CHARS]}", len(row.glyphs) + 1 + room), row.kind),
        ]
    text, is_note = cell_text.format_end(row, layout.end)
    return [
        *runs,
        (fit(row.glyphs, layout.glyphs) + " ", row.kind),
        (fit(text, layout.end), row.kind if is_note else "quiet"),
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


def _style(style: str, row: Row) -> str:
    if style == "name":
        return row.kind if row.is_problem else "plain"
    return row.kind if style == "kind" else style


def build_heading(layout: ColumnLayout, marked: int, options: TableOptions) -> str:
    """Return the line of titles, with an arrow at the column by which rows are sorted.

    It ends with the number of marked rows, as some may be out of sight.
    """
    counts = (f"• {marked} marked", f"•{marked}", "•") if marked else ("SINCE · LAST CHANGE", _END)
    end = next((text for text in counts if len(text) <= layout.end), "")
    cells = [_title(column, cells, options) for column, cells in layout.columns]
    return " " + "".join([*cells, fit("LB", layout.glyphs), " ", fit(end, layout.end)])


def _title(column: Column, width: int, options: TableOptions) -> str:
    """Return a title and the gap after it, which the arrow may take so that nothing moves."""
    if column.sort is None or column.sort != options.sort:
        return fit(column.title, width, column.right) + " "
    return fit(column.title + ("▴" if options.reverse else "▾"), width + 1, column.right)


def sort_at(x: int, layout: ColumnLayout) -> Sort | None:
    """Return the sort order of the title at this cell; None where there is none."""
    begins = 1  # after the cursor's column
    for column, cells in layout.columns:
        if begins <= x <= begins + cells:
            return column.sort
        begins += cells + 1
    return None
