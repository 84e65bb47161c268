"""asyncssh, as every other module imports it, and the channels of a connection: commands and byte streams."""

import asyncio
import ctypes.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from backends.errors import Unreachable
from backends.hosts.output import Capture
from backends.output_stream import READ_BYTES, Pipes


@contextmanager
def _cache_only() -> Iterator[None]:
    """Make `find_library` read the linker's cache alone, where this Python can do so."""
    before = ctypes.util.find_library
    ctypes.util.find_library = getattr(ctypes.util, "_findSoname_ldconfig", before)
    try:
        yield
    finally:
        ctypes.util.find_library = before


with _cache_only():
    import asyncssh
    from asyncssh.config import SSHClientConfig

__all__ = ["SSHClientConfig", "asyncssh"]


_UNKNOWN_SIGNAL = 255


class CommandSession(asyncssh.SSHClientSession[bytes]):
    """Feeds a `Capture`; never stops reading, so that no full pipe holds the command up.

    Attributes:
        channel: set once the server has given us one. From then on the command may have been
            started; before that it certainly was not.
    """

    def __init__(self, capture: Capture) -> None:
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._capture = capture

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._capture.feed(data, stderr=datatype == asyncssh.EXTENDED_DATA_STDERR)

    def exit_status_received(self, status: int) -> None:
        self._capture.exited(status)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._capture.exited(_status_of(signal))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._capture.exit_status is None:
            self._capture.lost(f"the connection was lost while it ran ({exc or 'closed'})")
        self._capture.end_closed()


class StreamSession(asyncssh.SSHUNIXSession[bytes]):
    """Makes a channel an ordinary pair of asyncio streams, with ordinary OSErrors.

    A reader need not know that SSH is in between.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader()
        self._protocol = asyncio.StreamReaderProtocol(self._reader)
        self._channel: Any = None  # as good as a transport, but not declared to be one

    def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        writer = asyncio.StreamWriter(self._channel, self._protocol, self._reader, self._loop)
        return self._reader, writer

    def connection_made(self, chan: asyncssh.SSHUNIXChannel[bytes]) -> None:
        self._channel = chan
        self._protocol.connection_made(self._channel)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool:
        return bool(self._protocol.eof_received())

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(ConnectionResetError(str(exc)) if exc else None)


def _status_of(name: str) -> int:
    try:
        return 128 + signal.Signals[f"SIG{name}"]
    except KeyError:
        return _UNKNOWN_SIGNAL


START_ERRORS = (asyncssh.Error, OSError)


class RemoteProcess:
    """A command over SSH with open pipes, or on a terminal of its own."""

    def __init__(self, target: str, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._target = target
        self._process = process
        self.pipes = Pipes(
            (partial(self._read, process.stdout), partial(self._read, process.stderr)), self._exit_status
        )

    async def read(self) -> bytes:
        """See `backends.shell.RemoteTerminal`."""
        return await self._read(self._process.stdout, READ_BYTES)

    def write(self, data: bytes) -> None:
        with suppress(*START_ERRORS):  # it has ended, which the reader sees
            self._process.stdin.write(data)

    def resize(self, columns: int, rows: int) -> None:
        with suppress(*START_ERRORS):
            self._process.change_terminal_size(columns, rows)

    async def wait(self) -> int:
        """See `backends.shell.RemoteTerminal`."""
        status = await self._exit_status()
        if status is None:
            raise Unreachable(self._target, "the connection was lost")
        return status

    def close(self) -> None:
        """Close standard input, which ends what `KEEPER` keeps, and the channel."""
        with suppress(*START_ERRORS):
            self._process.stdin.write_eof()
        self._process.close()

    async def _read(self, end: asyncssh.SSHReader[bytes], most_bytes: int) -> bytes:
        try:
            return await end.read(most_bytes)
        except START_ERRORS as error:
            raise Unreachable(self._target, f"the connection was lost ({error})") from error

    async def _exit_status(self) -> int | None:
        await self._process.wait_closed()
        if signal_of := self._process.exit_signal:
            return _status_of(signal_of[0])
        return self._process.exit_status


async def open_process(
    target: str,
    connection: asyncssh.SSHClientConnection,
    line: str | None,
    terminal: tuple[str, int, int] | None = None,
) -> RemoteProcess:
    """Start a command over a connection.

    Args:
        target: the node's name, for errors.
        connection: an open one.
        line: what the login shell runs; None to have that shell itself.
        terminal: type, columns and rows of the terminal that it gets; None: pipes.

    Raises:
        Unreachable: it was not started.
    """
    options: dict[str, Any] = {"request_pty": False}
    if terminal is not None:
        term, columns, rows = terminal
        options = {"request_pty": "force", "term_type": term, "term_size": (columns, rows, 0, 0)}
    try:
        process = await connection.create_process(line, encoding=None, x11_forwarding=False, **options)
    except START_ERRORS as error:
        raise Unreachable(target, f"it was not started: {error}") from error
    return RemoteProcess(target, process)
