"""The columns of the fleet's table: their widths, their text, and the sort order of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len

from backends.text import visible
from orchestrator.fleet.row import ApplicationRow
from orchestrator.fleet.text import (
    NO_VALUE,
    describe_state,
    format_availability,
    format_errors,
    format_rate,
    format_response,
    version_texts,
)
from widgets.fleet.model import FleetOptions, FleetSort, mark_of
from widgets.line_table import Runs
from widgets.segments import MAX_CELL_CHARS, fit
from widgets.table.cell_text import format_milliseconds, format_number, format_trend
from widgets.table.names import MIN_NAME_CELLS, NameSet

_STATE = "ROLLOUT"
_NAME = "APP"
_PICKER_IN = 7  # cells of the number of nodes in a list of applications
_MAX_HIDDEN = 6  # columns before the state, which are less important than a long one


@dataclass(frozen=True, slots=True)
class FleetColumn:
    """A column; its width depends on the screen and on names only, so that nothing moves when data change."""

    title: str
    cells: int  # at least; 0 hides it where there is no room
    text: Callable[[ApplicationRow, int], str]  # of a row, for this number of cells
    style: str = "plain"  # "kind": that of the row
    right: bool = False
    sort: FleetSort | None = None  # the order that a click on its title selects


def _format_rate(row: ApplicationRow, width: int) -> str:
    text = format_rate(row)
    return text if len(text) <= width else format_number(row.traffic.rate, width)


def _format_response(row: ApplicationRow, width: int) -> str:
    text = format_response(row)
    if len(text) <= width or row.traffic.response is None:
        return text
    return format_milliseconds(row.traffic.response.ms, width)


def fit_versions(row: ApplicationRow, width: int) -> str:
    """Return its versions with the numbers of nodes, in at most `width` cells; `+2` counts those left out."""
    texts = version_texts(row.version_counts)
    for number in range(len(texts), 0, -1):
        rest = f" +{len(texts) - number}" if number < len(texts) else ""
        for gap in ("  ", " "):
            if len(text := gap.join(texts[:number]) + rest) <= width:
                return text
    rest = f" +{len(texts) - 1}" if len(texts) > 1 else ""
    return f"{row.versions[0][0]}{rest}" if row.versions else NO_VALUE


COLUMNS = (
    FleetColumn(
        "IN", 7, lambda row, _: f"{mark_of(row)[0]} {format_availability(row)}", "kind", sort="rotation"
    ),
    FleetColumn("VERSIONS", 9, fit_versions),
    FleetColumn("REQ/S", 5, _format_rate, right=True, sort="rate"),
    FleetColumn("ERR%", 4, lambda row, _: format_errors(row), right=True, sort="errors"),
    FleetColumn("RT", 3, _format_response, right=True, sort="response"),
    FleetColumn("Q", 2, lambda row, width: format_number(row.traffic.queue, width), right=True, sort="queue"),
    FleetColumn("SESS", 0, lambda row, width: format_number(row.traffic.sessions, width), right=True),
    FleetColumn("TREND", 0, lambda row, width: format_trend(row.traffic.trend, width), "trend"),
)

_GROWTH = (
    *((_STATE, 22), ("VERSIONS", 18), ("RT", 4), ("Q", 3), ("REQ/S", 6), (_STATE, 34)),
    *(("VERSIONS", 20), ("OPERATOR", 14), ("TREND", 8), (_STATE, 44), ("SESS", 5)),
    *(("VERSIONS", 32), (_STATE, 60), ("OPERATOR", 24)),
)
"""What gets the room that names leave, in this order: a column, and the cells that it then has."""


@dataclass(frozen=True, slots=True)
class FleetLayout:
    """The width of each column, in cells, on a screen of one width."""

    name: int
    columns: tuple[tuple[FleetColumn, int], ...]
    state: int  # what is done, or what is wrong
    operator: int


@lru_cache(maxsize=16)
def lay_out_fleet(width: int, name: int) -> FleetLayout:
    """Distribute the cells: names in full, then all else.

    Args:
        width: of the table, in cells.
        name: cells of the longest name.
    """
    widths = {column.title: column.cells for column in COLUMNS} | {_STATE: 12, "OPERATOR": 0}
    room = width - 1 - sum(cells + 1 for cells in widths.values() if cells)
    widths[_NAME] = max(MIN_NAME_CELLS, min(name, room))
    room -= widths[_NAME]
    for title, cells in _GROWTH:
        gap = 0 if widths[title] else 1
        more = cells - widths[title] + gap
        if more <= 0 or (gap and more > room):
            continue
        more = max(0, min(more, room))
        widths[title] += more - gap
        room -= more
    columns = tuple((column, widths[column.title]) for column in COLUMNS if widths[column.title])
    return FleetLayout(widths[_NAME], columns, widths[_STATE] + max(0, room), widths["OPERATOR"])


def build_fleet_row(row: ApplicationRow, layout: FleetLayout, names: NameSet, now: float) -> Runs:
    """Return the segments of a row, without the glyph of cursor and mark before it."""
    kind = mark_of(row)[1]
    state = describe_state(row, now)
    operator = row.rollout.operator if row.rollout is not None else ""
    hidden, room = _hide_for(layout, _width_of(state) if kind != "ok" else 0)
    if not layout.operator and operator:
        both = f"{state}  {operator.partition('@')[0]}"
        more, wider = _hide_for(layout, _width_of(both))
        if _width_of(both) <= wider:
            state, hidden, room = both, more, wider
    name = fit(names.shorten(row.name, layout.name), layout.name)
    runs: Runs = [(name + " ", kind if kind in ("bad", "moving") else "plain")]
    runs += [
        (
            fit(column.text(row, cells), cells, column.right) + " ",
            kind if column.style == "kind" else column.style,
        )
        for column, cells in layout.columns[: len(layout.columns) - hidden]
    ]
    runs.append((fit(state, room), "quiet" if kind == "ok" else kind))
    if layout.operator:
        runs.append((" " + fit(operator, layout.operator), "quiet"))
    return runs


def _width_of(text: str) -> int:
    return cell_len(visible(text[:MAX_CELL_CHARS]))


def _hide_for(layout: FleetLayout, needed: int) -> tuple[int, int]:
    """Return how many of the last columns to hide so that the state fits, and the cells that it then has."""
    room = layout.state
    most = min(_MAX_HIDDEN, len(layout.columns) - 2)  # never the nodes and the versions
    for hidden in range(most):
        if needed <= room:
            return hidden, room
        room += layout.columns[-1 - hidden][1] + 1
    return most, room


def build_picker_row(row: ApplicationRow, names: NameSet, width: int, now: float) -> Runs:
    """Return the segments of a row with the name and what is done, for a list of applications."""
    name = max(MIN_NAME_CELLS, min(names.cells, width // 2))
    glyph, kind = mark_of(row)
    rest = max(0, width - name - 6 - _PICKER_IN)
    return [
        (f"{glyph} ", kind),
        (fit(names.shorten(row.name, name), name) + " ", "plain"),
        (fit(format_availability(row), _PICKER_IN, right=True) + "  ", "quiet"),
        (fit(describe_state(row, now), rest), "quiet" if kind == "ok" else kind),
    ]


def build_fleet_titles(layout: FleetLayout, marked: int, options: FleetOptions) -> str:
    """Return the line of titles, with an arrow at the column by which rows are sorted."""
    name: FleetSort | None = "name" if options.sort == "name" else None
    cells = [_title(_NAME, layout.name, options, name)]
    cells += [
        _title(column.title, cells, options, column.sort, column.right) for column, cells in layout.columns
    ]
    state = f"{_STATE} · {marked} marked" if marked else _STATE
    arrow = ("▴" if options.reverse else "▾") if options.sort == "attention" else ""
    end = fit(state + arrow, layout.state)
    return " " + "".join(cells) + end + (f" {'OPERATOR'[: layout.operator]}" if layout.operator else "")


def _title(title: str, width: int, options: FleetOptions, sort: FleetSort | None, right: bool = False) -> str:
    """Return a title and the gap after it, which the arrow may take so that nothing moves."""
    if sort is None or sort != options.sort:
        return fit(title, width, right) + " "
    return fit(title + ("▴" if options.reverse else "▾"), width + 1, right)


def fleet_sort_at(x: int, layout: FleetLayout) -> FleetSort | None:
    """Return the sort order of the title at this cell; None where there is none."""
    begins = 1 + layout.name + 1  # after the cursor's column and the names
    if 1 <= x < begins:
        return "name"
    for column, cells in layout.columns:
        if begins <= x <= begins + cells:
            return column.sort
        begins += cells + 1
    return "attention"
