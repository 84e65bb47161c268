"""The first line of the fleet: its load balancers, how many applications need attention, the time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backends.text import counted, visible
from orchestrator.fleet.row import ApplicationRow, Attention
from widgets.header_line import HeaderLine
from widgets.segments import Kind, Segment, width_of
from widgets.status_header import build_badges, describe_badges
from widgets.table.model import BalancerBadge

_WORDS: Sequence[tuple[Attention, str, str, Kind]] = (
    (Attention.WAITS, "waits for you", "wait for you", "moving"),
    (Attention.BROKEN, "broken", "broken", "bad"),
    (Attention.ROLLING, "rolling", "rolling", "moving"),
    (Attention.UNFINISHED, "unfinished", "unfinished", "moving"),
    (Attention.OUT, "with nodes out", "with nodes out", "out"),
)


@dataclass(frozen=True, slots=True)
class FleetHeaderModel:
    """What the header shows.

    Attributes:
        badges: of the load balancers, and of Consul where there is one.
        rows: of all applications.
        problem: what concerns no single application; else empty.
    """

    badges: tuple[BalancerBadge, ...]
    rows: Sequence[ApplicationRow]
    problem: str = ""


class FleetHeader(HeaderLine[FleetHeaderModel]):
    """The header of the fleet."""

    def build_first(self, model: FleetHeaderModel, clock_text: str, width: int) -> list[Segment]:
        return build_fleet_line(model, clock_text, width)

    def describe_trouble(self, model: FleetHeaderModel, width: int) -> list[Segment]:
        return describe_fleet_trouble(model, width)


def describe_fleet_trouble(model: FleetHeaderModel, width: int) -> list[Segment]:
    """Return what is wrong, in about this many columns at most; nothing while all is well."""
    found = describe_badges(model.badges, width, others=bool(model.problem))
    if model.problem:
        found += [(" · ", "quiet")] if found else []
        found += [(visible(model.problem), "bad")]
    return found


def build_fleet_line(model: FleetHeaderModel, clock_text: str, width: int) -> list[Segment]:
    """Return the number of applications and the load balancers on the left, counts and clock on the right.

    Where there is no room, first the versions of load balancers go, then those that are live are only
    counted, and at last the counts of what is least urgent go.
    """
    title: list[Segment] = [("Fleet  ", "head"), (f"{counted(len(model.rows), 'app')} · ", "plain")]
    counts = _count_segments(model.rows)
    clock: Segment = (clock_text, "plain")
    for number in range(len(counts), -1, -1):
        right: list[Segment] = []
        for segment in counts[:number]:
            right += [segment, ("  ", "plain")]
        right += [(" ", "plain"), clock]
        for parts in (3, 2, 0, -1):
            left = title + build_badges(model.badges, parts)
            if (room := width - width_of(left) - width_of(right)) >= 1:
                return [*left, (" " * room, "plain"), *right]
    return title


def _count_segments(rows: Sequence[ApplicationRow]) -> list[Segment]:
    counts = Counter(row.attention for row in rows)
    return [
        (f"{count} {one if count == 1 else more}", kind)
        for attention, one, more, kind in _WORDS
        if (count := counts[attention])
    ]
