"""One of several by name."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from widgets.dialogs.base import Dialog
from widgets.dialogs.button import InlineButton, RadioList


class SelectDialog(Dialog[str | None]):
    """Answers with what was picked; None for escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="pick.open", tooltip="Open what is picked", show=False)
    ]

    def __init__(self, title: str, names: Sequence[str], current: str) -> None:
        """Plan the dialog for one thing to pick.

        Args:
            title: what is picked.
            names: what there is.
            current: what it is now.
        """
        super().__init__()
        self.title = title
        self._names = names
        self._current = current

    def fields(self) -> Iterable[Widget]:
        rows = [(name, name, "shown now" if name == self._current else "") for name in self._names]
        yield RadioList(rows, self._current, id="names")

    def choices(self) -> Iterable[InlineButton]:
        yield InlineButton("no", "Cancel")
        yield InlineButton("yes", "Open", "primary")

    def first(self) -> Widget:
        """Picking does nothing yet."""
        return self.query_one(RadioList)

    def action_open(self) -> None:
        self.dismiss(self.query_one(RadioList).value)

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        self.dismiss(self.query_one(RadioList).value if event.answer == "yes" else None)
