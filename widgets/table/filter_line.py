"""The line below the table that says which rows it does not show, and how to see them again."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.widget import Widget

from backends.text import counted, visible
from widgets.segments import KINDS, Segment, css_colors, render_lines, truncate
from widgets.table.model import TableOptions

MAX_FILTER_CELLS = 24


def build_filter_line(options: TableOptions, shown: int, total: int, hint: str) -> list[Segment]:
    """Return `/web9 · only problems · 0 of 400 servers match · esc clears`; nothing without a limit."""
    limits = [
        f"/{truncate(options.filter.strip(), MAX_FILTER_CELLS)}" if options.filter.strip() else "",
        "only problems" if options.problems_only else "",
        f"backend {truncate(options.backend, MAX_FILTER_CELLS)}" if options.backend else "",
    ]
    return describe_limits([limit for limit in limits if limit], shown, total, options.by, hint)


def describe_limits(limits: Sequence[str], shown: int, total: int, noun: str, hint: str) -> list[Segment]:
    """Return which limits there are, how many rows match, and how to see all; nothing without a limit.

    Args:
        limits: in words.
        shown: how many rows match.
        total: how many there are.
        noun: what a row is.
        hint: how to see all again.
    """
    if not limits:
        return []
    count = f"{shown:,} of {counted(total, noun)} match"
    return [
        (" · ".join(limits), "moving"),
        (f" · {count}", "plain" if shown else "moving"),
        (f" · {hint}", "quiet"),
    ]


class FilterLine(Widget):
    """Which rows are hidden and why; it takes a line only while any may be."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"filter--{kind}" for kind in KINDS}
    DEFAULT_CSS = """
    FilterLine { height: 1; padding: 0 1; display: none; }
    FilterLine.-shown { display: block; }
    """ + css_colors("FilterLine", "filter")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._line: list[Segment] = []

    @property
    def text(self) -> str:
        """What the line says; empty when it is not shown."""
        return visible("".join(text for text, _ in self._line))

    def show(self, options: TableOptions, shown: int, total: int, hint: str) -> None:
        """Show what these options hide.

        Args:
            options: of the rows.
            shown: how many rows match.
            total: how many there are.
            hint: how to see all again.
        """
        self.show_line(build_filter_line(options, shown, total, hint))

    def show_line(self, line: list[Segment]) -> None:
        """Show this line; an empty one takes no room."""
        if line != self._line:
            self._line = line
            self.set_class(bool(line), "-shown")
            self.refresh()

    def render(self) -> Text:
        return render_lines(self, "filter", [self._line])
