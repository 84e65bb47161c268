"""What a change by hand would do, in words."""

from collections.abc import Iterator, Sequence

from backends.model import Server
from backends.text import counted, plural
from orchestrator.engine.manual import Action, Impact
from orchestrator.planning.capacity import Capacity
from widgets.dialogs.lines import QUIET, Line, cell, column, line, text

TITLES: dict[Action, str] = {
    "drain": "Drain",
    "maint": "Maintenance for",
    "ready": "Back in rotation:",
    "weight": "Weight of",
}
VERBS: dict[Action, str] = {
    "drain": "Drain",
    "maint": "Maintenance",
    "ready": "Ready",
    "weight": "Set weight",
}
MEANINGS: dict[Action, str] = {
    "drain": "No new traffic; sessions in flight go on.",
    "maint": "Out at once, checks stop too. To let sessions end, drain first.",
    "ready": "Own health and HAProxy's checks prove it first; if they do not in time, it is in maintenance.",
    "weight": "The share of new traffic, 0 to 256; 0 takes it out of rotation.",
}

TITLE = 48  # cells that names take in the title at most


def title(action: Action, nodes: Sequence[str]) -> str:
    """The question; names that do not fit are below it."""
    names = ", ".join(nodes) if _in_title(nodes) else "these nodes" if len(nodes) > 1 else "this node"
    return f"{TITLES[action]} {names}{'' if action == 'weight' else '?'}"


def _in_title(nodes: Sequence[str]) -> bool:
    return column([", ".join(nodes)], TITLE + 1) <= TITLE


def described(action: Action, impact: Impact) -> Iterator[Line]:
    """Who, what it would leave, and how it is now."""
    if not _in_title(impact.nodes):
        yield line(text(", ".join(impact.nodes), "bold"))
    yield line(text(MEANINGS[action], QUIET))
    if impact.registries:
        where = ", ".join(impact.registries)
        yield line(text(f"{'Back' if action == 'ready' else 'Out'} in {where} too.", QUIET))
    yield line(text(f"{counted(impact.sessions, 'session')} now", "bold"))
    for words in impact.carried:
        yield line(text(f"Also affects {words}.", "$text-warning"))
    if impact.capacities:
        yield line("")
        if action == "weight":
            yield line("Weight 0 would leave:")
        yield from capacities(impact.capacities)
    if impact.servers:
        yield line("")
        yield from _servers(impact.servers)


def capacities(found: Sequence[Capacity]) -> Iterator[Line]:
    """What would stay in rotation, broken floors first."""
    places = {each: f"{each.backend} on {each.instance}" for each in found}
    width = column(places.values())
    digits = max(len(str(each.before)) for each in found)
    for each in sorted(found, key=lambda capacity: capacity.allowed):
        mark, style = ("✓", "$text-success") if each.allowed else ("✗", "$text-error")
        numbers = (
            f"in rotation {each.before:>{digits}} → {each.after:>{digits}}, floor {each.floor}{each.notes}"
        )
        yield Line(text(f"{mark} ", style) + cell(places[each], width) + "  ", text(numbers, style))


def _servers(servers: Sequence[Server]) -> Iterator[Line]:
    width = column(str(each.ref) for each in servers)
    digits = max(len(str(each.sessions)) for each in servers)
    states = column(each.status for each in servers)
    for each in servers:
        where = cell(str(each.ref), width, QUIET)
        state = f"{each.admin_state:<5}  " + cell(each.status, states).plain
        sessions = f"{each.sessions:>{digits}} " + ("session " if each.sessions == 1 else plural("session"))
        yield Line(where + "  ", text(f"{state}  {sessions}  weight {each.weight}"))


def refusal(action: Action, broken: Sequence[Capacity], several: bool) -> Iterator[Line]:
    """Why it is refused, and what would make it possible."""
    what = "Weight 0 is refused" if action == "weight" else "Refused"
    yield Line(
        text("✗ ", "$text-error"), text(f"{what}: too little would stay in rotation.", "bold $text-error")
    )
    places: dict[tuple[int, str], list[str]] = {}
    for each in broken:
        places.setdefault((each.floor - each.after, each.backend), []).append(each.instance)
    needs = [
        f"{counted(missing, 'more server')} in rotation in {backend} on {' and on '.join(instances)}"
        for (missing, backend), instances in places.items()
    ]
    fewer = "fewer nodes at once, " if several else ""
    yield Line(
        text("  "),
        text(f"Possible with {fewer}{', and '.join(needs)}, or a lower floor in the configuration."),
    )
