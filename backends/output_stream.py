"""Commands whose output is read while they run, such as `tail -F`, and which end when nobody reads any more.

Such a command would run on for ever when its reader goes: a process notices a closed pipe only when it writes
the next line, and sshd tells it nothing. Therefore it is started by `KEEPER`, a shell that ends it as soon
as its own standard input is closed, which every transport does, also when a connection is lost.
"""

import asyncio
import codecs
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from backends.errors import BackendError
from backends.text import visible

MAX_LINE_CHARS = 4096
"""Characters of a line that are kept."""

MAX_PENDING_LINES = 1000  # that nobody has taken yet; the command has to wait then
READ_BYTES = 64 * 1024
TAB_CELLS = 8

# With `setsid` the command gets a process group of its own, since a shell ends without its children.
# The first line says that standard input is passed on: `docker exec` without `-i` closes it at once.
_KEEP = """\
exec 3<&0
if command -v setsid >/dev/null 2>&1
then setsid "$@" </dev/null 3<&- & child=$! group=-$!
else "$@" </dev/null 3<&- & child=$! group=$!
fi
{ read -r _ <&3 && { read -r _ <&3; kill -s TERM -- "$group" || kill "$child"; }; } >/dev/null 2>&1 &
reader=$!
exec 3<&-
wait "$child"
status=$?
kill "$reader" 2>/dev/null
exit "$status\""""

KEEPER = ("sh", "-c", _KEEP, "sh")
"""Prefix of a command that is to end when its standard input is closed after `GO`."""

GO = b"\n"

_COLORS = re.compile(r"\x1b\[[0-9;:]*[mK]")


def clean_line(text: str, left_out: int = 0) -> str:
    """Return a line without colors, with tabs expanded, harmless to print, and at most MAX_LINE_CHARS long.

    Args:
        text: the line.
        left_out: number of its characters that were dropped already.
    """
    text = _COLORS.sub("", text).rstrip("\r").expandtabs(TAB_CELLS)
    shown = visible(text[:MAX_LINE_CHARS])[:MAX_LINE_CHARS]
    left_out += max(0, len(text) - MAX_LINE_CHARS)
    return f"{shown}… ({left_out:,} more characters)" if left_out else shown


class LineSplitter:
    """Makes lines of output as it arrives; an endless line takes no more room than `MAX_LINE_CHARS`."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""  # of a line that may go on
        self._left_out = 0  # characters of that line

    def feed(self, data: bytes) -> list[str]:
        """Take some output, and return the lines that are complete, each as `clean_line` makes it."""
        *complete, rest = self._decoder.decode(data).split("\n")
        lines = []
        for text in complete:
            self._extend(text)
            lines.append(self._end())
        self._extend(rest)
        return lines

    def finish(self) -> list[str]:
        """Return the line that was begun and not ended, if there is one."""
        self._extend(self._decoder.decode(b"", final=True))
        return [self._end()] if self._begun else []

    def _extend(self, text: str) -> None:
        room = MAX_LINE_CHARS - len(self._begun)
        self._begun += text[:room]
        self._left_out += max(0, len(text) - room)

    def _end(self) -> str:
        text, left_out = self._begun, self._left_out
        self._begun, self._left_out = "", 0
        return clean_line(text, left_out)


@dataclass(frozen=True, slots=True)
class Pipes:
    """The ends of a running command, as a transport has them.

    Attributes:
        readers: of standard output and standard error: they return b"" at the end, and raise BackendError
            when the connection is lost.
        wait: returns the exit status when it has ended; None if that will never be known.
    """

    readers: Sequence[Callable[[int], Awaitable[bytes]]]
    wait: Callable[[], Awaitable[int | None]]


class OutputStream:
    """The lines of a running command, of both of its outputs, as they arrive.

    While nobody takes them the command has to wait, so that it never fills the memory.

    Attributes:
        exit_status: once it has ended; None before, and if it is not known.
        problem: why it was cut off, such as a lost connection; empty otherwise.
        last_line: the last line that arrived, which often says why it has ended.
    """

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.problem = ""
        self.last_line = ""
        self._lines = asyncio.Queue[str | None](MAX_PENDING_LINES)
        self._over = False

    async def read_lines(self) -> list[str]:
        """Wait for lines and return all that have arrived; an empty list says that it has ended."""
        if self._over:
            return []
        found = [await self._lines.get()]
        while not self._lines.empty():
            found.append(self._lines.get_nowait())
        self._over = found[-1] is None
        lines = [line for line in found if line is not None]
        self.last_line = next((line for line in reversed(lines) if line.strip()), self.last_line)
        return lines

    async def pump(self, pipes: Pipes) -> None:
        """Pass everything on until the command has ended."""
        await asyncio.gather(*map(self._pump, pipes.readers))
        if not self.problem:
            self.exit_status = await pipes.wait()
        await self._lines.put(None)

    async def _pump(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        splitter = LineSplitter()
        try:
            while data := await read(READ_BYTES):
                await self._put(splitter.feed(data))
        except BackendError as error:
            self.problem = error.problem
        await self._put(splitter.finish())

    async def _put(self, lines: Sequence[str]) -> None:
        for line in lines:
            await self._lines.put(line)

    @classmethod
    def of_nothing(cls) -> "OutputStream":
        """Return the output of a command that was not run, as in a rehearsal."""
        stream = cls()
        stream.exit_status, stream._over = 0, True
        return stream
