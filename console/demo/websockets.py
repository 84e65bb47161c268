"""Clients that hold websockets open, and connect again when one is closed, as browsers do.

They are the sessions that never end by themselves: what a drain meets, and what becomes of them, is counted.
"""

import asyncio
import base64
import os
import random
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from types import TracebackType
from typing import Self

import msgspec

from console.demo.app import CLOSE, FRAME_INTERVAL_S, LENGTH_BITS, TEXT, accept_key
from console.demo.load import Address

SILENCE_S = 10 * FRAME_INTERVAL_S  # without a frame, after which a websocket counts as dead
CONNECT_TIMEOUT_S = 10.0
MAX_PAUSE_S = 1.0  # before a client connects again: each waits for a random part of it
MAX_DETAILED_FAILURES = 100


class Refused(Exception):
    """The handshake of a websocket failed; with what came instead."""


class WebSockets:
    """So many clients, each of which holds one websocket; asynchronous context manager.

    Attributes:
        nodes: the node to which each websocket that is open now is connected, by the number of its client.
        opened: websockets that were opened.
        closed: those that ended with a close frame of the server.
        cut: those that ended without one.
        failed: attempts to connect that failed.
        failures: the first of them, in words.
    """

    def __init__(self, count: int, targets: Sequence[Address]) -> None:
        """Prepare the clients; nothing is sent before `start`.

        Args:
            count: how many.
            targets: host and port of each frontend; clients are spread evenly over them.
        """
        self.nodes: dict[int, str] = {}
        self.opened = self.closed = self.cut = self.failed = 0
        self.failures: list[str] = []
        self._targets = list(islice(cycle(targets), count))
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def by_node(self) -> Counter[str]:
        """How many are open on each node."""
        return Counter(self.nodes.values())

    async def start(self) -> None:
        """Open all of them, in tasks of the running loop, and wait until they are open.

        Raises:
            TimeoutError: that takes too long.
        """
        self._tasks = [
            asyncio.create_task(self._hold(number, target), name=f"websocket {number}")
            for number, target in enumerate(self._targets)
        ]
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while len(self.nodes) < len(self._targets):  # noqa: ASYNC110 - it is a matter of a moment
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Leave, as browsers do that are closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _hold(self, number: int, target: Address) -> None:
        """Hold one websocket open, and open it again whenever it ends."""
        while True:
            try:
                await self._use(number, target)
            except (OSError, TimeoutError, EOFError, Refused, ValueError) as error:
                self.failed += 1
                if len(self.failures) < MAX_DETAILED_FAILURES:
                    self.failures.append(f"{target[0]}:{target[1]}: {str(error) or type(error).__name__}")
            await asyncio.sleep(random.uniform(0, MAX_PAUSE_S))  # noqa: S311 - no secret

    async def _use(self, number: int, target: Address) -> None:
        """Open a websocket and read it to its end. Raises what `_open` raises when it cannot be opened."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await _open(target)
        try:
            self.opened += 1
            try:
                while (frame := await _read_frame(reader))[0] != CLOSE:
                    if frame[0] == TEXT:
                        self.nodes[number] = msgspec.json.decode(frame[1])["node"]
                self.closed += 1
            except (OSError, EOFError, TimeoutError):
                self.cut += 1
        finally:
            self.nodes.pop(number, None)
            writer.transport.abort()


async def _open(target: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and shake hands.

    Raises:
        OSError, EOFError: the connection was refused or closed.
        Refused: the answer is none to a websocket.
    """
    reader, writer = await asyncio.open_connection(*target)
    try:
        key = base64.b64encode(os.urandom(16))
        writer.write(
            b"GET /websocket HTTP/1.1\r\nHost: demo\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        accepted = [line.partition(b":")[2].strip() for line in lines if b"-accept:" in line.lower()]
        if status.split()[1:2] != [b"101"] or accepted != [accept_key(key)]:
            raise Refused(status.decode("latin-1"))
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the first byte of a short frame, and its payload. Raises EOFError, OSError and TimeoutError."""
    async with asyncio.timeout(SILENCE_S):
        kind, length = await reader.readexactly(2)
        return kind, await reader.readexactly(length & LENGTH_BITS)
