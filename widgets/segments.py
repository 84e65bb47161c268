"""What lines on the screen are made of: segments of text, each with a kind of colour."""

from collections.abc import Mapping, Sequence

from rich.style import Style
from rich.text import Text

from backends.text import visible

Piece = tuple[str, str]
"""Text, already visible, and the kind that gives it its colour."""

KINDS = ("ok", "moving", "bad", "out", "quiet", "head", "plain")


def colours(widget: str, prefix: str) -> str:
    """CSS that gives each kind its colour, the same for every widget made of pieces.

    Args:
        widget: name of its class.
        prefix: of its component classes, as in "board--ok".
    """
    to = f"{widget} > .{prefix}--"
    # Without colours red would turn into the darkest grey of all: the words and glyphs say it.
    grey = f"{widget}:nocolor > .{prefix}--"
    return f"""
    {to}ok {{ color: $success; }}
    {to}moving {{ color: $warning; }}
    {to}bad {{ color: $error; text-style: bold; }}
    {to}out {{ color: $primary; }}
    {to}quiet {{ color: $foreground 60%; }}
    {to}head {{ text-style: bold; }}
    {grey}ok, {grey}moving, {grey}bad, {grey}out {{ color: $foreground; }}
    """


def cut(text: str, columns: int) -> str:
    """Visible text in at most so many columns; an ellipsis shows that something is missing."""
    shown = plain(text)
    shown.truncate(max(1, columns), overflow="ellipsis")
    return shown.plain


def painted(line: Sequence[Piece], paint: Mapping[str, Style], width: int) -> Text:
    """One line of at most so many columns, each piece in the colour of its kind."""
    text = Text(no_wrap=True, end="")
    for part, kind in line:
        text.append(part, paint[kind])
    text.truncate(max(1, width), overflow="ellipsis")
    return text


def plain(text: str, style: str = "") -> Text:
    """Text without markup, with nothing in it that a terminal would obey."""
    return Text(visible(text), style=style, no_wrap=True, end="")
