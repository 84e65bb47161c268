"""asyncssh, as every other module imports it, and the channels of a connection: commands and byte streams."""

import asyncio
import ctypes.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backends.hosts.output import Capture


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
