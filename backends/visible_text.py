"""Text from outside, made harmless for a terminal, an editor or a page: it is seen, and not obeyed.

The one way for all that is shown or written to be read: console, widgets, reports, logs and generated files.
"""

import json
import re

# Printable to Python, and yet seen by nobody: Unicode's "default ignorable" characters that are letters or
# marks (joiners, fillers, variation selectors), and Braille's blank. Controls, formats (bidirectional ones,
# zero-width ones, tags), separators and unassigned ones are not printable anyway.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_visible(text: str) -> bool:
    """Whether every character of it is seen, in its place."""
    return text.isprintable() and (text.isascii() or _HIDDEN.search(text) is None)


def visible(text: str) -> str:
    """Show what could control a terminal, reorder text or hide as `\\x1b`-like escapes.

    Those are control characters, bidirectional ones, ones without width or ink, and lone surrogates; tabs and
    line breaks become spaces. An emoji's variation selector is shown too: without it two names that look the
    same would not be.
    """
    return text if is_visible(text) else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if is_visible(character):
        return character
    if character in "\t\n\r":
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def visible_lines(text: str) -> str:
    """The same of a text that has lines of its own."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(line: str) -> str:
    """A line of JSON that says the same, with what `visible` shows escaped as JSON has it."""
    return line if is_visible(line) else "".join(map(_in_json, line))


def _in_json(character: str) -> str:
    if is_visible(character):
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def visible_toml(text: str) -> str:
    """A string of TOML, with what `visible` shows escaped. It has no lone surrogates: those are replaced."""
    return "".join(map(_in_toml, json.dumps(text, ensure_ascii=False)))


def _in_toml(character: str) -> str:
    number = ord(character)
    if is_visible(character):
        return character
    if 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
