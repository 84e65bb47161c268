"""Ports: the kernel's table as captured, and faults that a real node gives rarely."""

import asyncio
import socket

import pytest

from backends.command import Command
from backends.errors import UnknownOutcome, Unreachable, UnreadableReply
from backends.hosts.ports import ConsolePort, NodePort, listening_ports
from tests.support.scripted_host import Answer, ScriptedHost

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP = HEADING + (
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0"
    " 4242 1 0000000000000000 100 0 0 10 0\n"
    "   1: 0100007F:1F90 0100007F:A0A2 01 00000000:00000000 00:00000000 00000000     0        0"
    " 4243 1 0000000000000000 20 4 30 10 -1\n"
)
TCP6 = HEADING + (
    "   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A"
    " 00000000:00000000 00:00000000 00000000     0        0 4244 1 0000000000000000 100 0 0 10 0\n"
)


def test_only_listeners_count() -> None:
    assert listening_ports(TCP + TCP6) == {22, 8081}


@pytest.mark.parametrize("table", ["", HEADING, "0: 0A", "a b:xyz d 0A", "1: nonsense x 0A\n"])
def test_a_table_without_listeners(table: str) -> None:
    assert listening_ports(table) == frozenset()


def test_the_command() -> None:
    assert NodePort(ScriptedHost(), 80).command() == Command(
        ("grep", "-hE", "local_address| 0A ", "/proc/net/tcp", "/proc/net/tcp6")
    )


@pytest.mark.parametrize(
    ("answer", "port", "is_open"),
    [
        (Answer(TCP + TCP6), 22, True),
        (Answer(TCP + TCP6), 8081, True),
        (Answer(TCP + TCP6), 8080, False),  # a connection, not a listener
        (Answer(TCP, "grep: /proc/net/tcp6: No such file or directory", 2), 22, True),
        (Answer(TCP, "grep: /proc/net/tcp6: No such file or directory", 2), 23, False),
        (Answer(TCP, truncated=True), 22, True),
    ],
)
async def test_seen_on_the_node(answer: Answer, port: int, is_open: bool) -> None:
    host = ScriptedHost(lambda _: answer)
    assert await NodePort(host, port).is_open() is is_open
    assert host.recorded == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(""),
        Answer("", "sh: grep: not found", 127),
        Answer("", "grep: /proc/net/tcp: No such file or directory", 2),
        Answer(TCP, truncated=True),
    ],
)
async def test_a_table_that_was_not_seen_whole(answer: Answer) -> None:
    with pytest.raises(UnreadableReply, match="port 80: /proc/net/tcp could not be read"):
        await NodePort(ScriptedHost(lambda _: answer), 80).is_open()


async def test_a_lost_answer_is_no_measurement() -> None:
    def lost(_: Command) -> Answer:
        raise UnknownOutcome("web1", "no end within 10 s")

    with pytest.raises(UnreadableReply, match="no end"):
        await NodePort(ScriptedHost(lost), 80).is_open()


async def test_seen_from_here() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert await ConsolePort("127.0.0.1", port).is_open()
        assert await ConsolePort("localhost", port).is_open()  # refused on ::1 where there is one
    assert not await ConsolePort("127.0.0.1", port).is_open()
    assert not await ConsolePort("localhost", port).is_open()


async def test_seen_from_here_over_ipv6() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert await ConsolePort("::1", listener.getsockname()[1]).is_open()


async def test_no_answer_is_neither_open_nor_closed() -> None:
    # A queue of one that is full: the kernel drops what comes next, as a dead node would.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(address)
            with pytest.raises(Unreachable, match=r"no answer within 0.2 s"):
                await ConsolePort("127.0.0.1", address[1], timeout=0.2).is_open()
        finally:
            for client in waiting:
                client.close()


async def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match="unknown name: Name or service not known"):
        await ConsolePort("web1", 80).is_open()


async def test_what_can_be_no_name() -> None:
    with pytest.raises(Unreachable, match="unknown name"):
        await ConsolePort("web1..example", 80).is_open()


async def test_a_connection_to_itself_is_not_an_open_port(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = asyncio.open_connection

    async def from_the_same_port(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await connect(host, port, local_addr=(host, port))

    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    monkeypatch.setattr(asyncio, "open_connection", from_the_same_port)
    assert not await ConsolePort("127.0.0.1", port).is_open()
