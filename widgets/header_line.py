"""The first line of a main screen, and a second one only while something is wrong."""

from abc import abstractmethod
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from backends.text import visible
from widgets.segments import KINDS, Segment, css_colors, render_lines

Model = TypeVar("Model")
_ANY_WIDTH = 10_000  # in columns; how long the text is does not matter


class HeaderLine(Widget, Generic[Model]):
    """A header that is painted only when it differs. A subclass says what is in its lines."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"header--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    HeaderLine { height: auto; padding: 0 1; background: $panel; }
    """ + css_colors("HeaderLine", "header")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: Model | None = None
        self._clock = ""
        self._drawn = Text()

    @abstractmethod
    def build_first(self, model: Model, clock_text: str, width: int) -> list[Segment]:
        """Return the first line, in this many columns."""

    @abstractmethod
    def describe_trouble(self, model: Model, width: int) -> list[Segment]:
        """Return what is wrong, in about this many columns at most; nothing while all is well."""

    def show(self, model: Model, clock_text: str) -> None:
        """Show this model; `clock_text` is the time of day, such as "16:42:05"."""
        lines_before = self._count_lines() if self._shown is not None else 0
        self._shown, self._clock = model, visible(clock_text)
        grown = self._count_lines() != lines_before
        if grown or self._build_text() != self._drawn:
            self.refresh(layout=grown)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._count_lines()

    def render(self) -> Text:
        self._drawn = self._build_text()
        return self._drawn

    def _count_lines(self) -> int:
        return 2 if self._shown is not None and self.describe_trouble(self._shown, _ANY_WIDTH) else 1

    def _build_text(self) -> Text:
        width = self.size.width
        if self._shown is None or width <= 0:
            return Text()
        lines = [self.build_first(self._shown, self._clock, width)]
        lines += [trouble] if (trouble := self.describe_trouble(self._shown, width)) else []
        return render_lines(self, "header", lines)
