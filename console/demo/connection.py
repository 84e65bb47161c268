"""A minimal HTTP/1.1 client that can keep a connection and say exactly how a request went wrong.

It is made for the load generator: hundreds of requests per second must cost little, and "closed before any
byte of the response" must be distinguished from "closed in the middle of it", which a full HTTP client does
not promise.
"""

import asyncio
from dataclasses import dataclass
from typing import Self


class Closed(Exception):
    """The other side closed the connection before the response was complete.

    Attributes:
        received: bytes of the response that had arrived.
    """

    def __init__(self, received: int) -> None:
        self.received = received
        where = f"after {received} bytes of the response" if received else "before any response"
        super().__init__(f"connection closed {where}")


class Malformed(Exception):
    """The reply is no HTTP/1.1 response with a Content-Length."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    reason: str
    body: bytes
    close: bool  # the server announced that it closes the connection


class Connection(asyncio.Protocol):
    """A connection that sends one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiter: asyncio.Future[Response] | None = None
        self.usable = False  # open, and nothing unexpected has arrived

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect. Raises OSError."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    async def get(self, path: str, *, host: str = "demo", keep_alive: bool = True) -> Response:
        """Send a GET request and wait for the complete response.

        Raises:
            Closed: the other side closed first.
            Malformed: the reply cannot be understood.
        """
        if self._transport is None or not self.usable:
            raise Closed(0)
        self._buffer = b""
        self._waiter = asyncio.get_running_loop().create_future()
        close = "" if keep_alive else "Connection: close\r\n"
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n".encode())
        try:
            response = await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None
        if response.close or not keep_alive:
            self.close()
        return response

    def close(self) -> None:
        """Close at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self.usable = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # unsolicited data: the next response could not be trusted
            return
        self._buffer += data
        try:
            response = parse(self._buffer)
        except Malformed as error:
            self._waiter.set_exception(error)
            return
        if response is not None:
            self._waiter.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Closed(len(self._buffer)))


def parse(data: bytes) -> Response | None:
    """Return the response once it is complete, None while it is not. Raises Malformed."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    try:
        _, code, *reason = status_line.split(" ", 2)
        status, length = int(code), int(headers["content-length"])
    except (ValueError, KeyError) as error:
        raise Malformed(f"not understood: {status_line[:80]!r} without a length or a status") from error
    if len(body) < length:
        return None
    if len(body) > length:
        raise Malformed(f"{len(body) - length} bytes more than the response announced")
    close = headers.get("connection", "").lower() == "close"
    return Response(status, " ".join(reason), body, close)
