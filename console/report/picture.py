"""The timeline as a picture: a row for each node, a bar for each step, marks for failures and pauses."""

from collections.abc import Iterator, Sequence

from backends.plural import counted
from console.output.text import clean, shorten
from console.report.markup import tag, text
from orchestrator import events
from orchestrator.events import STEPS
from orchestrator.journal.story import Span, Story
from widgets.pieces import clock, duration

WIDTH = 1100  # of the picture's own units; it grows and shrinks as a whole
NAMES = 150  # for the names of the nodes, on the left
ROW, BAR, TOP = 24, 14, 26
LEAST = 1.5  # of a bar: what took no time is seen too
NAME_COLUMNS = 20
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)  # seconds


def picture(story: Story) -> str:
    """An SVG with its legend; empty when no step was begun."""
    if not story.spans:
        return ""
    return _Picture(story).drawn() + _legend(story)


class _Picture:
    """Knows where a moment and a node are."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._nodes = story.nodes
        self._began = min(story.state.began or story.spans[0].began, story.spans[0].began)
        self._seconds = max(story.seen - self._began, 0.001)
        self._height = TOP + ROW * len(self._nodes) + 6
        self._rows = {name: TOP + ROW * index for index, name in enumerate(self._nodes)}

    def drawn(self) -> str:
        parts = [*self._grid(), *self._pauses(), *self._names()]
        for span in self._story.spans:
            parts += self._bar(span)
        parts += [*self._crosses(), *self._diamonds()]  # last: no bar may hide one
        label = f"{counted(len(self._nodes), 'node')} over {clock(self._seconds)}"
        head = f'<svg viewBox="0 0 {WIDTH} {self._height}" role="img" aria-label="{text(label)}">'
        return tag("div", head, "\n".join(parts), "</svg>", kind="wide")

    def _x(self, at: float) -> float:
        share = min(1.0, max(0.0, (at - self._began) / self._seconds))
        return round(NAMES + share * (WIDTH - NAMES - 20), 2)

    def _grid(self) -> Iterator[str]:
        step = next((each for each in _TICKS if self._seconds / each <= 10), self._seconds / 10)
        for number in range(int(self._seconds / step) + 1):
            x = self._x(self._began + number * step)
            yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{self._height}"/>'
            words = clock(number * step)
            yield f'<text class="tick" x="{x}" y="{TOP - 12}" text-anchor="middle">{words}</text>'

    def _pauses(self) -> Iterator[str]:
        for each in self._story.pauses:
            x, until = self._x(each.began), self._x(each.ended or self._story.seen)
            words = tag("title", text(f"paused {duration((each.ended or self._story.seen) - each.began)}"))
            yield (
                f'<rect class="paused" x="{x}" y="{TOP - 6}" width="{max(LEAST, until - x):.2f}"'
                f' height="{self._height - TOP + 6}">{words}</rect>'
            )

    def _names(self) -> Iterator[str]:
        for name, y in self._rows.items():
            shown = tag("title", text(name)) + text(shorten(clean(name), NAME_COLUMNS))
            yield f'<text x="{NAMES - 10}" y="{y + BAR - 2}" text-anchor="end">{shown}</text>'

    def _bar(self, span: Span) -> Iterator[str]:
        """Paler while sessions end and while it bakes: there is nothing to do then."""
        y, until = self._rows[span.node], span.ended or self._story.seen
        words = f"{span.step} {duration(span.seconds)}: {span.detail}".removesuffix(": ")
        kind = span.step if span.step in STEPS else "other"
        if span.step == STEPS[0] or span.baked is None:
            pale = " idle" if span.step == STEPS[0] and span.waits else ""
            yield self._rect(f"{kind}{pale}", span.began, until, y, words)
        else:
            yield self._rect(kind, span.began, span.baked, y, words)
            yield self._rect(f"{kind} idle", span.baked, until, y, words)

    def _crosses(self) -> Iterator[str]:
        for span in self._story.spans:
            if span.how in ("failed", "interrupted"):
                x, y = self._x(span.ended or self._story.seen), self._rows[span.node] + BAR / 2
                words = tag("title", text(f"{span.step} {span.how}: {span.detail}"))
                yield f'<path class="failed" d="M{x - 5} {y - 5}l10 10m0 -10l-10 10">{words}</path>'

    def _rect(self, kind: str, left: float, right: float, y: int, words: str) -> str:
        x = self._x(left)
        size = max(LEAST, self._x(right) - x)
        place = f'x="{x}" y="{y}" width="{size:.2f}" height="{BAR}"'
        return f'<rect class="{kind}" {place}>{tag("title", text(words))}</rect>'

    def _diamonds(self) -> Iterator[str]:
        for at, asked in _questions(self._story):
            x, y = self._x(at), self._rows[asked.subject] + BAR / 2
            words = tag("title", text(asked.text))
            yield f'<path class="asked" d="M{x} {y - 6}l6 6l-6 6l-6 -6z">{words}</path>'


def _questions(story: Story) -> list[tuple[float, events.DecisionRequested]]:
    """About nodes, and when; but those that come of a failure: its mark stands there."""
    failed = {(span.node, span.ended) for span in story.spans if span.how == "failed"}
    nodes = set(story.nodes)
    return [
        (record.at, record.event)
        for record in story.told
        if isinstance(record.event, events.DecisionRequested)
        and record.event.subject in nodes
        and (record.event.subject, record.at) not in failed
    ]


def _legend(story: Story) -> str:
    steps: Sequence[str] = STEPS
    shapes = [(step, f'<rect class="{step}" width="14" height="14"/>') for step in steps]
    if any(each.waited for each in story.spans):
        shapes.append(("paler: waiting", '<rect class="verify idle" width="14" height="14"/>'))
    if any(each.how in ("failed", "interrupted") for each in story.spans):
        shapes.append(("failed or interrupted", '<path class="failed" d="M2 2l10 10m0 -10l-10 10"/>'))
    if _questions(story):
        shapes.append(("somebody was asked", '<path class="asked" d="M7 1l6 6l-6 6l-6 -6z"/>'))
    if story.pauses:
        shapes.append(("paused", '<rect class="paused" width="14" height="14"/>'))
    items = [
        tag("li", f'<svg viewBox="0 0 14 14" aria-hidden="true">{shape}</svg> ', text(words))
        for words, shape in shapes
    ]
    return tag("ul", *items, kind="legend quiet")
