"""The lines of the rollout board: header, one sentence, headings, and a row for each node."""

from rich.cells import cell_len
from rich.text import Text

from backends.text import counted, format_clock, format_duration, visible
from orchestrator.events.events import RolloutEnded
from orchestrator.events.state import NodeState, NodeStatus, RolloutState, is_under_way
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.text import remaining_text
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
SPLIT_ETA_FROM_COLUMNS = 100  # from this width on the ETA has two parts


def header(state: RolloutState, now: float, width: int) -> list[Segment]:
    """`shop 1.4.2 → 1.5.0 · batch 2/3 · 3/12 nodes · ████░░ 33 % · left 3:10`; the bar takes the rest."""
    share = state.done / state.total if state.total else 1.0
    # With one node a batch both counts would say the same.
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
    glyph = "‖" if _paused(state) else "!"
    return [(" · ", "quiet"), (truncate(f"{glyph} {state.phase_text}", max(10, room - 3)), "moving")]


def _paused(state: RolloutState) -> bool:
    return state.phase == "paused"


def _ending(state: RolloutState, width: int) -> Segment:
    if state.ended is None:
        if state.phase != "progressing":  # then nobody knows
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


def sentence(state: RolloutState, now: float, capacities: str, width: int) -> list[Segment]:
    """Return what the rollout waits for, or how it ended, in one line that ends with `capacities`.

    Where there is no room the reason is cut, never the countdown: the row of the node has the reason too.
    """
    tail = f" · {truncate(capacities, width // 2)}" if capacities else ""
    room = width - cell_len(tail)
    text, kind, countdowns = _why(state, now)
    left = next(
        (countdown for countdown in countdowns if cell_len(visible(text + countdown)) <= room), countdowns[-1]
    )
    return [(truncate(text, room - cell_len(left)) + left, kind), (tail, "plain")]


def _why(state: RolloutState, now: float) -> tuple[str, str, list[str]]:
    """Return the sentence, its kind, and its endings: the long one, and a shorter one for narrow screens."""
    if state.ended:
        return *_end(state, state.ended), [""]
    if state.questions:
        asked = ", ".join(question.subject for question in state.questions.values())
        return f"? waiting for a decision: {asked}", "moving", [""]
    working = [node for node in state.nodes.values() if node.at_work]
    if not working:
        paused = "no new node is started"
        return *((paused, "moving") if _paused(state) else ("between two steps", "quiet")), [""]
    first_node = min(working, key=lambda node: node.deadline or float("inf"))
    baking = first_node.state is NodeState.BAKING
    verb = "bakes" if baking else STEPS.spec(first_node.step or STEPS[0]).verb
    why = f": {first_node.reason}" if first_node.reason and not baking else ""
    return f"{first_node.name} {verb}{why}", "plain", _countdowns(state, first_node, len(working), now)


def _countdowns(state: RolloutState, node: NodeStatus, working: int, now: float) -> list[str]:
    more = f" · +{counted(working - 1, 'node')} in progress" if working > 1 else ""
    if _paused(state):
        return [f" · deadline stopped{more}", " · deadline stopped"]
    if node.deadline is None:
        return [more]
    left = remaining_text(format_clock(node.deadline - now), baking=node.state is NodeState.BAKING)
    return [f" · {left}{more}", f" · {left}"]


def _end(state: RolloutState, ended: RolloutEnded) -> Segment:
    out = [out.node for out in ended.out_of_rotation if not out.intentional]
    verb = "rolled back" if state.kind == "rollback" else "upgraded"
    parts = [f"not in rotation: {', '.join(out)}"] if out else []
    parts += (
        [f"{counted(len(ended.unreachable_balancers), 'load balancer')} could not be read"]
        if ended.unreachable_balancers
        else []
    )
    parts += [ended.reason] if ended.reason else []
    parts += [] if out or ended.unreachable_balancers else [f"all {verb} nodes are in rotation"]
    return " · ".join(parts), "ok" if ended.result == "healthy" and not ended.unreachable_balancers else "bad"


def in_sight(top: int, shown: int, total: int, held: bool) -> str:
    """Return which rows are in sight, and how to return to those in progress."""
    return f"{top + 1}-{top + shown} of {total}" + (" · end: follow" if held else "")


def headings(name: int, gap: int, place: str) -> list[Segment]:
    """Return the names of the columns, followed by `place`."""
    steps = "".join(f"{step:<{CELL_COLUMNS + gap}}" for step in STEPS)
    return [(f"{'NODE':<{name}}{' ' * gap}{steps}", "head"), (place, "quiet")]


def row(
    node: NodeStatus, state: RolloutState, now: float, name: int, gap: int, actual: str = ""
) -> list[Segment]:
    """Return a node with a cell for each step, then its state in words.

    Args:
        node: to show.
        state: of the rollout, which has the open questions.
        now: seconds since 1970, for what runs.
        name: columns of its name.
        gap: columns between two cells.
        actual: how it is, where that differs from what is wanted; else empty.
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
