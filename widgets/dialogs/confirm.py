"""A question with a few answers."""

from collections.abc import Iterable, Sequence

from textual import on

from widgets.dialogs.base import Dialog
from widgets.dialogs.button import Choice
from widgets.dialogs.hanging_text import Line, line


class Confirm(Dialog[str | None]):
    """Answers with the id of a choice; None for escape. Title, lines and labels may come from outside."""

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        choices: Sequence[tuple[str, str, str]],
        safe: str | None = None,
    ) -> None:
        """
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

    def lines(self) -> Sequence[Line]:
        return [line(each) for each in self._text]

    def choices(self) -> Iterable[Choice]:
        for answer, label, variant in self._choices:
            yield Choice(answer, label, variant)

    def first(self) -> Choice:
        return next(each for each in self.query(Choice) if each.answer == self._safe)

    @on(Choice.Pressed)
    def _pressed(self, event: Choice.Pressed) -> None:
        self.dismiss(event.answer)
