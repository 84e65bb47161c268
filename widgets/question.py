"""What waits for the operator, between the table and the board. Not a dialog: everything else still works."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from widgets.pieces import KINDS, Piece, colours, painted
from widgets.text import visible

MOST = 6  # lines


class QuestionPanel(Widget):
    """Shows lines with a bar on their left; takes no room while there are none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"question--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    QuestionPanel {
        height: auto; padding: 0 1 0 0; margin: 0 0 0 1;
        border-left: thick $warning; background: $warning 12%;
        display: none;
    }
    QuestionPanel.-shown { display: block; }
    QuestionPanel.-bad { border-left: thick $error; background: $error 12%; }
    QuestionPanel:nocolor, QuestionPanel:ansi { background: transparent; }
    """ + colours("QuestionPanel", "question")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[list[Piece]] = []

    def show(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Show these lines, at most `MOST`; none hides it."""
        fresh = [[(visible(text), kind) for text, kind in line] for line in lines][:MOST]
        if fresh == self._lines:
            return
        grown = len(fresh) != len(self._lines)
        self._lines = fresh
        self.set_class(bool(fresh), "-shown")
        self.set_class(bool(fresh) and fresh[0][0][1] == "bad", "-bad")
        self.refresh(layout=grown)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render(self) -> Text:
        paint = {kind: self.get_component_rich_style(f"question--{kind}") for kind in KINDS}
        width = max(1, self.size.width - 1)
        return Text("\n", no_wrap=True, end="").join(
            Text(" ", end="").append_text(painted(line, paint, width)) for line in self._lines
        )
