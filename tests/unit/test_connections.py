"""Connections on a node's port, from the kernel's table as captured."""

import asyncio

import pytest

from backends.errors import UnreadableReply
from backends.hosts.local import LocalHost
from backends.hosts.ports import NodeConnections
from orchestrator.engine.steps.drain import drain
from tests.support.fake_fleet import World
from tests.support.scripted_host import Answer, ScriptedHost

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = " 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0\n"
LISTENS = f"   0: 00000000:1F90 00000000:0000 0A{REST}"
CONNECTED = f"   1: 0100007F:1F90 0100007F:A0A2 01{REST}"
IN_IPV6 = f"   0: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:A0A4 01{REST}"
OURS = f"   2: 0100007F:A0A2 0100007F:1F90 01{REST}"  # the other end of one: local port 41122


@pytest.mark.parametrize(
    ("table", "count"),
    [
        (HEADING + LISTENS, 0),
        (HEADING + LISTENS + CONNECTED + OURS, 1),
        (HEADING + LISTENS + CONNECTED + HEADING + IN_IPV6, 2),
    ],
)
async def test_established_ones_with_this_local_port_count(table: str, count: int) -> None:
    assert await NodeConnections(ScriptedHost(lambda _: Answer(table)), 8080).count() == count


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("", "grep: /proc/net/tcp: Permission denied", 2), "could not be read: grep"),
        (Answer(HEADING + LISTENS, truncated=True), "could not be read"),
        (Answer(HEADING), "nothing listens on port 8080"),
        (Answer(HEADING + OURS), "nothing listens on port 8080"),
    ],
)
async def test_what_was_not_seen_is_not_0(answer: Answer, words: str) -> None:
    with pytest.raises(UnreadableReply, match=words):
        await NodeConnections(ScriptedHost(lambda _: answer), 8080).count()


async def test_on_this_machine() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        connections = NodeConnections(LocalHost("here"), port)
        assert await connections.count() == 0
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            while await connections.count() != 1:
                await asyncio.sleep(0.02)
        writer.close()
        await writer.wait_closed()
        await ended.wait()


class NoConnections:
    """Implements `backends.protocols.Connections`, and counts who looks."""

    def __init__(self) -> None:
        self.looks = 0

    async def count(self) -> int:
        self.looks += 1
        return 0


@pytest.mark.virtual_time
async def test_where_there_are_none_a_drain_counts_them_once() -> None:
    world = World(instances=1)
    world.balancers["lb1"].older = None  # older processes of HAProxy cannot be seen there
    context, connections = world.context(), NoConnections()
    object.__setattr__(context.node, "connections", connections)
    assert await drain(context) == "no sessions left"
    assert connections.looks == 1
