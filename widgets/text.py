"""Text from outside, made harmless for widgets: the one way in."""

from rich.text import Text


def visible(text: str) -> str:
    """Replace what could control a terminal or reorder text; tabs and newlines become spaces."""
    return "".join(map(_visible, text)) if not text.isprintable() else text


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\t\n\r":
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def plain(text: str, style: str = "") -> Text:
    """Text without markup, with nothing in it that a terminal would obey."""
    return Text(visible(text), style=style, no_wrap=True, end="")
