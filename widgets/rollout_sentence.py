"""The sentence on the rollout board: what the rollout waits for, or how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from backends.name_ranges import fold_names
from backends.text import counted, format_clock, visible
from orchestrator.events.events import RolloutEnded
from orchestrator.events.state import NodeState, NodeStatus, RolloutState, is_watched
from orchestrator.events.steps import STEPS
from orchestrator.events.text import describe_remaining_time
from widgets.segments import Segment, truncate

_VERBS: Mapping[str, str] = {NodeState.RAMPING: "ramps up", NodeState.BAKING: "bakes"}
_INDENT = "  "  # of the second line
_SEPARATOR = " · "


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a rollout waits for, or how it ended, in one line or two; only the reason in it is ever cut.

    Attributes:
        text: with the reason at its end.
        kind: of the text.
        endings: the countdown, and a shorter one for narrow screens.
        capacities: what stays in rotation; empty for nothing.
    """

    text: str
    kind: str
    endings: Sequence[str] = ("",)
    capacities: str = ""

    def fits(self, width: int) -> bool:
        """Return whether one line of this width has room for all of it."""
        return cell_len(self.text + self.endings[-1] + self._tail(width)) <= width

    def lines(self, width: int, most: int = 1) -> list[list[Segment]]:
        """Return one line, or two where there may be two: the capacities are on the second one then.

        Args:
            width: columns of a line.
            most: lines; the second one is used even if one line would do, so that nothing moves.
        """
        tail = self._tail(width)
        if most == 1:
            return [self._line(self.text, width, tail)]
        room = width - len(_INDENT)
        if cell_len(self.text + self.endings[-1]) <= width:
            second = [(truncate(self.capacities, room), "plain")]
            return [self._line(self.text, width), [(_INDENT, "plain"), *second]]
        first = Content(self.text[: 2 * width]).wrap(width)[0].plain.rstrip()
        second = self._line(self.text[len(first) :].lstrip(), room, tail)
        second[0] = (second[0][0].removeprefix(_SEPARATOR), self.kind)
        return [[(first, self.kind)], [(_INDENT, "plain"), *second]]

    def _tail(self, width: int) -> str:
        return f"{_SEPARATOR}{truncate(self.capacities, width // 2)}" if self.capacities else ""

    def _line(self, text: str, width: int, tail: str = "") -> list[Segment]:
        """Return text, the longest ending for which there is room, and a tail; only the text is ever cut."""
        room = width - cell_len(tail)
        fitting = (ending for ending in self.endings if cell_len(text + ending) <= room)
        ending = next(fitting, self.endings[-1])
        return [(truncate(text, room - cell_len(ending)) + ending, self.kind), (tail, "plain")]


def build_sentence(state: RolloutState, now: float, capacities: str, interruption: str = "") -> Sentence:
    """Return the sentence about a rollout.

    Args:
        state: of the rollout.
        now: seconds since 1970.
        capacities: "4 in rotation, floor 2".
        interruption: why nobody works on it any more; takes the place of what it waits for.
    """
    if interruption:
        return Sentence(visible(interruption), "bad")
    text, kind, endings = _why(state, now)
    return Sentence(visible(text), kind, [visible(ending) for ending in endings], visible(capacities))


def _why(state: RolloutState, now: float) -> tuple[str, str, list[str]]:
    """Return the sentence, its kind, and its endings: the long one, and a shorter one for narrow screens."""
    if state.ended:
        return *_end(state, state.ended), [""]
    if state.questions:
        asked = fold_names(question.subject for question in state.questions.values())
        return f"? waiting for a decision: {asked}", "moving", [""]
    working = [node for node in state.nodes.values() if node.at_work]
    if not working:
        paused = "no new node is started"
        return *((paused, "moving") if state.phase == "paused" else ("between two steps", "quiet")), [""]
    first_node = min(working, key=lambda node: node.deadline or float("inf"))
    verb = _VERBS.get(first_node.state) or STEPS.spec(first_node.step or STEPS[0]).verb
    silent = not first_node.reason or first_node.state == NodeState.BAKING
    why = "" if silent else f": {first_node.reason}"
    return f"{first_node.name} {verb}{why}", "plain", _countdowns(state, first_node, len(working), now)


def _countdowns(state: RolloutState, node: NodeStatus, working: int, now: float) -> list[str]:
    more = f" · +{counted(working - 1, 'node')} in progress" if working > 1 else ""
    if state.phase == "paused":
        return [f" · deadline stopped{more}", " · deadline stopped"]
    if node.deadline is None:
        return [more]
    left = describe_remaining_time(format_clock(node.deadline - now), baking=is_watched(node.state))
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
    rest = f"all {verb} nodes are in rotation" if state.done else "no node was left out of rotation"
    parts += [] if out or ended.unreachable_balancers else [rest]
    return " · ".join(parts), "ok" if ended.result == "healthy" and not ended.unreachable_balancers else "bad"
