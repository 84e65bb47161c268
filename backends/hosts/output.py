"""The output and the end of a running command, on any kind of host."""

import asyncio
import re

_PID_LINE = re.compile(rb"^rolldeck-pid=(\d{1,10}) (\d{0,20})\n", re.MULTILINE)
_MAX_PREAMBLE_BYTES = 64 * 1024  # start-up files of a shell may print something before it
_LINGER_S = 1.0  # without output after the exit, before the output counts as complete

# proc(5): the 22nd field of `stat` is the start; the second one is `(sh)`, in which there is no space.
_TELL = """\
tell() { echo "rolldeck-pid=$1 ${22}"; }
read -r stat 2>/dev/null </proc/$$/stat || stat=$$
tell $stat
exec "$@\""""
TRACKER = ("sh", "-c", _TELL, "sh")
"""Prefix of a tracked command: a shell that prints its process id and then becomes the command."""


class Capture:
    """Keeps the first `limit` bytes of each output stream, and drops the rest, so that a command never waits.

    Attributes:
        exit_status: 0-255; death by signal n is 128 + n, as in a shell. None until it is known.
        pid: the process id on the host, when the command was started with `TRACKER` and has printed it.
        started: see `backends.command.CommandStarted`.
        truncated: something was left out.
        lost_because: why `exit_status` will never be known; empty otherwise.
    """

    def __init__(self, limit: int, *, ends: int = 1, track: bool = False) -> None:
        self.exit_status: int | None = None
        self.pid: int | None = None
        self.started = 0
        self.truncated = False
        self.lost_because = ""
        self._limit = limit
        self._ends = ends
        self._tracking = track
        self._received = 0
        self._line = 0  # where the last line of standard output begins, which may go on
        self._streams = (bytearray(), bytearray())
        self._over = asyncio.Event()
        self._closed = asyncio.Event()
        self._pid_known = asyncio.Event()

    @property
    def received(self) -> int:
        """Bytes of both streams, with those that were left out."""
        return self._received

    @property
    def stdout(self) -> str:
        return self._streams[0].decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self._streams[1].decode(errors="replace")

    def feed(self, data: bytes, *, stderr: bool = False) -> None:
        """Take some output."""
        self._received += len(data)
        stream = self._streams[stderr]
        room = max(self._limit - len(stream), 0)
        stream += data[:room]
        self.truncated |= len(data) > room
        if self._tracking and not stderr and b"\n" in data:
            self._look_for_pid(stream)

    def exited(self, status: int) -> None:
        """Set the exit status of a command that has ended; output may still be on its way."""
        self.exit_status = status
        self._over.set()

    def lost(self, reason: str) -> None:
        """Set why no more output will arrive."""
        self.lost_because = reason
        self._over.set()
        self._closed.set()

    def end_closed(self) -> None:
        """Count one of the ends that output comes through as closed."""
        self._ends -= 1
        if self._ends == 0:
            self._closed.set()

    async def finished(self) -> None:
        """Wait until the command and its output have ended.

        A command may leave a daemon behind that keeps its output open for ever: once the exit
        status is known, silence is the end.
        """
        await self._over.wait()
        while not self._closed.is_set():
            before = self._received
            try:
                async with asyncio.timeout(_LINGER_S):
                    await self._closed.wait()
            except TimeoutError:
                if self._received == before:
                    return

    async def wait_for_pid(self) -> None:
        """Wait until the command has printed its process id."""
        await self._pid_known.wait()

    def _look_for_pid(self, stream: bytearray) -> None:
        if found := _PID_LINE.search(stream, self._line):
            self.pid, self.started = int(found[1]), int(found[2] or 0)
            self._pid_known.set()
            del stream[found.start() : found.end()]
        self._line = stream.rfind(b"\n", self._line) + 1 or self._line
        self._tracking = not self._pid_known.is_set() and len(stream) < _MAX_PREAMBLE_BYTES
