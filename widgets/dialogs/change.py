"""Drain, maintenance, ready or weight by hand: the impact first, and a refusal below the floor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from backends.model import Server
from backends.text import counted, plural
from orchestrator.engine.manual import Action, Impact
from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.capacity import Capacity
from widgets.dialogs.base import Dialog
from widgets.dialogs.button import Choice
from widgets.dialogs.hanging_text import QUIET, Line, Lines, cell, column, line, text
from widgets.dialogs.plan_lines import differences as changed

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
    "drain": "No new traffic; sessions in flight continue.",
    "maint": "Out at once; checks stop too. To let sessions end, drain first.",
    "ready": "Own health and HAProxy's checks must pass first; otherwise it ends up in maintenance.",
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
        text("✗ ", "$text-error"), text(f"{what}: the capacity floor would be violated.", "bold $text-error")
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


LEAST_WEIGHT, MOST_WEIGHT = 0, 256  # HAProxy's own limits


@dataclass(frozen=True, slots=True)
class ChangeAnswer:
    """Yes.

    Attributes:
        weight: for the action "weight", 0 to 256; else 0.
        override: names of nodes that were typed, so that the floor may be broken for them.
    """

    weight: int = 0
    override: frozenset[str] = frozenset()


class ChangeDialog(Dialog[ChangeAnswer | None]):
    """Answers None unless somebody chose to do it."""

    DEFAULT_CSS = """
    ChangeDialog .label { height: auto; }
    ChangeDialog #weight-label { margin-top: 1; }
    ChangeDialog .hint { height: 1; color: $text-error; }
    ChangeDialog:nocolor .hint { color: $foreground; }
    ChangeDialog #refusal { margin-top: 1; }
    """

    def __init__(self, action: Action, impact: Impact, differences: Sequence[Difference] = ()) -> None:
        """
        Args:
            action: what is to be done.
            impact: what it would do; for "weight", what weight 0 would do.
            differences: from what was shown before, where it is shown again.
        """
        super().__init__()
        self.title = title(action, impact.nodes)
        self._action = action
        self._impact = impact
        self._differences = differences

    def lines(self) -> Sequence[Line]:
        return [*changed(self._differences), *described(self._action, self._impact)]

    def fields(self) -> Iterable[Widget]:
        if self._action == "weight":
            yield Static(
                text(f"New weight, {LEAST_WEIGHT} to {MOST_WEIGHT}:"), id="weight-label", classes="label"
            )
            yield Input(id="weight", placeholder="type here", max_length=4, select_on_focus=False)
            yield Static(id="weight-hint", classes="hint")
        if self._impact.broken:
            several = len(self._impact.nodes) > 1
            yield Lines(list(refusal(self._action, self._impact.broken, several)), id="refusal")
            names = "all names, separated by spaces" if several else "its name"
            yield Static(
                text(f"To do it anyway, type {names}: {' '.join(self._impact.nodes)}"),
                classes="label",
                id="override-label",
            )
            yield Input(id="override", placeholder="type here", select_on_focus=False)

    def choices(self) -> Iterable[Choice]:
        yield Choice("no", "Cancel")
        yield Choice("yes", VERBS[self._action], "success" if self._action == "ready" else "warning")

    def on_mount(self) -> None:
        super().on_mount()
        self._check()

    def first(self) -> Widget:
        """A weight has to be typed, and typing it does nothing yet; else it is the safe answer."""
        return self.query_one("#weight") if self._action == "weight" else super().first()

    # -- what is typed ------------------------------------------------------------------------

    @property
    def weight(self) -> int | None:
        """The weight that is typed; None while it is not one."""
        if self._action != "weight":
            return 0
        typed = self.query_one("#weight", Input).value.strip()
        if not (typed.isascii() and typed.isdigit()):
            return None
        number = int(typed)
        return number if LEAST_WEIGHT <= number <= MOST_WEIGHT else None

    @property
    def refused(self) -> bool:
        """The floor would be broken, whether or not somebody overrides it."""
        return bool(self._impact.broken) and (self._action != "weight" or self.weight == 0)

    @property
    def override(self) -> frozenset[str]:
        """The nodes whose names are typed: all of them, or none."""
        if not self.refused:
            return frozenset()
        typed = self.query_one("#override", Input).value.split()
        wanted = " ".join(self._impact.nodes).split()
        return frozenset(self._impact.nodes) if sorted(typed) == sorted(wanted) else frozenset()

    @on(Input.Changed)
    def _check(self) -> None:
        self.set_class(self.refused, "-danger")
        if self._impact.broken:
            # Greyed, not gone: nothing may jump while a weight is typed.
            self.query_one("#override").disabled = not self.refused
        if self._action == "weight":
            self._explain_weight()
        possible = self.weight is not None and (not self.refused or bool(self.override))
        self._yes.disabled = not possible

    def _explain_weight(self) -> None:
        typed = self.query_one("#weight", Input).value
        wrong = bool(typed) and self.weight is None
        hint = f"✗ found {typed!r}, expected a whole number from {LEAST_WEIGHT} to {MOST_WEIGHT}"
        self.query_one("#weight-hint", Static).update(text(hint) if wrong else Content(""))
        self.query_one("#weight").set_class(wrong, "-invalid")

    @property
    def _yes(self) -> Choice:
        return self.query(Choice).last()

    # -- answers ------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _go_on(self, event: Input.Submitted) -> None:
        """Enter goes to what is missing, else to the button: it never sends anything by itself."""
        if event.input.id == "weight" and self.refused and not self.override:
            self.query_one("#override").focus()
        elif not self._yes.disabled:
            self._yes.focus()

    @on(Choice.Pressed)
    def _pressed(self, event: Choice.Pressed) -> None:
        weight = self.weight
        if event.answer == "no" or weight is None:
            self.dismiss(None)
        else:
            self.dismiss(ChangeAnswer(weight, self.override))
