"""The rollout board: progress, what the rollout waits for, and each step of each node."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget

from backends.text import visible
from orchestrator.events.state import NodeState, RolloutState
from widgets.rollout.board_lines import header, headings, in_sight, row, sentence
from widgets.segments import KINDS, css_colors, render_line

FIXED_LINES = 3  # lines that always stay: header, sentence, headings


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
        self._held = False  # somebody has scrolled: the rows stay where they are
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
            state: of the rollout; it is read again when running times are repainted.
            now: seconds since 1970, on the clock that gave the events their time.
            capacities: "4 in rotation, floor 2"; stays at the end of the sentence.
            actual: how nodes are, where that differs from what is wanted.
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
        return max(1, self.size.height - FIXED_LINES)

    def _tick(self) -> None:
        """Advance running times between events."""
        if any(node.at_work for node in self._rollout.nodes.values()) and self._rollout.ended is None:
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
        self._top_row = scroll_window(
            self._top_row, self._room, len(nodes), [] if self._held else find_rows_in_focus(state)
        )
        rows = nodes[self._top_row : self._top_row + self._room]
        name = min(max(4, *(len(visible(node.name)) for node in nodes)), max(8, width // 6))
        gap = 2 if width < 100 else 4
        place = "" if len(rows) == len(nodes) else in_sight(self._top_row, len(rows), len(nodes), self._held)
        lines = [
            header(state, now, width),
            sentence(state, now, self._capacities, width),
            headings(name, gap, place),
            *(row(node, state, now, name, gap, self._actual.get(node.name, "")) for node in rows),
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
