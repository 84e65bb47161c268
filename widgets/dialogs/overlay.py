"""Screens that lie over another one, and close once whatever arrives meanwhile."""

from typing import Generic, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import ActiveBinding
from textual.screen import Screen

from widgets.typed_line import drop_typed_keys

Answer = TypeVar("Answer")


class Overlay(Screen[Answer], Generic[Answer]):
    """A screen over another one. Its first answer counts, and closing it never closes another screen.

    Keys that arrive in one packet, such as two Enters, and the clicks of a double click have all reached the
    screen before it reacts to the first. By then Textual's `dismiss` would close whatever is in front.
    """

    _is_answered: bool = False
    _late_answer: tuple[Answer | None] | None = None  # given while this screen could not be closed
    _was_in_front: bool = False

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys that work now, as the footer shows them."""
        return drop_typed_keys(self.focused, super().active_bindings)

    @property
    def is_answered(self) -> bool:
        """Whether an answer was given, so that the screen is closed or closes as soon as it is in front."""
        return self._is_answered

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Close the screen with its answer; later calls do nothing.

        Args:
            result: the answer, for whoever has opened the screen.

        Returns:
            An awaitable for the end of the screen. Where another screen is in front, or this one was not
            mounted yet, there is nothing to await: this one closes when it is in front.
        """
        if self._is_answered:
            return AwaitComplete()
        self._is_answered = True
        if self.app.screen is not self or not self._was_in_front:
            self._late_answer = (result,)
            return AwaitComplete()
        return super().dismiss(result)

    def on_screen_resume(self) -> None:
        """Close the screen if it was answered before it was mounted, or while another one was in front."""
        self._was_in_front = True
        # By the time the message arrives, another screen may be in front, and would be closed instead.
        if self._late_answer is not None and self.app.screen is self:
            (answer,), self._late_answer = self._late_answer, None
            super().dismiss(answer)

    def action_leave(self) -> None:
        """Close the screen without an answer."""
        self.dismiss(None)
