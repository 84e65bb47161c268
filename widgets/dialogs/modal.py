"""Small modal screens: a confirmation, quitting during a rollout, a list of names, a terminal too small."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from widgets.dialogs.base import Dialog
from widgets.dialogs.elements import Entries, Entry, InlineButton, entry
from widgets.dialogs.overlay import Overlay

MIN_SIZE = Size(80, 24)


class Confirm(Dialog[str | None]):
    """The answer is the id of a choice; None for escape. Texts may come from outside."""

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        choices: Sequence[tuple[str, str, str]],
        safe: str | None = None,
    ) -> None:
        """Create the dialog for one question.

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

    def entries(self) -> Sequence[Entry]:
        return [entry(text) for text in self._text]

    def buttons(self) -> Iterable[InlineButton]:
        for answer, label, variant in self._choices:
            yield InlineButton(answer, label, variant)

    def initial_focus(self) -> InlineButton:
        buttons = self.query(InlineButton)
        return next((button for button in buttons if button.answer == self._safe), None) or buttons.first()

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        self.dismiss(event.answer)


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
    """The answer is "stay" (also for escape), "keep", "pause" or "abort"."""

    DEFAULT_CSS = """
    QuitDialog .answer { height: auto; margin-top: 1; }
    QuitDialog .answer InlineButton { margin: 0 2 0 0; }
    QuitDialog #answers { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "up,k",
            "app.focus_previous",
            "previous",
            id="quit.previous",
            tooltip="Previous answer",
            show=False,
        ),
        Binding("down,j", "app.focus_next", "next", id="quit.next", tooltip="Next answer", show=False),
    ]

    def __init__(self, lines: Sequence[str] = ()) -> None:
        """Create the dialog.

        Args:
            lines: the progress of the rollout, if there is more to show than that it runs.
        """
        super().__init__()
        self.title = "A rollout is running: quit?"
        self._text = lines

    def entries(self) -> Sequence[Entry]:
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


def fits(size: Size) -> bool:
    """Return whether the terminal is large enough."""
    return size.width >= MIN_SIZE.width and size.height >= MIN_SIZE.height


class TooSmall(ModalScreen[None], Overlay[None]):
    """Covers the screen until there is room again; a running rollout continues."""

    DEFAULT_CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall Static { width: auto; max-width: 100%; height: auto; text-align: center; }
    """

    def compose(self) -> ComposeResult:
        yield Static(self._words(self.app.size), markup=False)

    def on_resize(self, event: events.Resize) -> None:
        if fits(event.size):
            self.dismiss(None)
        else:
            self.query_one(Static).update(self._words(event.size))

    @staticmethod
    def _words(size: Size) -> str:
        return (
            f"This terminal is {size.width} by {size.height};\n"
            f"Rolldeck needs {MIN_SIZE.width} by {MIN_SIZE.height}.\n"
            "A running rollout continues."
        )
