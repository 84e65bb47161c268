"""A small HTTP server that answers as a test requires, also wrongly.

async with serving(pages) as port:
    pages["/health"] = reply(b"UP")
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from tests.support.servers.tcp_listener import listening

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Gets the head of the request and writes whatever it likes."""


def reply(body: bytes | str, status: int = 200, *headers: str) -> Handler:
    """A whole and correct reply."""
    content = body.encode() if isinstance(body, str) else body

    async def handle(_: bytes, writer: asyncio.StreamWriter) -> None:
        lines = (f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}", *headers)
        writer.write("\r\n".join((*lines, "", "")).encode() + content)

    return handle


def raw(*parts: bytes, pause: float = 0.0) -> Handler:
    """Exactly these bytes, with pauses in seconds before each part but the first."""

    async def handle(_: bytes, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return handle


@contextlib.asynccontextmanager
async def serving(pages: Mapping[str, Handler], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve the pages on a free port of 127.0.0.1, one request for each connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await pages[head.split()[1].decode()](head, writer)
        await writer.drain()

    async with listening(handle, tls) as port:
        yield port
