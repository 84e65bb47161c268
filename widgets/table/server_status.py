"""The status of a server on each load balancer and on all of them, as words, glyphs and one color."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backends.model import AdminState, Operational, Server
from orchestrator.events.text import format_health
from widgets.segments import Kind

Group = Literal["up", "draining", "maint", "down", "unknown", "empty"]

RANK_BY_KIND: dict[Kind, int] = {"bad": 0, "moving": 1, "out": 2, "quiet": 3, "ok": 4}
_UNKNOWN_RANK = 3  # in rotation as far as is known: after all that is known to be out
_GROUPS_BY_PRIORITY: tuple[Group, ...] = ("maint", "draining", "down", "up")  # the first one that fits


@dataclass(frozen=True, slots=True, eq=False)
class ServerState:
    """The state of one server on one load balancer, without what changes with each request."""

    kind: Kind
    group: Group
    admin: str
    health: str
    weight: str
    in_rotation: bool


@dataclass(frozen=True, slots=True, eq=False)
class RowStatus:
    """A server over all load balancers; thousands of servers share one instance."""

    kind: Kind
    rank: int  # of problems: the smaller the worse
    group: Group
    admin: str
    health: str
    weight: str
    glyphs: str
    note: str
    is_problem: bool
    search_text: str  # what a filter matches
    states: tuple["ServerState | None", ...]  # what it was merged from


ABSENT = ServerState("moving", "unknown", "-", "-", "", False)
"""The load balancer is live and does not have the server."""
EMPTY = ServerState("quiet", "empty", "-", "-", "", False)
"""The server line is a slot that nothing has filled."""


def judge_server(server: Server, *, has_sessions: bool = False) -> ServerState:
    """Return the state of one server line.

    Args:
        server: as it was read.
        has_sessions: it still has sessions, so a drain has not finished.
    """
    weight = str(server.weight)
    if server.effective_weight != server.weight and server.throttle is not None:
        weight = f"{server.effective_weight}/{server.weight}"
    kind, group = _classify(server, has_sessions)
    return ServerState(
        kind, group, server.admin_state.value, format_health(server), weight, server.in_rotation
    )


def _classify(server: Server, has_sessions: bool) -> tuple[Kind, Group]:
    if server.in_rotation:
        return "ok", "up"
    if server.admin_state is AdminState.MAINT:
        return ("bad" if "resolution" in server.status else "out"), "maint"
    if server.admin_state is AdminState.DRAIN or server.weight == 0:
        return ("moving" if has_sessions else "out"), "draining"
    if server.receives_traffic or server.operational is Operational.STOPPING or server.check_health > 0:
        return "moving", "up" if server.receives_traffic else "down"
    return "bad", "down"


def is_draining(server: Server) -> bool:
    """Return whether the state of the server depends on its sessions."""
    return not server.in_rotation and server.admin_state is not AdminState.MAINT


def merge_balancers(names: Sequence[str], states: Sequence[ServerState | None]) -> RowStatus:
    """Merge the states of one server on all load balancers.

    Args:
        names: of the load balancers.
        states: one for each; None where the data are stale or have not been read yet.
    """
    if is_empty_slot(states):
        return empty_slot_status(tuple(states))
    states = [ABSENT if state is EMPTY else state for state in states]
    known = [(name, state) for name, state in zip(names, states, strict=True) if state is not None]
    return worst_of(tuple(states), "".join(map(glyph, states)), _describe_disagreement(known))


def is_empty_slot(states: Sequence[ServerState | None]) -> bool:
    """Return whether no load balancer has filled the slot, as far as is known."""
    return EMPTY in states and all(state in (EMPTY, ABSENT, None) for state in states)


def empty_slot_status(states: tuple[ServerState | None, ...]) -> RowStatus:
    """Return the status of an empty slot, which is not shown."""
    glyphs = "?" * len(states)
    return RowStatus("quiet", RANK_BY_KIND["quiet"], "empty", "-", "-", "", glyphs, "", False, "", states)


def worst_of(states: tuple[ServerState | None, ...], glyphs: str, note: str) -> RowStatus:
    """Return one status for several states; the worst state decides.

    Args:
        states: on all load balancers; None where the data are stale or have not been read yet.
        glyphs: one for each load balancer.
        note: where they disagree, in words.
    """
    known = [state for state in states if state is not None]
    if not known:
        return RowStatus("moving", _UNKNOWN_RANK, "unknown", "", "", "", glyphs, "", True, "stale", states)
    worst = min(known, key=lambda state: RANK_BY_KIND[state.kind])
    present = [state for state in known if state is not ABSENT]
    admin = "/".join(dict.fromkeys(state.admin for state in present)) or "-"
    kind = "moving" if note and worst.kind != "bad" else worst.kind
    rank, is_problem = RANK_BY_KIND[kind], kind != "ok"
    if None in states and kind == "ok":
        kind, rank, is_problem = "moving", _UNKNOWN_RANK, True  # not confirmed by every load balancer
    shown = next(iter(present), worst) if worst is ABSENT else worst
    groups = {state.group for state in known}
    return RowStatus(
        kind=kind,
        rank=rank,
        group=next((group for group in _GROUPS_BY_PRIORITY if group in groups), "down"),
        admin=admin,
        health=shown.health,
        weight="/".join(dict.fromkeys(state.weight for state in present)),
        glyphs=glyphs,
        note=note,
        is_problem=is_problem,
        search_text=" ".join((admin, shown.health, note)).casefold(),
        states=states,
    )


def glyph(state: ServerState | None) -> str:
    """Return ✓ in rotation, ✗ out of rotation, ? not known."""
    if state is None or state is ABSENT:
        return "?"
    return "✓" if state.in_rotation else "✗"


def _describe_disagreement(known: Sequence[tuple[str, ServerState]]) -> str:
    """Name the load balancers that differ from most (from the first one where there is no majority)."""
    states = [state for _, state in known]
    texts = [(name, difference_text(state, states)) for name, state in known]
    counts = [sum(text == other for _, other in texts) for _, text in texts]
    most_common = texts[counts.index(max(counts))][1] if texts else ""
    return ", ".join(f"{text} on {name}" for name, text in texts if text != most_common)


def difference_text(state: ServerState, all_states: Sequence[ServerState]) -> str:
    """Return the word by which a state differs from the others: of its admin state, else of its health."""
    if state is ABSENT:
        return "missing"
    present = [other for other in all_states if other is not ABSENT]
    if len({other.admin for other in present}) > 1:
        return state.admin
    if len({other.in_rotation for other in present}) > 1:
        return state.health
    return ""
