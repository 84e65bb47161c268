"""What waits for the operator, in words: question, impact, and what each key would do. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.engine.control import ABORT, CONTINUE, RETRY, SKIP
from orchestrator.events.events import DecisionRequested
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.planning.capacity import Capacity
from widgets.pieces import Piece, cut

ACTIONS = {CONTINUE: "continue", RETRY: "retry", SKIP: "skip", ABORT: "abort"}
"""The key's id of each choice."""
LOG_LINES = 3  # of a service's log, above the keys

Keys = Mapping[str, str]
"""How a key is called, by the id of its binding."""


def waits(state: RolloutState, impact: Sequence[str], keys: Keys) -> list[list[Piece]]:
    """The lines to show; empty while nothing waits for anybody.

    Args:
        state: of the rollout.
        impact: what a yes would mean: capacity, sessions, commands.
        keys: "continue", "retry", "skip", "abort", "pause".
    """
    if state.ended is not None:
        return []
    if state.questions:
        first, *others = state.questions.values()
        title, choices = _title(state, first, len(others)), _choices(state, first, keys)
        return [title, *_impact(impact), *_log(state, first), choices]
    if state.phase == "paused":
        return [
            [(f"‖ {state.phase_text}", "head")],
            [("No new node is started and deadlines are stopped; a running command continues.", "plain")],
            [(keys["pause"], "head"), (" goes on  ", "plain"), *_abort(keys)],
        ]
    return []


def _title(state: RolloutState, asked: DecisionRequested, others: int) -> list[Piece]:
    node = state.nodes.get(asked.subject)
    failed = node is not None and node.state in (NodeState.FAILED, NodeState.HELD)
    more = [(f"  ({others} more to answer)", "quiet")] if others else []
    mark = ("✗ ", "bad") if failed else ("? ", "moving")
    return [mark, (f"{asked.subject}: ", "head"), (asked.text, "bad" if failed else "head"), *more]


def _impact(impact: Sequence[str]) -> Iterable[list[Piece]]:
    return ([(each, "plain")] for each in impact)


def _log(state: RolloutState, asked: DecisionRequested) -> Iterable[list[Piece]]:
    """What the service of a failed node has written last."""
    node = state.nodes.get(asked.subject)
    lines = node.log[-LOG_LINES:] if node is not None else ()
    return ([("| ", "quiet"), (line, "plain")] for line in lines)


def _choices(state: RolloutState, asked: DecisionRequested, keys: Keys) -> list[Piece]:
    pieces: list[Piece] = []
    for choice in asked.choices:
        if choice == ABORT:
            pieces += _abort(keys)
        else:
            pieces += [(keys[ACTIONS[choice]], "head"), (f" {_meaning(state, asked, choice)}  ", "plain")]
    if state.phase != "paused":
        pieces += [("  ", "plain"), (keys["pause"], "head"), (" pauses", "plain")]
    return pieces


def _meaning(state: RolloutState, asked: DecisionRequested, choice: str) -> str:
    if choice == CONTINUE:
        return "goes on"
    if choice == RETRY:
        return "try it again"
    touched = asked.subject in state.nodes and state.nodes[asked.subject].cells
    return f"leaves it {'out' if touched else 'as it is'}, next one"


def _abort(keys: Keys) -> list[Piece]:
    return [(keys["abort"], "head"), (" end the rollout", "plain")]


def capacity_words(capacities: Sequence[Capacity], unseen: Sequence[str]) -> str:
    """What a yes would leave: `shop: in rotation 4 → 3, floor 2 on lb1, lb2`."""
    groups: dict[tuple[str, int, int, int, str], list[str]] = {}
    for each in capacities:
        key = (each.backend, each.before, each.after, each.floor, each.notes)
        groups.setdefault(key, []).append(each.instance)
    parts = [
        f"{backend}: in rotation {before} → {after}, floor {floor} on {', '.join(names)}{notes}"
        for (backend, before, after, floor, notes), names in groups.items()
    ]
    parts += [f"{name}: unknown"[:40] for name in unseen]
    return " · ".join(parts)


def shortened(commands: Sequence[tuple[str, str]], most: int, width: int) -> list[str]:
    """Commands of a step, each on a line of its own; how many more there are is said.

    Args:
        commands: target and command.
        most: lines.
        width: columns of a line.
    """
    lines = [cut(f"{target}: {command}", width) for target, command in commands]
    return lines if len(lines) <= most else [*lines[: most - 1], f"... and {len(lines) - most + 1} more"]
