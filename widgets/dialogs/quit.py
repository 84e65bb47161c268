"""Leaving while a rollout runs: it never dies with the window."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from widgets.dialogs.base import Dialog
from widgets.dialogs.button import InlineButton
from widgets.dialogs.hanging_text import Entries, Entry, entry

ANSWERS = (
    ("stay", "Stay", "default", "Back to the console; the rollout continues."),
    ("keep", "Keep going", "primary", "Close the console; the rollout continues without it."),
    ("pause", "Pause", "warning", "Start no new node and stop deadlines, then close the console."),
    (
        "abort",
        "Abort",
        "error",
        "End it after the running step; nodes that are out of rotation stay out, and are listed.",
    ),
)


class QuitDialog(Dialog[str]):
    """Answers "stay" (also for escape), "keep", "pause" or "abort"."""

    DEFAULT_CSS = """
    QuitDialog .answer { height: auto; margin-top: 1; }
    QuitDialog .answer InlineButton { margin: 0 2 0 0; }
    QuitDialog #answers { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "up", "app.focus_previous", "previous", id="quit.previous", tooltip="Previous answer", show=False
        ),
        Binding("down", "app.focus_next", "next", id="quit.next", tooltip="Next answer", show=False),
    ]

    def __init__(self, lines: Sequence[str] = ()) -> None:
        """Plan the dialog.

        Args:
            lines: where the rollout stands, if there is more to say than that it runs.
        """
        super().__init__()
        self.title = "A rollout is running: quit?"
        self._text = lines

    def lines(self) -> Sequence[Entry]:
        return [entry(text) for text in self._text]

    def fields(self) -> Iterable[Widget]:
        width = max(len(label) for _, label, _, _ in ANSWERS)
        for answer, label, variant, meaning in ANSWERS:
            yield Horizontal(
                InlineButton(answer, label, variant, width=width),
                Entries([entry(meaning)]),
                classes="answer",
            )

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        self.dismiss(event.answer)

    def action_cancel(self) -> None:
        self.dismiss("stay")
