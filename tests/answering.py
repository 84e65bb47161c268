"""Two small servers for HAProxy to check: an application and an agent, with answers that can be changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answering:
    """Counts what it is asked, and answers as told at that moment.

    Attributes:
        status: of the application's HTTP answers; 0 closes the connection instead.
        agent: the agent's word, such as ``up``, ``down`` or ``ready``.
        held: while it is not set, requests for ``/slow`` wait.
    """

    app_port: int = 0
    agent_port: int = 0
    status: int = 200
    agent: str = "up"
    requests: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve_app(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests += not head.startswith(b"OPTIONS")
            if b"/slow" in head:
                await self.held.wait()
            if self.status:
                writer.write(b"HTTP/1.0 %d Said\r\nContent-Length: 2\r\n\r\nok" % self.status)
        await _end(writer)

    async def serve_agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(self.agent.encode() + b"\n")
        await _end(writer)


async def _end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    """Serve both on free loopback ports until the block ends."""
    answers = Answering()
    app = await asyncio.start_server(answers.serve_app, "127.0.0.1", 0)
    agent = await asyncio.start_server(answers.serve_agent, "127.0.0.1", 0)
    answers.app_port = app.sockets[0].getsockname()[1]
    answers.agent_port = agent.sockets[0].getsockname()[1]
    async with app, agent:
        try:
            yield answers
        finally:
            answers.held.set()
