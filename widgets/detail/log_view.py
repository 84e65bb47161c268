"""The log of a node's service, as it arrives: it follows the end, scrolls sideways, and can be searched."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.text import Text
from textual.binding import Binding, BindingType

from backends.text import counted, visible
from widgets.searchable_lines import LinesView, SearchableLines

MAX_LOG_LINES = 5_000
SIDE_STEP = 20  # cells


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log, or of what Rolldeck says about it; its text is already safe to print."""

    number: int
    kind: Literal["line", "note"]
    text: str

    def __str__(self) -> str:
        return self.text


class LogLines(LinesView[LogLine]):
    """The lines of a log, from the column on to which it was scrolled sideways."""

    def __init__(self) -> None:
        super().__init__()
        self.column = 0

    def build_text(self, line: LogLine, width: int) -> Text:
        shown = line.text[self.column : self.column + 2 * width]
        mark = "! " if line.kind == "note" else ""
        # As a span: Rich renders a text that has none without its own style.
        return Text.assemble((f"{mark}{shown}", self.style_of(line.kind)), no_wrap=True, end="")


class LogView(SearchableLines[LogLine]):
    """The last 5,000 lines of a log; what follows keeps coming while an operator reads further up."""

    HELP = """
# Log of the service
It follows the end until you scroll up; `f` follows again. `!` marks what Rolldeck says about the log, such as
that the service or the connection was interrupted. Colors are left out, other control
characters are shown as escapes.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "sideways(1)", "right", id="log-right", tooltip="What follows on the right"),
        Binding("left", "sideways(-1)", "left", id="log-left", tooltip="Back to the left"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._log_lines = LogLines()
        super().__init__(self._log_lines, id=id, classes=classes)
        self._log_lines.lines = deque(maxlen=MAX_LOG_LINES)
        self._source = ""
        self._count = 0

    def show_source(self, source: str) -> None:
        """Show where the log is read."""
        self._source = source
        self.settle_later()

    def add(self, lines: Sequence[str]) -> None:
        """Add lines of the log, which are safe to print."""
        for line in lines:
            self._keep("line", line)

    def add_note(self, text: str) -> None:
        """Add something that Rolldeck says about the log."""
        self._keep("note", visible(text))

    def _keep(self, kind: Literal["line", "note"], text: str) -> None:
        self._count += 1
        self._gone += len(self._log_lines.lines) == MAX_LOG_LINES
        self._log_lines.lines.append(LogLine(self._count, kind, text))
        self.settle_later()

    def describe(self) -> list[str]:
        held = len(self._log_lines.lines)
        parts = [counted(held, "line")]
        parts += [f"{self._count - held:,} older were dropped"] if self._count > held else []
        return parts + ([f"from column {self._log_lines.column}"] if self._log_lines.column else [])

    def source(self) -> str:
        return self._source or "the log is being opened"

    def lines_as_text(self) -> str:
        """Return the lines, uncut, to be copied."""
        return "\n".join([*map(str, self._log_lines.lines), ""])

    def action_sideways(self, direction: int) -> None:
        """Scroll by a part of the width: a line is never wrapped, so that each stays one line."""
        longest = max((len(line.text) for line in self._log_lines.lines), default=0)
        column = self._log_lines.column + direction * SIDE_STEP
        self._log_lines.column = max(0, min(column, longest // SIDE_STEP * SIDE_STEP))
        self.settle()
