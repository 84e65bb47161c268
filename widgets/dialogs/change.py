"""The dialog of a manual change: it shows the impact first, and refuses a change below the floor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from backends.model import Server
from backends.name_ranges import fold_names
from backends.text import counted, plural
from orchestrator.engine.manual_change import Action, Impact
from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.capacity import Capacity
from widgets.dialogs.base import Dialog
from widgets.dialogs.elements import (
    QUIET_STYLE,
    Entries,
    Entry,
    InlineButton,
    entry,
    measure_column,
    pad_cell,
    to_content,
)
from widgets.dialogs.plan import list_differences
from widgets.dialogs.reason import ReasonInput

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

MAX_TITLE_CELLS = 48  # cells that names take in the title at most


def build_title(action: Action, nodes: Sequence[str]) -> str:
    """Return the question; names that do not fit are listed below it."""
    names = fold_names(nodes) if _in_title(nodes) else "these nodes" if len(nodes) > 1 else "this node"
    return f"{TITLES[action]} {names}{'' if action == 'weight' else '?'}"


def _in_title(nodes: Sequence[str]) -> bool:
    return measure_column([fold_names(nodes)], MAX_TITLE_CELLS + 1) <= MAX_TITLE_CELLS


def describe_impact(action: Action, impact: Impact) -> Iterator[Entry]:
    """Describe which nodes change, what would stay in rotation, and the current state."""
    if not _in_title(impact.nodes):
        yield entry(to_content(fold_names(impact.nodes), "bold"))
    yield entry(to_content(MEANINGS[action], QUIET_STYLE))
    if impact.registries:
        where = ", ".join(impact.registries)
        yield entry(to_content(f"{'Back' if action == 'ready' else 'Out'} in {where} too.", QUIET_STYLE))
    yield entry(to_content(f"{counted(impact.sessions, 'session')} now", "bold"))
    for words in impact.carried:
        yield entry(to_content(f"Also affects {words}.", "$text-warning"))
    if impact.capacities:
        yield entry("")
        if action == "weight":
            yield entry("Weight 0 would leave:")
        yield from list_capacities(impact.capacities)
    if impact.servers:
        yield entry("")
        yield from _servers(impact.servers)


def list_capacities(found: Sequence[Capacity]) -> Iterator[Entry]:
    """List what would stay in rotation, violated floors first."""
    places = {capacity: f"{capacity.backend} on {capacity.instance}" for capacity in found}
    width = measure_column(places.values())
    digits = max(len(str(capacity.before)) for capacity in found)
    for capacity in sorted(found, key=lambda capacity: capacity.allowed):
        mark, style = ("✓", "$text-success") if capacity.allowed else ("✗", "$text-error")
        numbers = f"in rotation {capacity.before:>{digits}} → {capacity.after:>{digits}}"
        floor = f", floor {capacity.floor}{capacity.notes}"
        head = to_content(f"{mark} ", style) + pad_cell(places[capacity], width) + "  "
        yield Entry(head, to_content(numbers + floor, style))


def _servers(servers: Sequence[Server]) -> Iterator[Entry]:
    width = measure_column(str(server.ref) for server in servers)
    digits = max(len(str(server.sessions)) for server in servers)
    states = measure_column(server.status for server in servers)
    for server in servers:
        where = pad_cell(str(server.ref), width, QUIET_STYLE)
        state = f"{server.admin_state:<5}  " + pad_cell(server.status, states).plain
        sessions = f"{server.sessions:>{digits}} " + (
            "session " if server.sessions == 1 else plural("session")
        )
        yield Entry(where + "  ", to_content(f"{state}  {sessions}  weight {server.weight}"))


def describe_refusal(action: Action, broken: Sequence[Capacity], several: bool) -> Iterator[Entry]:
    """Explain why a change is refused, and what would make it possible."""
    what = "Weight 0 is refused" if action == "weight" else "Refused"
    yield Entry(
        to_content("✗ ", "$text-error"),
        to_content(f"{what}: the capacity floor would be violated.", "bold $text-error"),
    )
    places: dict[tuple[int, str], list[str]] = {}
    for capacity in broken:
        places.setdefault((capacity.floor - capacity.after, capacity.backend), []).append(capacity.instance)
    needs = [
        f"{counted(missing, 'more server')} in rotation in {backend} on {' and on '.join(instances)}"
        for (missing, backend), instances in places.items()
    ]
    fewer = "fewer nodes at once, " if several else ""
    yield Entry(
        to_content("  "),
        to_content(f"Possible with {fewer}{', and '.join(needs)}, or a lower floor in the configuration."),
    )


MIN_WEIGHT, MAX_WEIGHT = 0, 256  # HAProxy's own limits


@dataclass(frozen=True, slots=True)
class ChangeAnswer:
    """The operator's confirmation.

    Attributes:
        weight: for the action "weight", 0 to 256; else 0.
        override: names of nodes that were typed, so that the floor may be broken for them.
        reason: that the operator has given; empty for none.
    """

    weight: int = 0
    override: frozenset[str] = frozenset()
    reason: str = ""


class ChangeDialog(Dialog[ChangeAnswer | None]):
    """The answer is None unless the operator confirms."""

    DEFAULT_CSS = """
    ChangeDialog .label { height: auto; }
    ChangeDialog #weight-label { margin-top: 1; }
    ChangeDialog .hint { height: 1; color: $text-error; }
    ChangeDialog:nocolor .hint { color: $foreground; }
    ChangeDialog #refusal { margin-top: 1; }
    """

    def __init__(
        self,
        action: Action,
        impact: Impact,
        differences: Sequence[Difference] = (),
        notes: Sequence[str] = (),
        reason: str = "",
        requires_reason: bool = False,
    ) -> None:
        """Create the dialog for one action.

        Args:
            action: what is to be done.
            impact: what it would do; for "weight", what weight 0 would do.
            differences: from what was shown before, where it is shown again.
            notes: what else follows, such as from a rollout that works on the node.
            reason: that was given when it was shown before.
            requires_reason: whether there must be one.
        """
        super().__init__()
        self._notes = notes
        self.title = build_title(action, impact.nodes)
        self._action = action
        self._impact = impact
        self._differences = differences
        self._reason = reason
        self._requires_reason = requires_reason

    def entries(self) -> Sequence[Entry]:
        notes = [entry(to_content(note, "$text-warning")) for note in self._notes]
        impact = describe_impact(self._action, self._impact)
        return [*list_differences(self._differences), *notes, *impact]

    def fields(self) -> Iterable[Widget]:
        if self._action == "weight":
            yield Static(
                to_content(f"New weight, {MIN_WEIGHT} to {MAX_WEIGHT}:"), id="weight-label", classes="label"
            )
            yield Input(id="weight", placeholder="type here", max_length=4, select_on_focus=False)
            yield Static(id="weight-hint", classes="hint")
        if self._impact.broken:
            several = len(self._impact.nodes) > 1
            yield Entries(list(describe_refusal(self._action, self._impact.broken, several)), id="refusal")
            names = "all names, separated by spaces" if several else "its name"
            yield Static(
                to_content(f"To do it anyway, type {names}: {' '.join(self._impact.nodes)}"),
                classes="label",
                id="override-label",
            )
            yield Input(id="override", placeholder="type here", select_on_focus=False)

    def buttons(self) -> Iterable[Widget]:
        yield ReasonInput(self._reason, is_required=self._requires_reason)
        yield InlineButton("no", "Cancel")
        yield InlineButton("yes", VERBS[self._action], "success" if self._action == "ready" else "warning")

    def on_mount(self) -> None:
        super().on_mount()
        self._check()

    def initial_focus(self) -> Widget:
        """Focus the weight field, where typing alone changes nothing; else the safe answer."""
        return self.query_one("#weight") if self._action == "weight" else super().initial_focus()

    # -- what is typed ------------------------------------------------------------------------

    @property
    def weight(self) -> int | None:
        """The typed weight; None while the text is not a valid weight."""
        if self._action != "weight":
            return 0
        typed = self.query_one("#weight", Input).value.strip()
        if not (typed.isascii() and typed.isdigit()):
            return None
        number = int(typed)
        return number if MIN_WEIGHT <= number <= MAX_WEIGHT else None

    @property
    def refused(self) -> bool:
        """Whether the capacity floor would be violated, overridden or not."""
        return bool(self._impact.broken) and (self._action != "weight" or self.weight == 0)

    @property
    def override(self) -> frozenset[str]:
        """The nodes whose names were typed: all of them, or none."""
        if not self.refused:
            return frozenset()
        typed = self.query_one("#override", Input).value.split()
        wanted = " ".join(self._impact.nodes).split()
        return frozenset(self._impact.nodes) if sorted(typed) == sorted(wanted) else frozenset()

    @on(Input.Changed)
    def _check(self) -> None:
        self.set_class(self.refused, "-danger")
        if self._impact.broken:
            # Disabled, not removed: nothing may move while a weight is typed.
            self.query_one("#override").disabled = not self.refused
        if self._action == "weight":
            self._explain_weight()
        possible = self.weight is not None and (not self.refused or bool(self.override))
        self._yes.disabled = not possible

    def _explain_weight(self) -> None:
        typed = self.query_one("#weight", Input).value
        wrong = bool(typed) and self.weight is None
        hint = f"✗ found {typed!r}, expected a whole number from {MIN_WEIGHT} to {MAX_WEIGHT}"
        self.query_one("#weight-hint", Static).update(to_content(hint) if wrong else Content(""))
        self.query_one("#weight").set_class(wrong, "-invalid")

    @property
    def _yes(self) -> InlineButton:
        return self.query(InlineButton).last()

    # -- answers ------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _go_on(self, event: Input.Submitted) -> None:
        """Move the focus to what is missing, else to the button: Enter in a field sends nothing."""
        if event.input.id == "weight" and self.refused and not self.override:
            self.query_one("#override").focus()
        elif not self._yes.disabled:
            self._yes.focus()

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        weight = self.weight
        if event.answer == "no" or weight is None:
            self.dismiss(None)
        elif (reason := self.query_one(ReasonInput).read()) is not None:
            self.dismiss(ChangeAnswer(weight, self.override, reason))
