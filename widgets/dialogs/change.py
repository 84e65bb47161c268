"""Drain, maintenance, ready or weight by hand: the impact first, and a refusal below the floor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from orchestrator.engine.manual import Action, Impact
from orchestrator.engine.plan_differences import Difference
from widgets.dialogs.base import Dialog
from widgets.dialogs.choice import Choice
from widgets.dialogs.impact import VERBS, described, refusal, title
from widgets.dialogs.lines import Line, Lines, text
from widgets.dialogs.plan_lines import differences as changed

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
                text(f"To do it all the same, type {names}: {' '.join(self._impact.nodes)}"),
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
