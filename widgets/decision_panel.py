"""The panel for the operator's decision."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from backends.text import visible
from orchestrator.engine.control import ABORT, BACK, CONTINUE, RETRY, SKIP
from orchestrator.events.events import DecisionRequested
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.events.text import describe_choice
from widgets.segments import KINDS, Segment, css_colors, find_styles, render_line, truncate

ACTION_BY_CHOICE = {
    CONTINUE: "continue",
    RETRY: "retry",
    BACK: "back-to-version",
    SKIP: "skip",
    ABORT: "abort",
}
"""The id of the key binding of each choice."""
MAX_LINES = 8  # lines
MAX_TITLE_LINES = 3  # lines that the first one may take: an error must be readable where it is decided on
MAX_LOG_LINES = 3  # of a service's log, above the keys
PAUSED = "No new node is started, deadlines are stopped; a running command continues."
"""What a pause means, in 78 columns."""
_LOG_MARK: Segment = ("| ", "quiet")

KeyNames = Mapping[str, str]
"""The display name of each key, by the id of its binding."""


def build_decision_lines(state: RolloutState, impact: Sequence[str], keys: KeyNames) -> list[list[Segment]]:
    """Return the lines to show; none while no decision is open.

    Args:
        state: of the rollout.
        impact: what a yes would mean: capacity, sessions, commands.
        keys: those of `ACTION_BY_CHOICE`, and "pause".
    """
    if state.ended is not None:
        return []
    if state.questions:
        first, *others = state.questions.values()
        title, choices = _title(state, first, len(others)), _choices(state, first, keys)
        return [title, *_servers(state, first), *_impact(impact), *_log(state, first), *choices]
    if state.phase == "paused":
        return [
            [(f"‖ {state.phase_text}", "head")],
            [(PAUSED, "plain")],
            [(keys["pause"], "head"), (" resume  ", "plain"), *_abort(keys)],
        ]
    return []


def build_unfinished_lines(unfinished: Sequence[str], keys: KeyNames) -> list[list[Segment]]:
    """Return what is shown as long as an earlier rollout is not finished; nothing if none is.

    Args:
        unfinished: what it has left, one line for each node.
        keys: "resume" and "roll-back".
    """
    if not unfinished:
        return []
    more = f" (and {len(unfinished) - 1} more)" if len(unfinished) > 1 else ""
    return [
        [("! not finished: ", "moving"), (f"{unfinished[0]}{more}", "plain")],
        [
            (keys["resume"], "head"),
            (" finish it  ", "plain"),
            (keys["roll-back"], "head"),
            (" roll back", "plain"),
        ],
    ]


def _title(state: RolloutState, question: DecisionRequested, others: int) -> list[Segment]:
    node = state.nodes.get(question.subject)
    failed = node is not None and node.state in (NodeState.FAILED, NodeState.HELD)
    more = [(f"  ({others} more to answer)", "quiet")] if others else []
    mark = ("✗ ", "bad") if failed else ("? ", "moving")
    return [mark, (f"{question.subject}: ", "head"), (question.text, "bad" if failed else "head"), *more]


def _impact(impact: Sequence[str]) -> Iterable[list[Segment]]:
    return ([(text, "plain")] for text in impact)


def _servers(state: RolloutState, question: DecisionRequested) -> Iterable[list[Segment]]:
    """Return what HAProxy reported of a node when it failed."""
    node = state.nodes.get(question.subject)
    if node is not None and node.state == NodeState.FAILED and node.servers:
        yield [("HAProxy then: ", "quiet"), (" · ".join(node.servers), "plain")]


def _log(state: RolloutState, question: DecisionRequested) -> Iterable[list[Segment]]:
    """Return the last log lines of the service of a failed node."""
    node = state.nodes.get(question.subject)
    lines = node.log[-MAX_LOG_LINES:] if node is not None else ()
    return ([_LOG_MARK, (line, "plain")] for line in lines)


def _choices(state: RolloutState, question: DecisionRequested, keys: KeyNames) -> list[list[Segment]]:
    """Return the keys and what they mean, on two lines where there is one more than usual."""
    lines: list[list[Segment]] = [[]]
    for choice in question.choices:
        if choice == ABORT:
            lines[-1] += _abort(keys)
        else:
            meaning = describe_choice(choice, touched=_is_out(state, question), version=question.version)
            lines[-1] += [(keys[ACTION_BY_CHOICE[choice]], "head"), (f" {meaning}  ", "plain")]
        if choice == BACK:
            lines.append([])
    if state.phase != "paused":
        lines[-1] += [("  ", "plain"), (keys["pause"], "head"), (" pause", "plain")]
    return lines


def _is_out(state: RolloutState, question: DecisionRequested) -> bool:
    """Return whether the node that a question is about is out of rotation."""
    node = state.nodes.get(question.subject)
    back = (NodeState.ROLLED_BACK, NodeState.PUT_BACK, NodeState.HELD)
    return node is not None and bool(node.steps) and node.state not in back


def _abort(keys: KeyNames) -> list[Segment]:
    return [(keys["abort"], "head"), (f" {describe_choice(ABORT)}", "plain")]


def shorten_commands(commands: Sequence[tuple[str, str]], most: int, width: int) -> list[str]:
    """Return commands of a step, one on a line, and the number of those left out.

    Args:
        commands: target and command.
        most: lines.
        width: columns of a line.
    """
    lines = [truncate(f"{target}: {command}", width) for target, command in commands]
    return lines if len(lines) <= most else [*lines[: most - 1], f"... and {len(lines) - most + 1} more"]


class DecisionPanel(Widget):
    """The panel: lines with a bar on their left; it takes no room while there are none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"question--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    DecisionPanel {
        height: auto; padding: 0 1 0 0;
        border-left: thick $warning; background: $warning 12%;
        display: none;
    }
    DecisionPanel.-shown { display: block; }
    DecisionPanel.-bad { border-left: thick $error; background: $error 12%; }
    DecisionPanel:nocolor, DecisionPanel:ansi { background: transparent; }
    """ + css_colors("DecisionPanel", "question")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[list[Segment]] = []

    def show(self, lines: Sequence[Sequence[Segment]]) -> None:
        """Show these lines, at most `MAX_LINES` of the screen; none hides it."""
        fresh = [[(visible(text), kind) for text, kind in line] for line in lines]
        if fresh == self._lines:
            return
        grown = len(fresh) != len(self._lines) or fresh[:1] != self._lines[:1]
        self._lines = fresh
        self.set_class(bool(fresh), "-shown")
        self.set_class(bool(fresh) and fresh[0][0][1] == "bad", "-bad")
        self.refresh(layout=grown)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows(width))

    def render(self) -> Text:
        return Text("\n", no_wrap=True, end="").join(self._rows(self.size.width))

    def _rows(self, width: int) -> list[Text]:
        if not self._lines:
            return []
        styles = find_styles(self, "question")
        room = max(8, width - 1)
        title = self._title(styles, room, MAX_TITLE_LINES)
        lines = _fit(self._lines[1:], MAX_LINES - len(title))
        others = [Text(" ", end="").append_text(render_line(line, styles, room)) for line in lines]
        return [*self._title(styles, room, min(MAX_TITLE_LINES, MAX_LINES - len(others))), *others]

    def _title(self, styles: Mapping[str, Style], width: int, most: int) -> list[Text]:
        """Return the first line, wrapped and indented behind its glyph."""
        whole = render_line(self._lines[0], styles, width * most)
        rows = list(whole.wrap(self.app.console, width - 2, no_wrap=False))
        if len(rows) > most:
            rows[most - 1].append(" …")
            rows[most - 1].truncate(width - 2, overflow="ellipsis")
        return [
            Text("   " if number else " ", end="").append_text(row) for number, row in enumerate(rows[:most])
        ]


def _fit(lines: Sequence[list[Segment]], most: int) -> list[list[Segment]]:
    """Leave older log lines out so that `most` remain, and others where that is not enough; never keys."""
    logs = [index for index, line in enumerate(lines) if line[0] == _LOG_MARK]
    left_out = logs[: max(0, min(len(logs) - 1, len(lines) - most))]
    kept = [line for index, line in enumerate(lines) if index not in left_out]
    keys = [line for line in kept if line[0][1] == "head"]
    return [*[line for line in kept if line[0][1] != "head"][: MAX_LINES - 1 - len(keys)], *keys]
