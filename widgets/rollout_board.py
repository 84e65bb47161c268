"""The rollout board: progress, what the rollout waits for, the verdict, and each step of each node."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget

from backends.text import counted, format_clock, visible
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.events.text import describe_duration
from widgets.rollout_chart import build_small_chart, build_verdict, count_small_chart_lines
from widgets.rollout_rows import build_headings, build_row
from widgets.rollout_sentence import Sentence, build_sentence
from widgets.segments import KINDS, Segment, css_colors, render_lines, truncate, width_of

FIXED_LINES = 3  # lines that always stay: header, sentence, headings
MIN_LINES_WITH_VERDICT = 5  # a lower board has no room for the verdict beside a node
MIN_ROWS_WITH_TWO_LINES = 3  # of nodes, where there are so many and the sentence takes two lines
CHART_FROM_LINES = 30  # of the screen; on a lower one the chart has a screen of its own only
MIN_ROWS_WITH_CHART = 6  # of nodes, where there are so many
SPLIT_ETA_FROM_COLUMNS = 100  # from this width on the ETA has two parts


def build_header(state: RolloutState, now: float, width: int) -> list[Segment]:
    """Return `shop 1.4.2 → 1.5.0 · batch 2/3 · 3/12 nodes · ████░░ 33 % · left 3:10`."""
    share = state.done / state.total if state.total else 1.0
    # With one node in each batch both counts would be the same.
    several = 1 < len(state.batches) < state.total
    batch = f" · batch {state.batch}/{len(state.batches)}" if several else ""
    count = f"{batch} · {state.done:>{len(str(state.total))}}/{counted(state.total, 'node')}"
    before = state.versions_before()
    title = (
        f"{truncate(state.application, width // 5)} {truncate(before, width // 6)}".rstrip() if before else ""
    )
    title = f"{title or truncate(state.application, width // 4)} → {truncate(state.version, width // 5)}"
    percent = f"{share:>4.0%}".replace("%", " %")
    end = _ending(state, width)
    taken = cell_len(title) + len(count) + len(percent) + len(end[0]) + 4
    phase = _phase(state, width - taken)
    bar = min(24, width - taken - width_of(phase))
    filled = int(bar * share) if bar >= 4 else 0
    bars = [("█" * filled, "ok"), ("░" * (bar - filled) + " ", "quiet")] if bar >= 4 else []
    return [(title, "head"), *phase, (f"{count} · ", "plain"), *bars, (percent, "plain"), end]


def _phase(state: RolloutState, room: int) -> list[Segment]:
    if state.ended or state.phase == "progressing":
        return []
    glyph = "‖" if state.phase == "paused" else "!"
    return [(" · ", "quiet"), (truncate(f"{glyph} {state.phase_text}", max(10, room - 3)), "moving")]


def _ending(state: RolloutState, width: int) -> Segment:
    if state.ended is None:
        if state.phase != "progressing":  # then the end is unknown
            return "", "plain"
        left = state.eta()
        if left is None:
            return f" · left {'-':>5}", "plain"
        if width >= SPLIT_ETA_FROM_COLUMNS:
            parts = f" (work {format_clock(left.working)}, wait {format_clock(left.waiting)})"
        else:
            parts = f" (wait {format_clock(left.waiting)})"
        return f" · left {format_clock(left.seconds):>5}{parts}", "plain"
    glyph, kind = ("✓", "ok") if state.ended.result == "healthy" else ("✗", "bad")
    took = describe_duration(state.ended, as_clock=True)
    if width < SPLIT_ETA_FROM_COLUMNS:
        took = format_clock(state.ended.duration_s - state.ended.answer_wait_s)
    return f" · {glyph} {state.ended.result} in {took}", kind


def describe_position(top: int, shown: int, total: int, held: bool) -> str:
    """Return which rows are in sight, and how to return to those in progress."""
    return f"{top + 1}-{top + shown} of {total}" + (" · end: follow" if held else "")


class RolloutBoard(Widget, can_focus=True):
    """A rollout: header, one sentence, and the matrix of nodes and steps, which scrolls below them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"board--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    RolloutBoard { height: auto; padding: 0 1; }
    RolloutBoard:focus > .board--head { text-style: bold underline; }
    """ + css_colors("RolloutBoard", "board")
    HELP = """
