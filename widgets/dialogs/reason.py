"""The reason that an operator gives: a field beside the answers of a dialog, and a dialog of its own."""

import sys
from collections.abc import Iterable

from textual import on
from textual.widget import Widget
from textual.widgets import Input, Static

from orchestrator.session.proposal import MAX_REASON_CHARS, parse_reason
from widgets.dialogs.base import Dialog
from widgets.dialogs.elements import InlineButton, to_content


def _read_reason(text: str, *, is_required: bool) -> str:
    """Return the reason that was typed; ValueError says why it cannot be taken."""
    reason = parse_reason(text)
    if is_required and not reason:
        raise ValueError("type why, or cancel")
    return reason


class ReasonInput(Input):
    """The field for a reason, left of the answers.

    Args:
        reason: that was given before.
        is_required: whether there must be one.
        is_last: whether tab comes to it after the answers.
    """

    HELP = """
# Reason
Why it is done, such as a ticket: it is recorded, and shown to others.
"""
    DEFAULT_CSS = """
    ReasonInput { width: 1fr; }
    """

    def __init__(self, reason: str = "", *, is_required: bool = False, is_last: bool = False) -> None:
        hint = "why? required" if is_required else "why? (optional)"
        super().__init__(
            reason, id="reason", placeholder=hint, max_length=MAX_REASON_CHARS, select_on_focus=False
        )
        self._is_required = is_required
        self._is_last = is_last

    @property
    def _focus_sort_key(self) -> tuple[int, int]:
        # Textual sorts by the place on the screen.
        return (sys.maxsize, 0) if self._is_last else super()._focus_sort_key

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()  # it decides nothing about other fields
        self.remove_class("-invalid")

    def read(self) -> str | None:
        """Return the reason, or else say why there is none, and take the focus."""
        try:
            return _read_reason(self.value, is_required=self._is_required)
        except ValueError as error:
            self.app.notify(str(error), severity="warning", markup=False, timeout=4)
        self.add_class("-invalid")
        self.focus()
        return None


class ReasonDialog(Dialog[str | None]):
    """The answer is the reason; None if it was not given."""

    DEFAULT_CSS = """
    ReasonDialog .hint { height: auto; min-height: 1; color: $text-muted; }
    ReasonDialog .hint.-wrong { color: $text-error; }
    ReasonDialog:nocolor .hint.-wrong { color: $foreground; }
    """

    def __init__(self, application: str) -> None:
        """Create the dialog.

        Args:
            application: which one demands a reason.
        """
        super().__init__()
        self.title = f"Why? {application} requires a reason"

    def fields(self) -> Iterable[Widget]:
        yield Input(
            id="reason", placeholder="such as a ticket", max_length=MAX_REASON_CHARS, select_on_focus=False
        )
        yield Static(to_content("It is recorded, and shown to others."), classes="hint", id="hint")

    def buttons(self) -> Iterable[InlineButton]:
        yield InlineButton("no", "Cancel")
        yield InlineButton("yes", "Go on", "primary")

    def initial_focus(self) -> Widget:
        """Focus the field: what is typed alone starts nothing."""
        return self.query_one("#reason")

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._go_on()

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        if event.answer == "yes":
            self._go_on()
        else:
            self.dismiss(None)

    def _go_on(self) -> None:
        try:
            reason = _read_reason(self.query_one("#reason", Input).value, is_required=True)
        except ValueError as error:
            hint = self.query_one("#hint", Static)
            hint.update(to_content(str(error)))
            hint.add_class("-wrong")
            self.query_one("#reason").focus()
        else:
            self.dismiss(reason)
