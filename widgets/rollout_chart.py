"""The verdict of a rollout as a line, and both versions over the rollout as charts of block characters.

Each version has a plot of its own, with its name beside it and a scale that both share, so that the charts
can be read without colors. An empty column is one in which nothing was measured.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from backends.text import format_clock, visible
from orchestrator.events.comparison import (
    METRICS,
    Comparison,
    ComparisonPoint,
    Measure,
    Metric,
    find_top,
)
from orchestrator.events.judgement import Verdict, VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.events.verdict_text import (
    VERDICT_GLYPHS,
    describe_final_verdict,
    verdict_sentences,
)
from widgets.segments import KINDS, Segment, css_colors, render_lines, truncate

BARS = "▁▂▃▄▅▆▇█"
VERDICT_KINDS: dict[Verdict, str] = {"good": "ok", "hold": "moving", "bad": "bad", "blind": "moving"}
SIDE_BY_SIDE_FROM_COLUMNS = 100
TITLE_COLUMNS, NAME_COLUMNS, VALUE_COLUMNS, GAP_COLUMNS = 13, 8, 8, 3


def build_verdict(verdict: VerdictChanged, width: int, *, has_ended: bool = False) -> list[Segment]:
    """Return the verdict as one line: the longest sentence that fits, with a glyph and a color."""
    final = [describe_final_verdict(verdict)] if has_ended else []
    sentences = final if verdict.state == "good" and has_ended else [*final, *verdict_sentences(verdict)]
    texts = [f"{VERDICT_GLYPHS[verdict.state]} {sentence}" for sentence in sentences]
    text = next((text for text in texts if cell_len(visible(text)) <= width), texts[-1])
    return [(truncate(text, width), VERDICT_KINDS[verdict.state])]


def plot(values: Sequence[float | None], top: float, rows: int) -> list[str]:
    """Return the lines of a plot, the uppermost first.

    Args:
        values: one for each column, none of them negative; None leaves the column empty.
        top: the value that fills all rows.
        rows: how many lines there are.
    """
    # An eighth of a line stays empty, so that plots do not touch each other.
    heights = [_height(value, top, 8 * rows - 1) for value in values]
    return ["".join(_block(height - 8 * row) for height in heights) for row in reversed(range(rows))]


def _height(value: float | None, top: float, full: int) -> int:
    """Return the height in eighths of a line; zero has the lowest bar, and what is not zero a higher one."""
    if value is None:
        return 0
    return min(full, max(2, round(value / top * full))) if value > 0 and top > 0 else 1


def _block(eighths: int) -> str:
    return BARS[min(8, eighths) - 1] if eighths > 0 else " "


def build_small_chart(state: RolloutState, width: int) -> list[list[Segment]]:
    """Return two lines for each metric, or both metrics side by side; none without a point."""
    if not state.comparison.points:
        return []
    if width < SIDE_BY_SIDE_FROM_COLUMNS:
        return [line for metric in METRICS for line in _metric_lines(state, metric, width, 1)]
    left, right = (_metric_lines(state, metric, (width - GAP_COLUMNS) // 2, 1) for metric in METRICS)
    return [[*one, (" " * GAP_COLUMNS, "plain"), *other] for one, other in zip(left, right, strict=True)]


def count_small_chart_lines(width: int) -> int:
    """Return how many lines `build_small_chart` takes."""
    return 2 if width >= SIDE_BY_SIDE_FROM_COLUMNS else 2 * len(METRICS)


def build_large_chart(state: RolloutState, width: int, height: int) -> list[list[Segment]]:
    """Return both metrics in all lines that there are, with the time below them."""
    rows = max(1, (height - len(METRICS)) // (2 * len(METRICS)))
    lines = [line for metric in METRICS for line in (*_metric_lines(state, metric, width, rows), [])]
    return [*lines[:-1], _axis(state.comparison, width)]


def _metric_lines(state: RolloutState, metric: Metric, width: int, rows: int) -> list[list[Segment]]:
    comparison = state.comparison
    top = find_top(comparison.points, metric.measure)
    columns = max(1, width - TITLE_COLUMNS - NAME_COLUMNS - VALUE_COLUMNS - 2)
    points, last = comparison.columns(columns), comparison.points[-1]
    titles = [metric.title, f"max {metric.format(top)}"]
    lines = []
    for name, kind, title, is_new in (
        (state.version, "plain", titles[0], True),
        ("others", "quiet", titles[1], False),
    ):
        values = [_value(point, metric.measure, is_new=is_new) for point in points]
        for number, text in enumerate(plot(values, top, rows)):
            is_last = number == rows - 1
            value = metric.format(_value(last, metric.measure, is_new=is_new)) if is_last else ""
            lines.append(
                [
                    (f"{title if is_last else '':<{TITLE_COLUMNS}}", "quiet"),
                    (_pad(name if is_last else "", NAME_COLUMNS), kind),
                    (f" {text} ", kind),
                    (f"{value:>{VALUE_COLUMNS}}", kind),
                ]
            )
    return lines


def _value(point: ComparisonPoint | None, measure: Measure, *, is_new: bool) -> float | None:
    return None if point is None else measure(point.new if is_new else point.old)


def _pad(text: str, columns: int) -> str:
    shown = truncate(text, columns) if text else ""
    return shown + " " * (columns - cell_len(shown))


def _axis(comparison: Comparison, width: int) -> list[Segment]:
    """Return the time since the first point: at its beginning, and now."""
    room = max(1, width - TITLE_COLUMNS - NAME_COLUMNS - VALUE_COLUMNS - 2)
    ended = format_clock(comparison.seconds)
    return [(f"{'':<{TITLE_COLUMNS + NAME_COLUMNS}} {'0:00':<{max(1, room - len(ended))}}{ended}", "quiet")]


class RolloutChart(Widget):
    """Error rate and response time of both versions over a rollout, below its verdict."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    RolloutChart { height: 1fr; padding: 0 1; }
    """ + css_colors("RolloutChart", "chart")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rollout = RolloutState()

    def show(self, state: RolloutState) -> None:
        """Show this state; it is read when the widget is drawn."""
        self._rollout = state
        self.refresh()

    def render(self) -> Text:
        width, height = self.size
        return render_lines(self, "chart", self._build_lines(max(1, width), height))

    def _build_lines(self, width: int, height: int) -> list[list[Segment]]:
        state = self._rollout
        if state.verdict is None:
            return [[("there is no rollout whose version is judged", "quiet")]]
        title = f"{truncate(state.application, width // 3)} → {truncate(state.version, width // 3)}"
        head = [[(title, "head")], build_verdict(state.verdict, width, has_ended=state.ended is not None)]
        if not state.comparison.points:
            return [*head, [("nothing was compared yet", "quiet")]]
        return [*head, [], *build_large_chart(state, width, height - len(head) - 1)]
