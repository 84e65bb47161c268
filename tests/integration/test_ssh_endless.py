"""Impostors of sshd that send more than sshd ever would: their output is cut, and they time out."""

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest

from backends.errors import MAX_PROBLEM, Unreachable
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from tests.support.loop_time import watching_loop
from tests.support.servers.tcp_listener import listening

BUSY_SECONDS = 1.0  # of the loop's thread at a time; some of it is this test's own server

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def packet(payload: bytes) -> bytes:
    """As before any key was exchanged: RFC 4253, section 6."""
    padding = 16 - (len(payload) + 5) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def once(data: bytes) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await reader.read()

    return handle


def endless(begin: bytes, piece: bytes) -> Handle:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return handle


def disconnect(reason: bytes) -> Handle:
    return once(b"SSH-2.0-x\r\n" + packet(b"\x01" + struct.pack(">I", 2) + string(reason) + string(b"")))


@pytest.mark.parametrize(
    "handle",
    [
        disconnect(b"r" * 30_000),
        disconnect(b"r" * 200_000),
        once(b"SSH-2.0-" + b"v" * 200_000 + b"\r\n"),
        endless(b"", b"a line\r\n" * 10_000),
        endless(b"", b"no line" * 10_000),
        endless(b"SSH-2.0-x\r\n", packet(b"\x02" + string(b"ignored")) * 100),
    ],
    ids=["reason", "longer reason", "version", "lines", "no line", "packets"],
)
async def test_a_server_without_measure_is_unreachable(handle: Handle) -> None:
    async with listening(handle) as port, watching_loop() as loop:
        host = SshHost("web1", "127.0.0.1", SshSettings(port=port, config="/dev/null", login_timeout=2))
        try:
            with pytest.raises(Unreachable) as caught:
                await host.connect()
        finally:
            await host.close()
    assert len(str(caught.value)) < MAX_PROBLEM + 100
    assert loop.longest_s < BUSY_SECONDS
