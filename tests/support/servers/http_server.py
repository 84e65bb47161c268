"""Two small servers for HAProxy to check: an application and an agent, with answers that can be changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.servers.tcp_listener import listening


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
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests += not head.startswith(b"OPTIONS")
        if b"/slow" in head:
            await self.held.wait()
        if self.status:
            writer.write(b"HTTP/1.0 %d Said\r\nContent-Length: 2\r\n\r\nok" % self.status)

    async def serve_agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.agent.encode() + b"\n")


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    """Serve both on free loopback ports until the block ends."""
    answers = Answering()
    async with listening(answers.serve_app) as app, listening(answers.serve_agent) as agent:
        answers.app_port, answers.agent_port = app, agent
        yield answers
