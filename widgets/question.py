"""What waits for the operator, between the table and the board. Not a dialog: everything else still works."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from backends.text import visible
from widgets.pieces import KINDS, Piece, colours, painted

MOST = 8  # lines
TITLE = 3  # lines that the first one may take: an error must be readable where it is decided on


class QuestionPanel(Widget):
    """Shows lines with a bar on their left; takes no room while there are none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"question--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    QuestionPanel {
        height: auto; padding: 0 1 0 0;
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
        grown = len(fresh) != len(self._lines) or fresh[:1] != self._lines[:1]
        self._lines = fresh
        self.set_class(bool(fresh), "-shown")
        self.set_class(bool(fresh) and fresh[0][0][1] == "bad", "-bad")
        self.refresh(layout=grown)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows(width))

    def render(self) -> Text:
        return Text("\n", no_wrap=True, end="").join(self._rows(self.size.width))

    def _rows(self, width: int) -> list[Text]:
        if not self._lines:
            return []
        paint = {kind: self.get_component_rich_style(f"question--{kind}") for kind in KINDS}
        room = max(8, width - 1)
        others = [Text(" ", end="").append_text(painted(each, paint, room)) for each in self._lines[1:]]
        return [*self._title(paint, room, min(TITLE, MOST - len(others))), *others]

    def _title(self, paint: Mapping[str, Style], width: int, most: int) -> list[Text]:
        """The first line, wrapped; what goes on stands behind its mark."""
        whole = painted(self._lines[0], paint, width * most)
        rows = list(whole.wrap(self.app.console, width - 2, no_wrap=False))
        if len(rows) > most:
            rows[most - 1].append(" …")
            rows[most - 1].truncate(width - 2, overflow="ellipsis")
        return [
            Text("   " if number else " ", end="").append_text(row) for number, row in enumerate(rows[:most])
        ]
