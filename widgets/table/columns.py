"""The columns of the server table: what stands in them, and how wide they are. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from backends.text import visible
from widgets.view_model import Arrangement, Row, Sort

NONE = "\N{EN DASH}"
BARS = "▁▂▃▄▅▆▇█"
_LESS_THAN_A_NOTE = 3  # columns at the end
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
    sort: Sort | None = None  # the order that a click on its title asks for


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


def errors(row: Row, width: int) -> str:
    """The share of requests that ended in an error for the client."""
    return percent(row.errors) if row.errors_known else "?"


def milliseconds(value: int | None, width: int) -> str:
    """Milliseconds, or seconds with an `s` when that is too long."""
    if value is None:
        return NONE
    return str(value) if len(str(value)) <= width else number(value // 1000, width - 1) + "s"


def trend(values: tuple[float, ...], width: int) -> str:
    """The newest values as bars, scaled to the largest of all."""
    top = max(values, default=0) or 1
    bars = "".join(BARS[min(7, max(0, round(each / top * 7)))] for each in values[-width:])
    return bars.rjust(width)  # the newest is on the right, also while there are few


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


def backends(row: Row, width: int) -> str:
    """The names of all its backends; how many where they do not fit, as a part of a list would mislead."""
    if row.backends == 1:
        return name(row.backend, width)
    counted = f"{row.backends} backends"
    texts = (row.backend[:LONGEST], counted, f"in {row.backends}")
    return next((each for each in texts if cell_len(visible(each)) <= width), str(row.backends))


COLUMNS = (
    Column("NODE", 6, 14, lambda row, width: name(row.node, width), "name", sort="node"),
    Column("BACKEND", 7, 12, backends, "quiet"),
    Column("ADMIN", 5, 11, admin, "kind"),
    Column("HEALTH", 9, 10, lambda row, width: row.health, "kind", sort="problems"),
    Column("VERSION", 7, 10, lambda row, width: row.version or NONE),
    Column("WGHT", 0, 4, lambda row, width: row.weight, "quiet", right=True),
    Column("SESS", 4, 5, lambda row, width: number(row.sessions, width), right=True, sort="sessions"),
    Column("Q", 3, 4, lambda row, width: number(row.queue, width), right=True),
    Column("REQ/S", 5, 6, lambda row, width: number(row.rate, width), right=True, sort="rate"),
    Column("ERR%", 4, 4, errors, right=True, sort="errors"),
    Column("RT", 3, 5, lambda row, width: milliseconds(row.response, width), right=True, sort="response"),
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
    for title in ("NODE", "BACKEND"):
        longer = max(0, min(room // 3, 16))
        widths[title] += longer
        room -= longer
    columns = tuple((each, widths[each.title]) for each in COLUMNS if widths[each.title])
    return Layout(columns, marks, end + max(0, room))


def line(row: Row, width: int, instances: int) -> Runs:
    """A row as texts with the names of their styles, without the glyph of cursor and mark before it."""
    place = layout(width, instances)
    more, room = _given_up(place, cell_len(visible(row.note[:LONGEST])))
    runs = [
        (fit(each.text(row, wide), wide, each.right) + " ", _style(each.style, row))
        for each, wide in place.columns[: len(place.columns) - more]
    ]
    if more:
        return [*runs, (fit(f"{row.marks} {row.note[:LONGEST]}", len(row.marks) + 1 + room), row.kind)]
    text, style = _end(row, place.end)
    return [*runs, (fit(row.marks, place.marks) + " ", row.kind), (fit(text, place.end), style)]


def _given_up(place: Layout, needed: int) -> tuple[int, int]:
    """How many of the last columns go, and the cells of the text then.

    Where it differs is worth more than the trend, the response time and the errors; each goes when it must.
    """
    room = place.end
    for more in range(_LESS_THAN_A_NOTE):
        if needed <= room:
            return more, room
        room += place.columns[-1 - more][1] + 1
    return _LESS_THAN_A_NOTE, room


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


def heading(width: int, instances: int, marked: int, arrangement: Arrangement) -> str:
    """The line of titles, with an arrow at that of the order.

    At its end stands how many rows are marked, as some may be out of sight.
    """
    place = layout(width, instances)
    count = next((text for text in (f"• {marked} marked", f"•{marked}") if len(text) <= place.end), "•")
    cells = [_title(each, wide, arrangement) for each, wide in place.columns]
    return " " + "".join([*cells, fit("LB", place.marks), " ", fit(count if marked else "SINCE", place.end)])


def _title(column: Column, width: int, arrangement: Arrangement) -> str:
    """A title and the gap after it, which the arrow may take: nothing moves."""
    if column.sort is None or column.sort != arrangement.sort:
        return fit(column.title, width, column.right) + " "
    return fit(column.title + ("▴" if arrangement.reverse else "▾"), width + 1, column.right)


def order_at(x: int, width: int, instances: int) -> Sort | None:
    """The order that a click on this cell of the titles asks for; None where there is none."""
    begins = 1  # after the cursor's column
    for column, wide in layout(width, instances).columns:
        if begins <= x <= begins + wide:
            return column.sort
        begins += wide + 1
    return None
