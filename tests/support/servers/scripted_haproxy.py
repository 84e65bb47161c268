"""A server with scripted answers, for replies that a real HAProxy does not give on demand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.wait import until


@dataclass(frozen=True, slots=True)
class Reply:
    """What happens on one connection.

    Attributes:
        text: sent after a line has been read, as it is.
        hang: afterwards the connection stays open and silent.
        deaf: nothing is read before the connection is closed.
        reset: the connection ends with an error instead of an end.
    """

    text: bytes = b""
    hang: bool = False
    deaf: bool = False
    reset: bool = False


@dataclass(slots=True)
class ScriptedHaproxy:
    """Answers the first connection with the first reply, and so on; the last one is repeated."""

    socket: Path
    replies: list[Reply]
    lines: list[str] = field(default_factory=list)  # everything that was received
    open_now: int = 0
    open_at_once: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)  # ends what hangs

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.open_at_once = max(self.open_at_once, self.open_now)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        try:
            if not reply.deaf:
                self.lines.append((await reader.readline()).decode().removesuffix("\n"))
                with contextlib.suppress(ConnectionError):  # whoever asked may have heard enough
                    writer.write(reply.text)
                    await writer.drain()
            if reply.hang:
                await self.released.wait()
            if reply.reset:
                writer.transport.abort()
        finally:
            self.open_now -= 1
            with contextlib.suppress(OSError):
                writer.close()
                await writer.wait_closed()


@asynccontextmanager
async def scripted_haproxy(folder: Path, *replies: Reply) -> AsyncIterator[ScriptedHaproxy]:
    """Listen on a unix socket in this folder; all connections are over when the block ends."""
    scripted = ScriptedHaproxy(folder / "scripted.sock", list(replies))
    server = await asyncio.start_unix_server(scripted.serve, scripted.socket)
    try:
        yield scripted
    finally:
        scripted.released.set()
        server.close()
        await until(lambda: scripted.open_now == 0)
