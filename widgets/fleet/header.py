"""The first line of the fleet: its load balancers, how many applications need attention, the time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from backends.text import counted, visible
from orchestrator.fleet.row import ApplicationRow, Attention
from widgets.segments import KINDS, Kind, Segment, css_colors, render_lines
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


class FleetHeader(Widget):
    """The header: one line, and a second one only while something is wrong."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"fleet-header--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    FleetHeader { height: auto; padding: 0 1; background: $panel; }
    """ + css_colors("FleetHeader", "fleet-header")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._model = FleetHeaderModel((), ())
        self._clock = ""
        self._drawn = Text()

    def show(self, model: FleetHeaderModel, clock_text: str) -> None:
        """Show this model; `clock_text` is the time of day, such as "16:42:05"."""
        grown = bool(describe_fleet_trouble(model)) != bool(describe_fleet_trouble(self._model))
        self._model, self._clock = model, visible(clock_text)
        if grown or self._lines() != self._drawn:
            self.refresh(layout=grown)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 2 if describe_fleet_trouble(self._model) else 1

    def render(self) -> Text:
        self._drawn = self._lines()
        return self._drawn

    def _lines(self) -> Text:
        width = self.size.width
        if width <= 0:
            return Text()
        lines = [build_fleet_line(self._model, self._clock, width)]
        lines += [trouble] if (trouble := describe_fleet_trouble(self._model, width)) else []
        return render_lines(self, "fleet-header", lines)


def describe_fleet_trouble(model: FleetHeaderModel, width: int = 10_000) -> list[Segment]:
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
            if (room := width - _width_of(left) - _width_of(right)) >= 1:
                return [*left, (" " * room, "plain"), *right]
    return title


def _width_of(segments: Sequence[Segment]) -> int:
    return sum(cell_len(text) for text, _ in segments)


def _count_segments(rows: Sequence[ApplicationRow]) -> list[Segment]:
    counts = Counter(row.attention for row in rows)
    return [
        (f"{count} {one if count == 1 else more}", kind)
        for attention, one, more, kind in _WORDS
        if (count := counts[attention])
    ]
