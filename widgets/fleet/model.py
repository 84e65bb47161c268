"""The rows of the fleet in the order and selection that the operator wants."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from orchestrator.fleet.row import ApplicationRow, Attention
from orchestrator.fleet.text import format_versions
from widgets.row_options import RowOptions
from widgets.segments import Kind
from widgets.table.by_server import natural_sort_key

FleetSort = Literal["attention", "name", "rotation", "rate", "errors", "response", "queue"]
FLEET_SORTS: Sequence[FleetSort] = get_args(FleetSort)

MARKS: Mapping[Attention, tuple[str, Kind]] = {
    Attention.WAITS: ("?", "moving"),
    Attention.BROKEN: ("▼", "bad"),
    Attention.ROLLING: ("◐", "moving"),
    Attention.UNFINISHED: ("!", "moving"),
    Attention.OUT: ("‖", "out"),
    Attention.QUIET: ("▲", "ok"),
}
"""The mark of an application, with its color."""


@dataclass(frozen=True, slots=True)
class FleetOptions(RowOptions[FleetSort]):
    """Which applications to show; the filter is part of a name, a version, an operator or what is done."""

    sort: FleetSort = "attention"


def mark_of(row: ApplicationRow) -> tuple[str, Kind]:
    """Return the mark of an application; one that no load balancer has answered about has its own."""
    if row.availability is None and not row.problem:
        return "◌", "quiet"
    return MARKS[row.attention]


def arrange_rows(rows: Sequence[ApplicationRow], options: FleetOptions) -> list[ApplicationRow]:
    """Return the rows to show, in order."""
    needle = options.filter.casefold().strip()
    shown = [
        row
        for row in rows
        if (not needle or needle in search_text(row))
        and not (options.problems_only and row.attention is Attention.QUIET)
    ]
    shown.sort(key=lambda row: natural_sort_key(row.name))
    if options.sort == "name":
        return shown[::-1] if options.reverse else shown
    return sorted(shown, key=_SORT_KEYS[options.sort], reverse=options.reverse)


def search_text(row: ApplicationRow) -> str:
    """Return the text that a filter searches."""
    rollout = row.rollout
    parts = [row.name, format_versions(row), row.problem]
    if rollout is not None:
        parts += [rollout.standing, rollout.version, rollout.action, rollout.operator, *rollout.questions]
    if row.frozen is not None:
        parts.append("frozen")
    return " ".join(parts).casefold()


def _sort_value(value: float | None) -> float:
    """Return what sorts the largest value first, and an unknown one last."""
    return 1.0 if value is None else -value


def _missing(row: ApplicationRow) -> float:
    return row.availability.total - row.availability.in_rotation if row.availability is not None else 0.0


_SORT_KEYS: Mapping[FleetSort, Callable[[ApplicationRow], float]] = {
    "attention": lambda row: row.attention,
    "rotation": lambda row: -_missing(row),
    "rate": lambda row: _sort_value(row.traffic.rate),
    "errors": lambda row: _sort_value(row.traffic.errors),
    "response": lambda row: _sort_value(row.traffic.response.ms if row.traffic.response else None),
    "queue": lambda row: -row.traffic.queue,
}
