"""Output of commands: results go to stdout, everything else to stderr, and all of it is made harmless."""

import contextlib
import errno
import os
import re
import select
import shutil
import stat
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

import click

from backends.text import is_visible, visible, visible_json
from console.terminal.background_writer import Job, current_writer
from orchestrator.events.json import encode

GLYPHS = {"ok": "✓", "bad": "✗", "working": "◐", "warn": "!", "info": "·"}
COLORS = {"ok": "green", "bad": "red", "working": "yellow", "warn": "yellow", "out": "blue", "info": None}

# What this program itself writes: colors, a new live line, and the parts of `repaint`.
_OWN_CODES = re.compile(r"(\x1b\[[0-9;]*m|\r\x1b\[2K|\x1b\[[HJK]|\n)")


def clean(text: str) -> str:
    """Make a string from outside harmless: see `backends.text`."""
    return visible(text)


def width(text: str) -> int:
    """Return how many columns a cleaned text takes on a terminal."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):  # drawn over the character before it
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """Shorten a text to this many columns; an ellipsis shows that something is missing."""
    if width(text) <= columns:
        return text
    left = columns - 1  # for the ellipsis
    for index, character in enumerate(text):
        left -= _columns(character)
        if left < 0:
            return text[:index] + "…" * (columns > 0)
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Pad a text with spaces to this many columns; with `right`, on its left side."""
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def paint(text: str, kind: str) -> str:
    """Color a text by its meaning; the writer removes colors without a terminal or with NO_COLOR."""
    color = COLORS.get(kind)
    return click.style(text, fg=color) if color else text


def result(text: str = "") -> None:
    """Write a line of result to standard output; see `results_lost`."""
    _write(text, sys.stdout, results=True)


def result_json(fields: Mapping[str, object]) -> None:
    """Write a line of JSON as a result; control characters in it are escaped, as JSON allows."""
    result(visible_json(encode(fields).decode()))


def say(text: str = "") -> None:
    """Write any other line, to standard error."""
    _write(text, sys.stderr)


def show_live(text: str) -> None:
    """Write to the terminal without ending the line; a slow terminal gets only the last of these."""
    _write(text, sys.stderr, live=True)


_collected: list[str] | None = None


@contextlib.contextmanager
def collect_lines() -> Iterator[list[str]]:
    """Collect all lines that are written within, results and others, instead of writing them."""
    global _collected
    lines: list[str] = []
    _collected = lines
    try:
        yield lines
    finally:
        _collected = None


def repaint(lines: Sequence[str]) -> None:
    """Write lines over those before on the terminal; those that do not fit are counted in the last one."""
    rows = shutil.get_terminal_size().lines - 1
    if len(lines) > rows:
        lines = [*lines[: rows - 1], f"… {len(lines) - rows + 1} more lines"]
    if not _has_color(sys.stdout):
        lines = [click.unstyle(line) for line in lines]
    # Line by line, so that nothing flickers: the screen is never empty.
    _write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", sys.stdout, live=True)


_lost = False
_gone = False  # nobody reads standard output
_mute = False  # nobody reads standard error


def results_lost() -> bool:
    """Return whether standard output has refused results, as a full disk does; that has been reported.

    Nothing is lost to a reader that has read enough (`| head`), or to a terminal that is gone.
    """
    return _lost


def reader_gone() -> bool:
    """Return whether standard output is not read any more, so that nothing more need be printed there.

    That is known before anything is written again.
    """
    return _gone or _is_hung_up(sys.stdout)


def all_readers_gone() -> bool:
    """Return whether neither standard output nor standard error is read any more."""
    return reader_gone() and (_mute or _is_hung_up(sys.stderr))


def _is_hung_up(stream: TextIO | None) -> bool:
    """Return whether a pipe has no reader any more, or a terminal is gone."""
    poll = select.poll()
    try:
        if stream is None:
            return False
        poll.register(stream.fileno(), 0)  # what has no reader is told although nothing is asked for
    except (OSError, ValueError):  # no file of the system
        return False
    return bool(poll.poll(0))


def lose_results(error: OSError) -> None:
    """Report that click itself could not write, such as the help."""
    _give_up(sys.stdout, error, results=True)


def _write(text: str, stream: TextIO | None, *, live: bool = False, results: bool = False) -> None:
    color, end = (True, "") if live else (_has_color(stream), "\n")
    text = _sanitize(text)
    if _collected is not None:
        _collected.append(text)
        return

    def write() -> None:
        try:
            if stream is None:  # closed at the start; click would write to standard output instead
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            click.echo(text + end, file=stream, nl=False, color=color)
        except OSError as error:
            _give_up(stream, error, results)

    writer = current_writer()
    if writer is None:
        write()
    else:
        writer.put(Job(write, live=live))


def _give_up(stream: TextIO | None, error: OSError, results: bool) -> None:
    """Stop writing to a stream that accepts nothing, without stopping the work."""
    global _lost, _gone, _mute
    gone = error.errno == errno.EPIPE
    if stream is not None:
        # After a hang-up, `isatty` no longer calls it a terminal.
        is_device = stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
        gone = gone or (error.errno == errno.EIO and is_device)
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    _gone, _mute = _gone or results, _mute or not results
    if results and not gone and not _lost:
        _lost = True
        with contextlib.suppress(OSError):
            text = f"standard output: {error.strerror}; what was to be written there is lost"
            if sys.stderr is not None:
                line = f"{paint('rolldeck:', 'bad')} {text}"
                click.echo(line, file=sys.stderr, color=_has_color(sys.stderr))


def _sanitize(text: str) -> str:
    """Make harmless what should have been cleaned before, except for our own colors."""
    if is_visible(text):
        return text
    return "".join(part if _OWN_CODES.fullmatch(part) else clean(part) for part in _OWN_CODES.split(text))


def on_terminal(stream: TextIO | None) -> bool:
    """Return whether the stream is a terminal; a stream that was closed at the start is None."""
    return stream is not None and stream.isatty()


def _has_color(stream: TextIO | None) -> bool:
    return on_terminal(stream) and not os.environ.get("NO_COLOR")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    """Return aligned lines of cleaned cells; columns named in `right` are aligned to the right."""
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
