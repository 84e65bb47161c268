"""Text for a terminal: one place owns stdout and stderr, and nothing remote can control either."""

import os
import queue
import re
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import click

from backends.visible_text import is_visible, visible, visible_json

GLYPHS = {"ok": "✓", "bad": "✗", "working": "◐", "warn": "!", "info": "·"}
COLOURS = {"ok": "green", "bad": "red", "working": "yellow", "warn": "yellow", "out": "blue", "info": None}

_OURS = re.compile(r"(\x1b\[[0-9;]*m|\r\x1b\[2K|\n)")  # what this program writes: colours, a new live line


def clean(text: str) -> str:
    """Make a string from outside harmless: see `backends.visible_text`."""
    return visible(text)


def width(text: str) -> int:
    """Columns that a cleaned text takes on a terminal."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):  # drawn over the character before it
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """Cut to so many columns; an ellipsis shows that something is missing."""
    if width(text) <= columns:
        return text
    left = columns - 1  # for the ellipsis
    for index, character in enumerate(text):
        left -= _columns(character)
        if left < 0:
            return text[:index] + "…" * (columns > 0)
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def paint(text: str, kind: str) -> str:
    """Colour by meaning; the writer drops it again where there is no terminal or NO_COLOR is set."""
    colour = COLOURS.get(kind)
    return click.style(text, fg=colour) if colour else text


def result(text: str = "") -> None:
    """Write a line of result to standard output."""
    _write(text, sys.stdout)


def result_json(line: bytes) -> None:
    """Write a line of JSON as a result; what a terminal could obey in it is escaped, which JSON allows."""
    result(visible_json(line.decode()))


def say(text: str = "") -> None:
    """Write everything else, to standard error."""
    _write(text, sys.stderr)


def show_live(text: str) -> None:
    """Write to the terminal without ending the line."""
    _write(text, sys.stderr, end="", colour=True)


_background: "queue.SimpleQueue[Callable[[], None] | None] | None" = None


@contextmanager
def in_background() -> Iterator[None]:
    """Write from a thread of its own meanwhile, in order.

    A terminal that is stopped (Ctrl-S), or a reader that does not read, blocks whoever writes: that must not
    be the rollout, nor what listens for Ctrl-C. At the end it waits until all is written.
    """
    global _background
    waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def write() -> None:
        while (job := waiting.get()) is not None:
            job()

    thread = threading.Thread(target=write, name="output", daemon=True)
    thread.start()
    _background = waiting
    try:
        yield
    finally:
        _background = None
        waiting.put(None)
        thread.join()


def _write(text: str, stream: TextIO | None, *, end: str = "\n", colour: bool | None = None) -> None:
    colour = _colour(stream) if colour is None else colour
    text = _harmless(text)

    def job() -> None:
        # A reader that has gone (`| head`, a closed terminal) ends the writing, never what is being done.
        try:
            click.echo(text + end, file=stream, nl=False, color=colour)
        except OSError:
            if stream is not None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    if _background is None:
        job()
    else:
        _background.put(job)


def _harmless(text: str) -> str:
    """The last gate: what should have been cleaned, and was not, does no harm but colour."""
    if is_visible(text):
        return text
    return "".join(part if _OURS.fullmatch(part) else clean(part) for part in _OURS.split(text))


def on_terminal(stream: TextIO | None) -> bool:
    """Whether somebody reads or types there; a stream that was closed at the start is None."""
    return stream is not None and stream.isatty()


def _colour(stream: TextIO | None) -> bool:
    return on_terminal(stream) and not os.environ.get("NO_COLOR")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    """Aligned columns; cells are cleaned. Columns named in `right` are numbers."""
    cells = [[clean(cell) for cell in row] for row in rows]
    columns = [
        max([width(title), *(width(row[index]) for row in cells)]) for index, title in enumerate(header)
    ]
    return [
        "  ".join(
            pad(cell, size, right=title in right)
            for cell, size, title in zip(row, columns, header, strict=True)
        ).rstrip()
        for row in [list(header), *cells]
    ]