# Rollout
Each row is a node, each column a step: ✓ done, · nothing was to do, ◐ at work, ✗ failed, ? interrupted.
The rows follow the nodes at work until you scroll.

Above them is the verdict on the new version: ✓ good so far, ! hold, ✗ bad, ? blind, which is never good.
The key `c` shows error rate and response time of both versions over the rollout.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "rows(-1)", "up", id="board-up", tooltip="Earlier nodes", show=False),
        Binding("down,j", "rows(1)", "down", id="board-down", tooltip="Later nodes", show=False),
        Binding("pageup", "page(-1)", "page up", id="board-page-up", tooltip="A page up", show=False),
        Binding("pagedown", "page(1)", "page down", id="board-page-down", tooltip="A page down", show=False),
        Binding("home", "rows(-1_000_000)", "first", id="board-first", tooltip="The first nodes", show=False),
        Binding("end,G", "follow", "follow", id="board-follow", tooltip="The nodes at work", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rollout = RolloutState()
        self._capacities = self._interruption = ""
        self._actual: Mapping[str, str] = {}
        self._now = self._shown_at = 0.0
        self._top_row = 0
        self._held = False  # the operator has scrolled, so that the rows stay where they are
        self._is_long = False  # the sentence has not fitted into one line
        self._laid_out = self._parts
        self._drawn = Text()
        self.has_chart = True  # False where both versions are shown elsewhere
        self._chart_drawn: tuple[object, list[list[Segment]]] = (None, [])

    def show(
        self,
        state: RolloutState,
        now: float,
        capacities: str = "",
        actual: Mapping[str, str] | None = None,
        interruption: str = "",
    ) -> None:
        """Show this state.

        Args:
            state: of the rollout; it is read again when running times are refreshed.
            now: seconds since 1970, on the clock that gave the events their time.
            capacities: "4 in rotation, floor 2"; stays at the end of the sentence, or below it.
            actual: the actual states of nodes, where they differ from the desired ones.
            interruption: why nobody works on it any more; takes the place of the sentence.
        """
        self._held = self._held and state is self._rollout
        # The second line stays while the rollout works: the board would go up and down with each step.
        stays = state is self._rollout and state.ended is None and not state.questions and not interruption
        was_long = self._is_long and stays
        self._rollout, self._now, self._capacities = state, now, visible(capacities)
        self._actual, self._interruption = actual or {}, visible(interruption)
        self._shown_at = monotonic()
        self._is_long = was_long or (0 < self.size.width and not self._sentence(now).fits(self.size.width))
        # The state is the same object each time, so that it cannot tell how it was before.
        grown, self._laid_out = self._parts != self._laid_out, self._parts
        self._repaint(grown)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        points = self._rollout.comparison.points
        has_chart = self.has_chart and points and viewport.height >= CHART_FROM_LINES
        chart = count_small_chart_lines(width) if has_chart else 0
        lines = FIXED_LINES + self._is_long + (self._rollout.verdict is not None)
        return lines + len(self._rollout.nodes) + chart

    def render(self) -> Text:
        self._drawn = self._build_text(self._now)
        return self._drawn

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_rows(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_rows(1)

    def action_rows(self, count: int) -> None:
        last = max(0, len(self._rollout.nodes) - self._room)
        self._top_row, self._held = min(max(0, self._top_row + count), last), True
        self.refresh()

    def action_page(self, pages: int) -> None:
        self.action_rows(pages * self._room)

    def action_follow(self) -> None:
        self._held = False
        self.refresh()

    @property
    def _parts(self) -> tuple[object, ...]:
        """What decides the height: the number of nodes, and what else there is."""
        state = self._rollout
        has_chart = bool(state.comparison.points) and self.has_chart
        return len(state.nodes), self._is_long, state.verdict is not None, has_chart

    @property
    def _room(self) -> int:
        """The lines for nodes."""
        others = FIXED_LINES + self._has_two_lines + len(self._verdict()) + len(self._chart())
        return max(1, self.size.height - others)

    @property
    def _has_two_lines(self) -> bool:
        """Whether the sentence takes two lines, for which the nodes must leave room."""
        rows = self.size.height - FIXED_LINES - len(self._verdict()) - 1
        return self._is_long and rows >= min(len(self._rollout.nodes), MIN_ROWS_WITH_TWO_LINES)

    def _sentence(self, now: float) -> Sentence:
        return build_sentence(self._rollout, now, self._capacities, self._interruption)

    def _verdict(self) -> list[list[Segment]]:
        """Return the line of the verdict; none without one, or without room for it."""
        state = self._rollout
        if state.verdict is None or self.size.height < MIN_LINES_WITH_VERDICT:
            return []
        return [build_verdict(state.verdict, self.size.width, has_ended=state.ended is not None)]

    def _chart(self) -> list[list[Segment]]:
        """Return the lines of the chart; none where the nodes need the room."""
        width, height = self.size
        rows = min(len(self._rollout.nodes), MIN_ROWS_WITH_CHART)
        least = FIXED_LINES + self._is_long + 1 + rows + count_small_chart_lines(width)
        if not self.has_chart or height < least or self.screen.size.height < CHART_FROM_LINES:
            return []
        key = (id(self._rollout), self._rollout.comparison.ended, width)
        if key != self._chart_drawn[0]:
            self._chart_drawn = (key, build_small_chart(self._rollout, width))
        return self._chart_drawn[1]

    def _tick(self) -> None:
        """Advance running times between events."""
        if self._interruption:
            return
        if any(node.at_work for node in self._rollout.nodes.values()) and self._rollout.ended is None:
            now = monotonic()
            self._now, self._shown_at = self._now + now - self._shown_at, now
            self._repaint(False)

    def _repaint(self, layout: bool) -> None:
        # The session is read ten times a second, but seldom has anything changed.
        if layout or self._build_text(self._now) != self._drawn:
            self.refresh(layout=layout)

    def _build_text(self, now: float) -> Text:
        width, state = self.size.width, self._rollout
        if width <= 0 or not state.nodes:
            return Text()
        nodes = list(state.nodes.values())
        self._top_row = scroll_window(
            self._top_row, self._room, len(nodes), [] if self._held else find_rows_in_focus(state)
        )
        rows = nodes[self._top_row : self._top_row + self._room]
        name = min(max(4, *(len(visible(node.name)) for node in nodes)), max(8, width // 6))
        gap = 2 if width < 100 else 4
        place = (
            ""
            if len(rows) == len(nodes)
            else describe_position(self._top_row, len(rows), len(nodes), self._held)
        )
        lines = [
            build_header(state, now, width),
            *self._sentence(now).lines(width, 2 if self._has_two_lines else 1),
            *self._verdict(),
            build_headings(name, gap, place),
            *(build_row(node, state, now, name, gap, self._actual.get(node.name, "")) for node in rows),
            *self._chart(),
        ]
        return render_lines(self, "board", lines)


def find_rows_in_focus(state: RolloutState) -> list[int]:
    """Return the rows in progress or awaiting a decision, else the failed ones, else the next one."""
    asked = {question.subject for question in state.questions.values()}
    nodes = list(enumerate(state.nodes.values()))
    return (
        [index for index, node in nodes if node.at_work or node.name in asked]
        or [
            index
            for index, node in nodes
            if node.state in (NodeState.FAILED, NodeState.HELD, NodeState.INTERRUPTED)
        ]
        or [index for index, node in nodes if node.state is NodeState.PENDING][:1]
    )


def scroll_window(top: int, room: int, total: int, wanted: Sequence[int]) -> int:
    """Return the first row to show, moved as little as possible so that the wanted rows are in sight."""
    if wanted:
        top = max(top, wanted[-1] - room + 1)
        top = min(top, wanted[0])
    return max(0, min(top, total - room))
