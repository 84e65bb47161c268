"""The traffic of the last ten minutes as plots: requests, errors and response time, each with its scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from backends.text import format_clock, visible
from orchestrator.events.comparison import NO_VALUE, format_response
from orchestrator.events.state import RolloutState
from orchestrator.live.traffic_history import TrafficHistory, TrafficPoint
from widgets.rollout_chart import build_small_chart, count_small_chart_lines, plot
from widgets.segments import KINDS, Segment, css_colors, render_lines

MIN_LINES = 5  # a title, a line for each plot, and the time
REDRAW_S = 2.0  # between two redraws: a large pane takes 5 ms, and a column stands for seconds
_TITLE_COLUMNS, _SCALE_COLUMNS = 11, 8
_VALUE_COLUMNS = 9
_SCALE_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class _Plot:
    """What one plot shows; `text` formats a value with its unit."""

    title: str
    value: Callable[[TrafficPoint], float | None]
    text: Callable[[float], str]
    kind: str


def _format_rate(value: float) -> str:
    """Return a rate in at most seven columns: `0.4/s`, `420/s`, `1840/s`, `120k/s`."""
    if value >= 99_950:
        return f"{value / 1000:.0f}k/s"
    return f"{value:.1f}/s" if 0 < value < 9.95 else f"{value:.0f}/s"


PLOTS = (
    _Plot("requests", lambda point: point.rate, _format_rate, "quiet"),
    _Plot("errors 5xx", lambda point: point.error_rate, _format_rate, "bad"),
    _Plot("response", lambda point: point.response_ms, format_response, "quiet"),
)


def find_scale(values: Sequence[float | None]) -> float:
    """Return a round number of at least 1 that no value exceeds, so that the scale seldom changes."""
    top = max((value for value in values if value is not None), default=0.0)
    power = 1.0
    while top > power * _SCALE_STEPS[-1]:
        power *= 10
    return next(power * step for step in _SCALE_STEPS if top <= power * step)


def build_traffic(history: TrafficHistory, width: int, height: int) -> list[list[Segment]]:
    """Return the lines of the pane: a title, a plot for each value from 0 to its scale, and the time below.

    An empty column is a time in which nothing was read; a value of zero has the lowest bar.
    """
    columns = max(1, width - _TITLE_COLUMNS - _SCALE_COLUMNS - _VALUE_COLUMNS - 2)
    points = history.columns(columns, history.seconds)
    lines: list[list[Segment]] = [[("Traffic", "head"), (_describe_source(history), "quiet")]]
    rows, further = divmod(max(len(PLOTS), height - 2), len(PLOTS))
    for number, shown in enumerate(PLOTS):
        lines += _build_plot(shown, points, rows + (number < further))
    return [*lines[: height - 1], _build_axis(columns, history.seconds)]


def _describe_source(history: TrafficHistory) -> str:
    missing = f", without {', '.join(history.missing)}" if history.missing else ""
    return f" · last {history.seconds / 60:.0f} min, all clients{missing}"


def _build_plot(shown: _Plot, points: Sequence[TrafficPoint | None], rows: int) -> list[list[Segment]]:
    values = [None if point is None else shown.value(point) for point in points]
    top = find_scale(values)
    last = next((value for value in reversed(values) if value is not None), None)
    now = NO_VALUE if last is None else shown.text(last)
    kind = shown.kind if shown.kind != "bad" or any(values) else "quiet"
    lines = []
    for number, text in enumerate(plot(values, top, rows)):
        is_last = number == rows - 1
        title = shown.title if number == 0 else ""
        scale = shown.text(top) if number == 0 else "0" if is_last else ""
        lines.append(
            [
                (f"{title:<{_TITLE_COLUMNS}}", "plain"),
                (f"{scale:>{_SCALE_COLUMNS}}", "quiet"),
                (f" {text} ", kind),
                (f"{now if is_last else '':<{_VALUE_COLUMNS}}", "head"),
            ]
        )
    return lines


def _build_axis(columns: int, seconds: float) -> list[Segment]:
    """Return the time below the plots: when they begin, the middle, and now."""
    begin, end = f"-{format_clock(seconds)}", "now"
    middle = f"-{format_clock(seconds / 2)}" if columns >= 30 else ""
    gap = columns - cell_len(begin) - cell_len(end)
    left = max(0, columns // 2 - cell_len(begin) - cell_len(middle) // 2)
    between = f"{'':{left}}{middle}".ljust(max(1, gap))
    return [(f"{'':{_TITLE_COLUMNS + _SCALE_COLUMNS}} {begin}{between}{end}", "quiet")]


class TrafficPane(Widget):
    """Requests, errors and response time of the last ten minutes; during a rollout both versions below."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"traffic--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    TrafficPane { padding: 0 1; }
    """ + css_colors("TrafficPane", "traffic")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._history = TrafficHistory()
        self._rollout: RolloutState | None = None
        self._drawn: object = None

    def show(self, history: TrafficHistory, rollout: RolloutState | None = None) -> None:
        """Show this history as it is now.

        Args:
            history: of the application.
            rollout: whose versions are compared below it; None without one.
        """
        self._history, self._rollout = history, rollout
        compared = rollout.comparison.ended if rollout is not None else 0.0
        drawn = history.now // REDRAW_S, history.seconds, history.missing, compared, self.size
        if self.display and drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def render(self) -> Text:
        width, height = self.size
        return render_lines(self, "traffic", self._build_lines(max(1, width), height))

    @property
    def compares(self) -> bool:
        """Whether both versions of a rollout are shown here."""
        if self._rollout is None or not self._rollout.comparison.points or not self.display:
            return False
        return self.size.height >= MIN_LINES + count_small_chart_lines(max(1, self.size.width)) + 1

    def _build_lines(self, width: int, height: int) -> list[list[Segment]]:
        below: list[list[Segment]] = []
        if self._rollout is not None and self.compares:
            title = f"{visible(self._rollout.version)} against the other nodes, over the rollout"
            below = [[(title, "head")], *build_small_chart(self._rollout, width)]
        return [*build_traffic(self._history, width, height - len(below)), *below]
