"""The rows of the rollout board: a node with a cell for each step, and the headings above them."""

from rich.text import Text

from backends.text import format_clock, format_duration, visible
from orchestrator.events.state import NodeState, NodeStatus, RolloutState, is_under_way
from orchestrator.events.steps import STEPS, Step
from widgets.segments import Segment, truncate

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
CELL_COLUMNS = 7  # a glyph, a space, a time


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
