"""The rollout on the screen: how far it is, why it is waiting, and each step of each node."""

from collections.abc import Sequence
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget

from orchestrator.events import STEPS, RolloutEnded, Step
from orchestrator.state import WORKING, NodeState, NodeStatus, RolloutState
from widgets.header import Piece, clock, cut, duration, painted
from widgets.text import visible

KINDS = ("ok", "moving", "bad", "out", "quiet", "head", "plain")
AT_WORK = {*WORKING.values(), NodeState.BAKING}
VERBS = {"drain": "drains", "stop": "stops", "install": "installs", "start": "starts", "verify": "verifies"}
STATES: dict[NodeState, Piece] = {
    NodeState.PENDING: (" ", "quiet"),
    NodeState.DRAINED: ("◐", "moving"),
    NodeState.UPGRADED: ("✓", "ok"),
    NodeState.SKIPPED: ("-", "quiet"),
    NodeState.EXCLUDED: ("-", "quiet"),
    NodeState.FAILED: ("✗", "bad"),
    NodeState.UNKNOWN: ("?", "bad"),
}
TOP = 3  # lines that always stay: header, sentence, headings
CELL = 7  # a glyph, a space, a time


class RolloutBoard(Widget, can_focus=True):
    """A rollout: header, one sentence, and the matrix of nodes and steps, which scrolls below them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"board--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    RolloutBoard { height: auto; padding: 0 1; }
    RolloutBoard > .board--ok { color: $success; }
    RolloutBoard > .board--moving { color: $warning; }
    RolloutBoard > .board--bad { color: $error; text-style: bold; }
    RolloutBoard > .board--out { color: $primary; }
    RolloutBoard > .board--quiet { color: $foreground 60%; }
    RolloutBoard > .board--head { text-style: bold; }
    RolloutBoard:focus > .board--head { text-style: bold underline; }
    RolloutBoard:nocolor > .board--ok, RolloutBoard:nocolor > .board--moving,
    RolloutBoard:nocolor > .board--bad, RolloutBoard:nocolor > .board--out { color: $foreground; }
    """
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
        self._now = self._shown_at = 0.0
        self._top_row = 0
        self._held = False  # somebody has scrolled: the rows stay where they are
        self._drawn = Text()

    def show(self, state: RolloutState, now: float, capacities: str = "") -> None:
        """Show this state.

        Args:
            state: of the rollout; it is read again when running times are repainted.
            now: seconds since 1970, on the clock that gave the events their time.
            capacities: "4 in rotation, floor 2"; stays at the end of the sentence.
        """
        grown = len(state.nodes) != len(self._rollout.nodes)
        self._held = self._held and state is self._rollout
        self._rollout, self._now, self._capacities = state, now, visible(capacities)
        self._shown_at = monotonic()
        self._repaint(grown)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return TOP + len(self._rollout.nodes)

    def render(self) -> Text:
        self._drawn = self._picture(self._now)
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
        return max(1, self.size.height - TOP)

    def _tick(self) -> None:
        """Running times go on also when nothing is reported."""
        if any(at_work(each) for each in self._rollout.nodes.values()) and self._rollout.ended is None:
            now = monotonic()
            self._now, self._shown_at = self._now + now - self._shown_at, now
            self._repaint(False)

    def _repaint(self, layout: bool) -> None:
        # The session is looked at ten times a second, but most looks show the same.
        if layout or self._picture(self._now) != self._drawn:
            self.refresh(layout=layout)

    def _picture(self, now: float) -> Text:
        width, state = self.size.width, self._rollout
        if width <= 0 or not state.nodes:
            return Text()
        nodes = list(state.nodes.values())
        self._top_row = window(self._top_row, self._room, len(nodes), [] if self._held else in_view(state))
        rows = nodes[self._top_row : self._top_row + self._room]
        name = min(max(4, *(len(visible(each.name)) for each in nodes)), max(8, width // 6))
        gap = 2 if width < 100 else 4
        place = "" if len(rows) == len(nodes) else _place(self._top_row, len(rows), len(nodes), self._held)
        lines = [
            header(state, now, width),
            sentence(state, now, self._capacities, width),
            _headings(name, gap, place),
            *(_row(each, state, now, name, gap) for each in rows),
        ]
        paint = {kind: self.get_component_rich_style(f"board--{kind}") for kind in KINDS}
        return Text("\n", no_wrap=True, end="").join(painted(line, paint, width) for line in lines)


def at_work(node: NodeStatus) -> bool:
    """Whether a step of it runs now."""
    cell = node.cells.get(node.step) if node.step else None
    return node.state in AT_WORK and cell is not None and cell.seconds is None


def in_view(state: RolloutState) -> list[int]:
    """Which rows matter now: those at work or asked about, else the broken ones, else the next one."""
    asked = {each.subject for each in state.questions.values()}
    nodes = list(enumerate(state.nodes.values()))
    return (
        [index for index, each in nodes if at_work(each) or each.name in asked]
        or [index for index, each in nodes if each.state in (NodeState.FAILED, NodeState.UNKNOWN)]
        or [index for index, each in nodes if each.state is NodeState.PENDING][:1]
    )


def window(top: int, room: int, total: int, wanted: Sequence[int]) -> int:
    """The first row to show: as before where that shows what is wanted, else moved as little as possible."""
    if wanted:
        top = max(top, wanted[-1] - room + 1)
        top = min(top, wanted[0])
    return max(0, min(top, total - room))


def header(state: RolloutState, now: float, width: int) -> list[Piece]:
    """`shop → 1.5.0 · batch 2/3 · 3/12 nodes · ████░░░░ 33 % · left 3:10`; the bar takes the rest."""
    share = state.upgraded / state.total if state.total else 1.0
    batch = f" · batch {state.batch}/{len(state.batches)}" if len(state.batches) > 1 else ""
    count = f"{batch} · {state.upgraded:>{len(str(state.total))}}/{state.total} nodes"
    title = f"{cut(state.application, width // 4)} → {cut(state.version, width // 4)}"
    percent = f"{share:>4.0%}".replace("%", " %")
    end = _ending(state)
    taken = cell_len(title) + len(count) + len(percent) + len(end[0]) + 4
    phase = _phase(state, width - taken)
    bar = min(24, width - taken - sum(cell_len(text) for text, _ in phase))
    filled = int(bar * share) if bar >= 4 else 0
    bars = [("█" * filled, "ok"), ("░" * (bar - filled) + " ", "quiet")] if bar >= 4 else []
    return [(title, "head"), *phase, (f"{count} · ", "plain"), *bars, (percent, "plain"), end]


def _phase(state: RolloutState, room: int) -> list[Piece]:
    if state.ended or state.phase == "progressing":
        return []
    glyph = "‖" if _paused(state) else "!"
    return [(" · ", "quiet"), (cut(f"{glyph} {state.phase}", max(10, room - 3)), "moving")]


def _paused(state: RolloutState) -> bool:
    return state.phase.startswith("paused")


def _ending(state: RolloutState) -> Piece:
    if state.ended is None:
        if state.phase != "progressing":  # then nobody knows
            return "", "plain"
        left = state.left()
        return f" · left {'-' if left is None else clock(left):>5}", "plain"
    glyph, kind = ("✓", "ok") if state.ended.result == "healthy" else ("✗", "bad")
    return f" · {glyph} {state.ended.result} in {clock(state.ended.seconds)}", kind


def sentence(state: RolloutState, now: float, capacities: str, width: int) -> list[Piece]:
    """Why it waits, or how it ended, in one line; `capacities` keeps its place at the end."""
    tail = f" · {cut(capacities, width // 2)}" if capacities else ""
    text, kind = _why(state, now)
    return [(cut(text, width - cell_len(tail)), kind), (tail, "plain")]


def _why(state: RolloutState, now: float) -> Piece:
    if state.ended:
        return _end(state, state.ended)
    if state.questions:
        first, *others = state.questions.values()
        more = f" · {len(others)} more to decide" if others else ""
        return f"? {first.subject} ({', '.join(first.choices)}): {first.text}{more}", "moving"
    working = [each for each in state.nodes.values() if at_work(each)]
    if not working:
        paused = "nothing new is started, and deadlines stand still"
        return (paused, "moving") if _paused(state) else ("between two steps", "quiet")
    first_node = min(working, key=lambda each: each.deadline or float("inf"))
    verb = "bakes" if first_node.state is NodeState.BAKING else VERBS[first_node.step or "drain"]
    why = f": {first_node.reason}" if first_node.reason not in ("", "baking") else ""
    left = "" if first_node.deadline is None else f" · at most {clock(first_node.deadline - now)} more"
    left = " · its deadline stands still" if _paused(state) else left
    more = f" · {len(working) - 1} more at work" if len(working) > 1 else ""
    return f"{first_node.name} {verb}{why}{left}{more}", "plain"


def _end(state: RolloutState, ended: RolloutEnded) -> Piece:
    out = [each.node for each in ended.out_of_rotation if not each.on_purpose]
    parts = [f"not in rotation: {', '.join(out)}"] if out else []
    parts += [f"{len(ended.unseen)} load balancers could not be read"] if ended.unseen else []
    parts += [ended.reason] if ended.reason else []
    parts += [] if out or ended.unseen else ["what it upgraded is in rotation"]
    return " · ".join(parts), "ok" if ended.result == "healthy" and not ended.unseen else "bad"


def _place(top: int, shown: int, total: int, held: bool) -> str:
    return f"{top + 1}-{top + shown} of {total}" + (" · end: follow" if held else "")


def _headings(name: int, gap: int, place: str) -> list[Piece]:
    steps = "".join(f"{step:<{CELL + gap}}" for step in STEPS)
    return [(f"{'NODE':<{name}}{' ' * gap}{steps}", "head"), (place, "quiet")]


def _row(node: NodeStatus, state: RolloutState, now: float, name: int, gap: int) -> list[Piece]:
    asked = any(each.subject == node.name for each in state.questions.values())
    label = Text(cut(node.name, name))
    label.pad_right(name - label.cell_len)
    row: list[Piece] = [(label.plain + " " * gap, "plain")]
    for step in STEPS:
        text, kind = _cell(node, step, now)
        row.append((f"{text:<{CELL + gap}}", kind))
    glyph, kind = STATES.get(node.state, ("◐", "moving"))
    words = f"{node.state.value}: {node.reason}" if node.reason else node.state.value
    words += " · waits for you" if asked else ""
    return [*row, (f"{glyph} {visible(words)}", "moving" if asked and kind == "quiet" else kind)]


def _cell(node: NodeStatus, step: Step, now: float) -> Piece:
    cell = node.cells.get(step)
    if cell is None:
        return ("✗", "bad") if node.state is NodeState.FAILED and node.step == step else ("", "plain")
    if cell.seconds is not None:
        glyph, kind = ("✓", "ok") if cell.changed else ("·", "quiet")
        return f"{glyph} {duration(cell.seconds):>5}", kind
    if node.step == step and at_work(node):
        return f"◐ {clock(now - cell.began):>5}", "moving"
    return ("?" if node.state is NodeState.UNKNOWN else "✗"), "bad"
