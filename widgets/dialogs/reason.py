"""The field for the reason that an operator gives."""

import sys

from textual import on
from textual.widgets import Input

from orchestrator.session.proposal import MAX_REASON_CHARS, parse_reason
from widgets.typed_line import TypedLine


class ReasonInput(TypedLine):
    """The field for a reason, beside the answers or above them.

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
    ReasonInput { width: 1fr; border: none; height: 1; padding: 0 1; background: $foreground 10%; }
    ReasonInput:focus { border: none; background: $foreground 20%; }
    ReasonInput.-invalid, ReasonInput.-invalid:focus { border: none; background: $error 25%; }
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
            reason = parse_reason(self.value)
            if self._is_required and not reason:
                raise ValueError("type why, or cancel")
            return reason
        except ValueError as error:
            self.app.notify(str(error), severity="warning", markup=False, timeout=4)
        self.add_class("-invalid")
        self.focus()
        return None
