"""Text for a terminal: one place owns stdout and stderr, and nothing remote can control either."""

import contextlib
import errno
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TextIO

import click

from backends.text import is_visible, visible, visible_json
from console.terminal.background_writer import Job, current_writer
from orchestrator.events.text import encode

GLYPHS = {"ok": "✓", "bad": "✗", "working": "◐", "warn": "!", "info": "·"}
COLOURS = {"ok": "green", "bad": "red", "working": "yellow", "warn": "yellow", "out": "blue", "info": None}

# What this program itself writes: colours, a new live line.
_OWN_CODES = re.compile(r"(\x1b\[[0-9;]*m|\r\x1b\[2K|\n)")


def clean(text: str) -> str:
    """Make a string from outside harmless: see `backends.text`."""
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
    """Fill a text with blanks to so many columns of a terminal; with `right` on its left side."""
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def paint(text: str, kind: str) -> str:
    """Colour by meaning; the writer drops it again where there is no terminal or NO_COLOR is set."""
    colour = COLOURS.get(kind)
    return click.style(text, fg=colour) if colour else text


def result(text: str = "") -> None:
    """Write a line of result to standard output; see `results_lost`."""
    _write(text, sys.stdout, results=True)


def result_json(fields: Mapping[str, object]) -> None:
    """Write a line of JSON as a result; what a terminal could obey in it is escaped, which JSON allows."""
    result(visible_json(encode(fields).decode()))


def say(text: str = "") -> None:
    """Write everything else, to standard error."""
    _write(text, sys.stderr)


def show_live(text: str) -> None:
    """Write to the terminal without ending the line; where it cannot follow, only the last one is written."""
    _write(text, sys.stderr, live=True)


_lost = False


def results_lost() -> bool:
    """Whether standard output has refused results, as a full disk does; that was said then.

    A reader that has enough (`| head`) and a terminal that has gone lose nothing that anybody wanted.
    """
    return _lost


def lose_results(error: OSError) -> None:
    """Of what click writes by itself, such as the help: it could not be written."""
    _give_up(sys.stdout, error, results=True)


def _write(text: str, stream: TextIO | None, *, live: bool = False, results: bool = False) -> None:
    colour, end = (True, "") if live else (_has_colour(stream), "\n")
    text = _sanitize(text)

    def write() -> None:
        try:
            if stream is None:  # closed at the start; click would take standard output instead
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            click.echo(text + end, file=stream, nl=False, color=colour)
        except OSError as error:
            _give_up(stream, error, results)

    writer = current_writer()
    if writer is None:
        write()
    else:
        writer.put(Job(write, live=live))


def _give_up(stream: TextIO | None, error: OSError, results: bool) -> None:
    """A stream that takes nothing ends the writing, never what is being done."""
    global _lost
    gone = error.errno == errno.EPIPE
    if stream is not None:
        # One that has hung up is no terminal any more by what `isatty` says.
        is_device = stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
        gone = gone or (error.errno == errno.EIO and is_device)
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if results and not gone and not _lost:
        _lost = True
        with contextlib.suppress(OSError):
            text = f"standard output: {error.strerror}; what was to be written there is lost"
            if sys.stderr is not None:
                line = f"{paint('rolldeck:', 'bad')} {text}"
                click.echo(line, file=sys.stderr, color=_has_colour(sys.stderr))


def _sanitize(text: str) -> str:
    """The last gate: what should have been cleaned, and was not, does no harm but colour."""
    if is_visible(text):
        return text
    return "".join(part if _OWN_CODES.fullmatch(part) else clean(part) for part in _OWN_CODES.split(text))


def on_terminal(stream: TextIO | None) -> bool:
    """Whether somebody reads or types there; a stream that was closed at the start is None."""
    return stream is not None and stream.isatty()


def _has_colour(stream: TextIO | None) -> bool:
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
