"""Text in two parts: a head in a column of its own, and a body that wraps beside it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content, Span
from textual.geometry import Size
from textual.widget import Widget

from backends.text import visible

QUIET_STYLE = "$foreground 60%"
"""Style of what is only there when one looks for it."""

COLOR_STYLES = re.compile(r"\$text-(success|warning|error|primary)")
MAX_NAME_CELLS = 28  # cells that a column of names takes at most


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; text that does not fit wraps below its body, never below its head."""

    head: Content
    body: Content


def to_content(value: str, style: str = "") -> Content:
    """Return untrusted text as content without markup and control characters.

    Args:
        value: any text.
        style: of Textual's CSS, such as "$error" or "bold".
    """
    return Content.styled(visible(value), style)


def strip_colors(content: Content) -> Content:
    """Replace colors for screens without colors, where red would be as dim as secondary text."""
    spans = [
        Span(start, end, COLOR_STYLES.sub("$foreground", style) if isinstance(style, str) else style)
        for start, end, style in content.spans
    ]
    return Content(content.plain, spans)


def entry(*parts: Content | str) -> Entry:
    """Return an entry without a head; strings are treated as untrusted."""
    return Entry(
        Content(""),
        Content("").join(part if isinstance(part, Content) else to_content(part) for part in parts),
    )


def pad_cell(value: str, width: int, style: str = "", *, right: bool = False) -> Content:
    """Return text padded to this many cells; an ellipsis marks what was cut."""
    cut = to_content(value).truncate(width, ellipsis=True).plain
    space = " " * max(0, width - cell_len(cut))
    return Content.styled(space + cut if right else cut + space, style)


def column_width(values: Iterable[str], most: int = MAX_NAME_CELLS) -> int:
    """Return how many cells a column of these values needs, at most `most`."""
    return min(most, max((cell_len(visible(value)) for value in values), default=0))


class Entries(Widget):
    """Entries one below the other, as high as they need to be."""

    DEFAULT_CSS = """
    Entries { width: 1fr; height: auto; }
    """

    def __init__(self, lines: Sequence[Entry] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Entry] = lines
        self._laid_out: tuple[int, list[Content]] = (0, [])

    def show(self, lines: Sequence[Entry]) -> None:
        """Show other entries."""
        self._lines = lines
        self._laid_out = (0, [])
        self.refresh(layout=True)

    def render(self) -> Content:
        content = Content("\n").join(self._at(self.size.width))
        return strip_colors(content) if self.app.no_color else content

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._at(width))

    def _at(self, width: int) -> list[Content]:
        if self._laid_out[0] != width:
            self._laid_out = (width, [row for entry in self._lines for row in _wrapped(entry, width)])
        return self._laid_out[1]


def _wrapped(entry: Entry, width: int) -> list[Content]:
    indent = entry.head.cell_length
    rows = entry.body.wrap(max(8, width - indent)) or [Content("")]
    space = Content(" " * indent)
    return [(space if index else entry.head) + row for index, row in enumerate(rows)]
