"""A socket in front of a HAProxy's Runtime API that makes it look older than it is.

Counters that are ten minutes old count as a history. No test can wait for that; everything but the age that
`show info` says is HAProxy's own.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_UPTIME = re.compile(rb"(?m)^(Uptime_sec: )(\d+)")


@asynccontextmanager
async def aged(socket: Path, place: Path, age_s: int) -> AsyncIterator[None]:
    """Serve the Runtime API behind a socket at another place, until the block ends.

    Args:
        socket: of HAProxy.
        place: where to serve.
        age_s: seconds that are added to its uptime.
    """

    def add(found: re.Match[bytes]) -> bytes:
        return found[1] + b"%d" % (int(found[2]) + age_s)

    open_connections: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if own := asyncio.current_task():
            open_connections.add(own)
            own.add_done_callback(open_connections.discard)
        with suppress(OSError):
            theirs, ours = await asyncio.open_unix_connection(socket)
            asking = asyncio.create_task(_copy(reader, ours))
            try:
                writer.write(_UPTIME.sub(add, await theirs.read()))
                await writer.drain()
            finally:
                asking.cancel()
                ours.close()
        writer.close()

    server = await asyncio.start_unix_server(handle, place)
    try:
        yield
    finally:
        server.close()
        for connection in tuple(open_connections):
            connection.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
