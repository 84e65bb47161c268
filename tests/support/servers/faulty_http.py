"""An HTTP server that fails as the path says, and a client that recognizes the errors.

Tests of what HAProxy counts need faults below HTTP, which no framework can be talked into.
"""

import asyncio
import socket
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
ENDLESS = 30.0  # seconds: longer than any time-out here
BRIEFLY = 0.1

_SAYS = {
    "ok": OK,
    "500": b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n",
    "503": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x16\x03\x01 this is no HTTP\r\n\r\n",
    "cut": HALF,
    "cut-reset": HALF,
    "cut-chunk": CHUNK,
    "stalled": HALF,
    "stream": CHUNK,
    "hints": HINTS + OK,
    "hints-reset": HINTS,
    "websocket": SWITCH,
}
_ENDS = frozenset(("garbage", "cut", "cut-chunk", "close", "websocket"))
_RESETS = frozenset(("reset", "cut-reset", "hints-reset"))


@asynccontextmanager
async def faulty_server(port: int) -> AsyncIterator[None]:
    """Serve on this port of loopback until the block ends."""
    tried: set[bytes] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await _answer(reader, writer, tried):
                pass
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tried: set[bytes]) -> bool:
    """Answer one request, and return whether the connection stays open for another.

    Args:
        reader: of the connection.
        writer: of the connection.
        tried: requests whose first try was made; the fault `every-other-reset` resets first tries only.
    """
    request = await reader.readuntil(b"\r\n\r\n")
    fault = request.split()[1].decode().rpartition("/")[2]
    if fault == "every-other-reset":  # by request: tries of several may come in any order
        name = request.lower().partition(b"x-request: ")[2].split()[0]  # HAProxy changes the case
        fault = "ok" if name in tried else "reset"
        tried.add(name)
    if fault == "slow":
        await asyncio.sleep(3 * BRIEFLY)
        fault = "ok"
    if fault == "hang-a-while":
        await asyncio.sleep(8 * BRIEFLY)
        fault = "ok"
    writer.write(_SAYS.get(fault, b""))
    await writer.drain()
    if fault == "stream":
        await asyncio.sleep(8 * BRIEFLY)
        writer.write(b"0\r\n\r\n")
    if fault in ("hang", "stalled"):
        await asyncio.sleep(ENDLESS)
    if fault.startswith(("cut", "hints-", "websocket")):
        await asyncio.sleep(BRIEFLY)  # HAProxy is to have passed on what there is
    if fault in _RESETS:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    return fault not in _ENDS and fault not in _RESETS


async def is_error(port: int, path: str, *, leave: bool = False) -> bool:
    """Ask for this path and say whether what came is an error; `leave`: do not wait for what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: test\r\nX-Request: {uuid.uuid4()}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        if leave:
            await asyncio.sleep(BRIEFLY)
            writer.transport.abort()
            return False
        async with asyncio.timeout(ENDLESS):
            return not _whole(await reader.read(-1))
    except ConnectionError:
        return True
    finally:
        writer.close()


async def is_error_on_kept_connection(port: int, first: str, second: str) -> bool:
    """Ask for two paths on one connection and say whether what came for the second one is an error."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {first} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\nok")
        writer.write(f"GET {second} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(ENDLESS):
            return not _whole(await reader.read(-1))
    except ConnectionError:
        return True
    finally:
        writer.close()


async def use_websocket(port: int, path: str) -> bool:
    """Open a websocket, read it to its end, and say whether it could not be opened."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        writer.write((head + key).encode())
        async with asyncio.timeout(ENDLESS):
            return not (await reader.read(-1)).startswith(b"HTTP/1.1 101 ")
    finally:
        writer.close()


def _whole(reply: bytes) -> bool:
    """Whether it is a response below 500 that has all of its body."""
    head, _, body = reply.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 1"):
        head, _, body = body.partition(b"\r\n\r\n")
    if not head or int(head.split()[1]) >= 500:
        return False
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if lines.get(b"transfer-encoding") == b"chunked":
        return body.endswith(b"0\r\n\r\n")
    return len(body) == int(lines.get(b"content-length", len(body)))
