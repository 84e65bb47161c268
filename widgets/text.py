"""Text from outside, made harmless for widgets: the one way in."""

from rich.text import Text

from backends.text import visible as visible


def plain(text: str, style: str = "") -> Text:
    """Text without markup, with nothing in it that a terminal would obey."""
    return Text(visible(text), style=style, no_wrap=True, end="")
