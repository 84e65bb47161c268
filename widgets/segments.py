"""Segments: the pieces of text that make up lines on the screen, each with a kind that has a color."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from backends.text import visible

Kind = Literal["ok", "moving", "bad", "out", "quiet"]
"""The meaning of a color: healthy in rotation; changing or stale; broken; out on purpose; the rest."""


Segment = tuple[str, str]
"""Text that is safe to print, and the kind that gives it its color."""

MAX_CELL_CHARS = 512  # no screen shows more, and what comes from outside may be long
KINDS = ("ok", "moving", "bad", "out", "quiet", "head", "plain")


def css_colors(widget: str, prefix: str) -> str:
    """Return CSS that gives each kind its color, the same for every widget that renders segments.

    Args:
        widget: name of the class of the widget.
        prefix: of its component classes, as in "board--ok".
    """
    to = f"{widget} > .{prefix}--"
    # Without colors red would turn into the darkest gray of all; words and glyphs carry the meaning.
    gray = f"{widget}:nocolor > .{prefix}--"
    return f"""
    {to}ok {{ color: $success; }}
    {to}moving {{ color: $warning; }}
    {to}bad {{ color: $text-error; text-style: bold; }}
    {to}out {{ color: $text-primary; }}
    {to}quiet {{ color: $foreground-muted; }}
    {to}head {{ text-style: bold; }}
    {gray}ok, {gray}moving, {gray}bad, {gray}out {{ color: $foreground; }}
    """


def fit(text: str, width: int, right: bool = False) -> str:
    """Return text of exactly `width` cells; an ellipsis marks what was cut."""
    text = visible(text[:MAX_CELL_CHARS])
    room = width - cell_len(text)
    if room >= 0:
        return " " * room + text if right else text + " " * room
    return set_cell_size(text, width - 1) + "…" if width else ""


def truncate(text: str, columns: int) -> str:
    """Return safe text of at most this many columns; an ellipsis marks what was cut."""
    shortened = to_text(text)
    shortened.truncate(max(1, columns), overflow="ellipsis")
    return shortened.plain


def render_line(line: Sequence[Segment], styles: Mapping[str, Style], width: int) -> Text:
    """Return one line of at most this many columns, each segment in the color of its kind."""
    text = Text(no_wrap=True, end="")
    for part, kind in line:
        text.append(part, styles[kind])
    text.truncate(max(1, width), overflow="ellipsis")
    return text


def width_of(line: Sequence[Segment]) -> int:
    """Return the cells that a line takes."""
    return sum(cell_len(text) for text, _ in line)


def truncate_line(line: Sequence[Segment], room: int) -> list[Segment]:
    """Return the beginning of a line, in at most this many cells."""
    kept: list[Segment] = []
    for text, kind in line:
        left = room - width_of(kept)
        if left <= 0:
            break
        kept.append((truncate(text, left), kind))
    return kept


def find_styles(widget: Widget, prefix: str) -> dict[str, Style]:
    """Return the style of each kind in a widget; `prefix` is that of `css_colors`."""
    return {kind: widget.get_component_rich_style(f"{prefix}--{kind}") for kind in KINDS}


def render_lines(widget: Widget, prefix: str, lines: Iterable[Sequence[Segment]]) -> Text:
    """Return lines in a widget, each cut at its width; `prefix` is that of `css_colors`."""
    styles, width = find_styles(widget, prefix), widget.size.width
    return Text("\n", no_wrap=True, end="").join(render_line(line, styles, width) for line in lines)


def to_text(text: str, style: str = "") -> Text:
    """Return text without markup and without control characters."""
    return Text(visible(text), style=style, no_wrap=True, end="")


def wrap_beside(head: list[Segment], words: str, kind: str, width: int) -> list[list[Segment]]:
    """Return text beside a head; text that does not fit wraps below the text."""
    indent = width_of(head)
    rows = Content(visible(words)).wrap(max(8, width - indent - 1)) or [Content("")]
    space: list[Segment] = [(" " * indent, "plain")]
    return [[*(space if index else head), (row.plain, kind)] for index, row in enumerate(rows)]
