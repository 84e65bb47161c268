"""A question with a few answers."""

from collections.abc import Iterable, Sequence

from textual import on

from widgets.dialogs.base import Dialog
from widgets.dialogs.button import InlineButton
from widgets.dialogs.hanging_text import Entry, entry


class Confirm(Dialog[str | None]):
    """Answers with the id of a choice; None for escape. Title, lines and labels may come from outside."""

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        choices: Sequence[tuple[str, str, str]],
        safe: str | None = None,
    ) -> None:
        """Plan the dialog for one question.

        Args:
            title: the question; it names what it is about.
            lines: what there is to know before answering.
            choices: id, label and variant (default, primary, success, warning, error) of each.
            safe: id of the choice that has the focus; the first one when it is not given.
        """
        super().__init__()
        self.title = title
        self._text = lines
        self._choices = choices
        self._safe = choices[0][0] if safe is None else safe

    def lines(self) -> Sequence[Entry]:
        return [entry(text) for text in self._text]

    def choices(self) -> Iterable[InlineButton]:
        for answer, label, variant in self._choices:
            yield InlineButton(answer, label, variant)

    def first(self) -> InlineButton:
        return next(button for button in self.query(InlineButton) if button.answer == self._safe)

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        self.dismiss(event.answer)
