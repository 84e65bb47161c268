"""How a server stands on each load balancer, and on all of them together: in words, marks and one colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backends.model import AdminState, Operational, Server
from orchestrator.events.text import health
from widgets.view_model import Kind

Group = Literal["up", "draining", "maint", "down", "unseen", "empty"]

RANKS: dict[Kind, int] = {"bad": 0, "moving": 1, "out": 2, "quiet": 3, "ok": 4}
_UNSEEN_RANK = 3  # in rotation as far as can be seen: after all that is known to be out
_GROUPS: tuple[Group, ...] = ("maint", "draining", "down", "up")  # the first one that fits


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One server line on one load balancer, as far as it does not change with each request."""

    kind: Kind
    group: Group
    admin: str
    health: str
    weight: str
    in_rotation: bool


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A server over all load balancers; thousands of them share one."""

    kind: Kind
    rank: int  # of problems: the smaller the worse
    group: Group
    admin: str
    health: str
    weight: str
    marks: str
    note: str
    problem: bool
    words: str  # what a filter finds
    looks: tuple["Look | None", ...]  # what it was made of


ABSENT = Look("moving", "unseen", "-", "-", "", False)  # it is live, and does not know the server
EMPTY = Look("quiet", "empty", "-", "-", "", False)  # a slot that nothing has filled there


def look(server: Server, *, busy: bool = False) -> Look:
    """Judge one server.

    Args:
        server: as it was read.
        busy: it still has sessions, so a drain is on its way.
    """
    weight = str(server.weight)
    if server.effective_weight != server.weight and server.throttle is not None:
        weight = f"{server.effective_weight}/{server.weight}"
    kind, group = _judge(server, busy)
    return Look(kind, group, server.admin_state.value, health(server), weight, server.in_rotation)


def _judge(server: Server, busy: bool) -> tuple[Kind, Group]:
    if server.in_rotation:
        return "ok", "up"
    if server.admin_state is AdminState.MAINT:
        return ("bad" if "resolution" in server.status else "out"), "maint"
    if server.admin_state is AdminState.DRAIN or server.weight == 0:
        return ("moving" if busy else "out"), "draining"
    if server.receives_traffic or server.operational is Operational.STOPPING or server.check_health > 0:
        return "moving", "up" if server.receives_traffic else "down"
    return "bad", "down"


def drains(server: Server) -> bool:
    """Whether sessions decide what it is called."""
    return not server.in_rotation and server.admin_state is not AdminState.MAINT


def together(names: Sequence[str], looks: Sequence[Look | None]) -> Standing:
    """Merge what the load balancers say.

    Args:
        names: of the load balancers.
        looks: one for each; None where the data are stale or not there yet.
    """
    if is_empty(looks):
        return no_server(tuple(looks))
    looks = [ABSENT if look is EMPTY else look for look in looks]
    known = [(name, each) for name, each in zip(names, looks, strict=True) if each is not None]
    marks = "".join(map(mark, looks))
    return summed(tuple(looks), marks, _disagreement(known))


def is_empty(looks: Sequence[Look | None]) -> bool:
    """Whether these are looks at a slot that no load balancer has filled, as far as they can be seen."""
    return EMPTY in looks and all(look in (EMPTY, ABSENT, None) for look in looks)


def no_server(looks: tuple[Look | None, ...]) -> Standing:
    """That of an empty slot, which is not shown."""
    return Standing("quiet", RANKS["quiet"], "empty", "-", "-", "", "?" * len(looks), "", False, "", looks)


def summed(looks: tuple[Look | None, ...], marks: str, note: str) -> Standing:
    """One standing of several looks; the worst decides.

    Args:
        looks: at all places; None where the data are stale or not there yet.
        marks: one glyph for each load balancer.
        note: where they disagree, in words.
    """
    known = [each for each in looks if each is not None]
    if not known:
        return Standing("moving", _UNSEEN_RANK, "unseen", "", "", "", marks, "", True, "stale", looks)
    worst = min(known, key=lambda each: RANKS[each.kind])
    admin = "/".join(dict.fromkeys(each.admin for each in known if each is not ABSENT)) or "-"
    kind = "moving" if note and worst.kind != "bad" else worst.kind
    rank, problem = RANKS[kind], kind != "ok"
    if None in looks and kind == "ok":
        kind, rank, problem = "moving", _UNSEEN_RANK, True  # not proven everywhere
    seen = next((each for each in known if each is not ABSENT), worst)
    shown = seen if worst is ABSENT else worst
    groups = {each.group for each in known}
    return Standing(
        kind=kind,
        rank=rank,
        group=next((each for each in _GROUPS if each in groups), "down"),
        admin=admin,
        health=shown.health,
        weight="/".join(dict.fromkeys(each.weight for each in known if each is not ABSENT)),
        marks=marks,
        note=note,
        problem=problem,
        words=" ".join((admin, shown.health, note)).casefold(),
        looks=looks,
    )


def mark(each: Look | None) -> str:
    """The glyph of one look."""
    if each is None or each is ABSENT:
        return "?"
    return "✓" if each.in_rotation else "✗"


def _disagreement(known: Sequence[tuple[str, Look]]) -> str:
    """What those say that differ from most (from the first one, when there are as many)."""
    said = [(name, *word_of(each, [other for _, other in known])) for name, each in known]
    count = [sum(words == other for *_, other in said) for *_, words in said]
    usual = said[count.index(max(count))][-1] if said else ""
    return ", ".join(f"{words} on {name}" for name, _, words in said if words != usual)


def word_of(each: Look, all_of_them: Sequence[Look]) -> tuple[str, str]:
    """The axis on which they differ, and the word on it: what somebody decided goes first."""
    if each is ABSENT:
        return "missing", "missing"
    if len({other.admin for other in all_of_them if other is not ABSENT}) > 1:
        return "admin", each.admin
    if len({other.in_rotation for other in all_of_them if other is not ABSENT}) > 1:
        return "health", each.health
    return "same", ""
