"""The text of each cell of the server table, in as many cells as it has."""

from rich.cells import cell_len

from backends.text import format_since, visible
from orchestrator.balancers.response_times import ResponseTime
from widgets.segments import MAX_CELL_CHARS
from widgets.table.model import Row
from widgets.table.names import TableNames

NO_VALUE = "\N{EN DASH}"
BARS = "▁▂▃▄▅▆▇█"
MIN_SINCE_CELLS = 6


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
    """Return the newest values as bars, scaled to the largest of those that are shown."""
    shown = values[-width:]
    top = max(shown, default=0) or 1
    bars = "".join(BARS[min(7, max(0, round(value / top * 7)))] for value in shown)
    return bars.rjust(width)  # the newest is on the right, also while there are few


def format_admin(row: Row, width: int) -> str:
    """Return the administrative state; one word where load balancers disagree and both states do not fit."""
    return "mixed" if len(row.admin) > width and "/" in row.admin else row.admin


def format_backends(row: Row, width: int, names: TableNames) -> str:
    """Return all backends; only their number where they do not fit, as part of a list would mislead."""
    if row.backend_count == 1:
        return names.backends.shorten(row.backend, width)
    counted = f"{row.backend_count} backends"
    texts = (row.backend[:MAX_CELL_CHARS], counted, f"in {row.backend_count}")
    return next((text for text in texts if cell_len(visible(text)) <= width), str(row.backend_count))


def format_end(row: Row, width: int) -> tuple[str, bool]:
    """Return the note, since when the state is as it is and who changed it last, as far as they fit.

    Returns:
        The text, and whether it begins with the note.
    """
    ago = format_since(row.since_s) + (" ago" if width >= 10 else "") if width >= MIN_SINCE_CELLS else ""
    parts = [part for part in (row.note, ago, row.changed_by) if part]
    while len(parts) > 1 and cell_len(visible(" · ".join(parts))) > width:
        parts.pop()
    return " · ".join(parts), bool(row.note)
