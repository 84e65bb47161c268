"""The rollout board: progress, what the rollout waits for, and each step of each node."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget

from backends.text import counted, format_clock, format_duration, visible
from orchestrator.events.state import NodeState, NodeStatus, RolloutState, is_under_way
from orchestrator.events.steps import STEPS, Step
from widgets.decision_panel import build_sentence
from widgets.segments import KINDS, Segment, css_colors, render_line, truncate

STATES: dict[str, Segment] = {
    NodeState.PENDING: (" ", "quiet"),
    NodeState.DRAINED: ("◐", "moving"),
    NodeState.UPGRADED: ("✓", "ok"),
    NodeState.ROLLED_BACK: ("✓", "ok"),
    NodeState.SKIPPED: ("-", "quiet"),
    NodeState.EXCLUDED: ("-", "quiet"),
    NodeState.HELD: ("!", "moving"),
    NodeState.FAILED: ("✗", "bad"),
    NodeState.PUT_BACK: ("↶", "moving"),
    NodeState.INTERRUPTED: ("?", "bad"),
}
FIXED_LINES = 3  # lines that always stay: header, sentence, headings
CELL_COLUMNS = 7  # a glyph, a space, a time
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
    bar = min(24, width - taken - sum(cell_len(text) for text, _ in phase))
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
    return f" · {glyph} {state.ended.result} in {format_clock(state.ended.duration_s)}", kind


def describe_position(top: int, shown: int, total: int, held: bool) -> str:
    """Return which rows are in sight, and how to return to those in progress."""
    return f"{top + 1}-{top + shown} of {total}" + (" · end: follow" if held else "")


def build_headings(name: int, gap: int, place: str) -> list[Segment]:
    """Return the names of the columns, followed by `place`."""
    steps = "".join(f"{step:<{CELL_COLUMNS + gap}}" for step in STEPS)
    return [(f"{'NODE':<{name}}{' ' * gap}{steps}", "head"), (place, "quiet")]


def build_row(
    node: NodeStatus, state: RolloutState, now: float, name: int, gap: int, actual: str = ""
) -> list[Segment]:
    """Return a node with a cell for each step, then its state in words.

    Args:
        node: to show.
        state: of the rollout, which has the open questions.
        now: seconds since 1970, for what runs.
        name: columns of its name.
        gap: columns between two cells.
        actual: the actual state, where that differs from the desired one; else empty.
    """
    asked = any(question.subject == node.name for question in state.questions.values())
    label = Text(truncate(node.name, name))
    label.pad_right(name - label.cell_len)
    segments: list[Segment] = [(label.plain + " " * gap, "plain")]
    for step in STEPS:
        text, kind = _cell(node, step, now)
        segments.append((f"{text:<{CELL_COLUMNS + gap}}", kind))
    glyph, kind = STATES.get(node.state, ("◐", "moving"))
    if actual:
        return [*segments, (f"{glyph} {node.state}", kind), (f" · but {visible(actual)}", "bad")]
    silent = not node.reason or node.state is NodeState.BAKING
    words = node.state if silent else f"{node.state}: {node.reason}"
    if is_under_way(node.state) and node.state != NodeState.DRAINED and not node.at_work:
        words = f"{node.step} done"  # "stopping" would mean that it is still in progress
    words += f" · service output: {node.log[-1]}" if node.log else ""
    words += " · waits for you" if asked else ""
    return [*segments, (f"{glyph} {visible(words)}", "moving" if asked and kind == "quiet" else kind)]


def _cell(node: NodeStatus, step: Step, now: float) -> Segment:
    span = node.steps.get(step)
    if span is None:
        return ("✗", "bad") if node.state is NodeState.FAILED and node.step == step else ("", "plain")
    if span.is_done:
        glyph, kind = ("✓", "ok") if span.result == "done" else ("·", "quiet")
        return f"{glyph} {format_duration(span.seconds):>5}", kind
    if node.step == step and node.at_work:
        return f"◐ {format_clock(now - span.began):>5}", "moving"
    return ("?" if node.state is NodeState.INTERRUPTED else "✗"), "bad"


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
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "rows(-1)", "up", id="board-up", tooltip="Earlier nodes", show=False),
        Binding("down", "rows(1)", "down", id="board-down", tooltip="Later nodes", show=False),
        Binding("end", "follow", "follow", id="board-follow", tooltip="The nodes at work", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rollout = RolloutState()
        self._capacities = ""
        self._actual: Mapping[str, str] = {}
        self._now = self._shown_at = 0.0
        self._top_row = 0
        self._held = False  # the operator has scrolled, so that the rows stay where they are
        self._drawn = Text()

    def show(
        self,
        state: RolloutState,
        now: float,
        capacities: str = "",
        actual: Mapping[str, str] | None = None,
    ) -> None:
        """Show this state.

        Args:
            state: of the rollout; it is read again when running times are refreshed.
            now: seconds since 1970, on the clock that gave the events their time.
            capacities: "4 in rotation, floor 2"; stays at the end of the sentence.
            actual: the actual states of nodes, where they differ from the desired ones.
        """
        grown = len(state.nodes) != len(self._rollout.nodes)
        self._held = self._held and state is self._rollout
        self._rollout, self._now, self._capacities = state, now, visible(capacities)
        self._actual = actual or {}
        self._shown_at = monotonic()
        self._repaint(grown)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return FIXED_LINES + len(self._rollout.nodes)

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

    def action_follow(self) -> None:
        self._held = False
        self.refresh()

    @property
    def _room(self) -> int:
        return max(1, self.size.height - FIXED_LINES)

    def _tick(self) -> None:
        """Advance running times between events."""
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
            build_sentence(state, now, self._capacities, width),
            build_headings(name, gap, place),
            *(build_row(node, state, now, name, gap, self._actual.get(node.name, "")) for node in rows),
        ]
        styles = {kind: self.get_component_rich_style(f"board--{kind}") for kind in KINDS}
        return Text("\n", no_wrap=True, end="").join(render_line(line, styles, width) for line in lines)


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
