"""What the line below the fleet's table says of the applications that it hides."""

from widgets.fleet.model import FleetOptions
from widgets.segments import Segment, truncate
from widgets.table.filter_line import MAX_FILTER_CELLS, describe_limits


def build_fleet_filter_line(options: FleetOptions, shown: int, total: int, hint: str) -> list[Segment]:
    """Return `/shop · only what needs attention · 3 of 40 applications match · esc clears`.

    Args:
        options: of the rows.
        shown: how many applications match.
        total: how many there are.
        hint: how to see all again.
    """
    needle = options.filter.strip()
    limits = [f"/{truncate(needle, MAX_FILTER_CELLS)}"] if needle else []
    if options.problems_only:
        limits.append("only what needs attention")
    return describe_limits(limits, shown, total, "application", hint)
