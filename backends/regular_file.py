"""Reading a file of this machine whose path comes from elsewhere: it may be a device, a pipe, or endless."""

import asyncio
import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable
from functools import partial

_PIECE = 1024 * 1024  # bytes


async def read_regular_file(path: str, most_bytes: int) -> bytes:
    """Read a regular file, through symbolic links.

    It is read in a thread that nobody waits for at the end of the program: a network file system that hangs
    keeps it for ever. Whoever calls sets a time-out.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[bytes] = loop.create_future()

    def settle(tell: Callable[[], None]) -> None:
        if not result.done():  # else whoever asked has gone
            tell()

    def work() -> None:
        tell: Callable[[], None]
        try:
            tell = partial(result.set_result, _read(path, most_bytes))
        except OSError as error:
            tell = partial(result.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle, tell)

    threading.Thread(target=work, name="read a file", daemon=True).start()
    return await result


def _read(path: str, most_bytes: int) -> bytes:
    if "\0" in path:
        raise OSError(errno.EINVAL, "a NUL byte in its path")
    # Without waiting: a pipe would be opened when somebody writes to it. A terminal must not become ours.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = bytearray()
        while piece := os.read(file, _PIECE):
            content += piece
            if len(content) > most_bytes:
                raise OSError(errno.EFBIG, f"longer than {most_bytes:,} bytes")
        return bytes(content)
    finally:
        os.close(file)
