"""Servers with endless answers, in place of health pages, HAProxy's statistics and Consul."""

import asyncio
import functools
import zlib
from collections.abc import Awaitable, Callable

import pytest

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.errors import BackendError, Unreachable, UnreadableReply
from backends.haproxy.address import HaproxySettings
from backends.haproxy.stats_page import StatsPage
from tests.support.health import look
from tests.support.loop_time import watching_loop
from tests.support.servers.tcp_listener import listening

BUSY_SECONDS = 1.0  # of the loop's thread at a time; some of it is this test's own server


async def health(port: int) -> str:
    result = await look(port, timeout=60, follow_redirects=True)
    assert not result.ok
    return result.detail


async def stats(port: int) -> str:
    page = StatsPage("lb1", HaproxySettings(stats_url=f"http://127.0.0.1:{port}/health", timeout=30))
    with pytest.raises(BackendError) as caught:
        await page.snapshot()
    assert type(caught.value) is UnreadableReply
    return caught.value.problem


async def key(port: int, timeout: float = 30) -> str:
    consul = Consul(ConsulSettings(address=f"http://127.0.0.1:{port}", timeout=timeout))
    try:
        with pytest.raises(BackendError) as caught:
            await consul.get("a")
    finally:
        await consul.close()
    assert len(str(caught.value)) < 2_100
    return caught.value.problem


async def instances(port: int) -> str:
    consul = Consul(ConsulSettings(address=f"http://127.0.0.1:{port}", timeout=30))
    try:
        with pytest.raises(BackendError) as caught:
            await consul.services("shop", [])
    finally:
        await consul.close()
    return caught.value.problem


ASKING: dict[str, Callable[[int], Awaitable[str]]] = {
    "health": health,
    "stats": stats,
    "key": key,
    "instances": instances,
}
asking = pytest.mark.parametrize("ask", list(ASKING.values()), ids=list(ASKING))

Part = Callable[[asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nX-Consul-Index: 1\r\n"


def serving_once(head: bytes, body: Part) -> Callable[..., Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\n")
        await body(writer)

    return handle


@functools.cache
def packed_zeros(window: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    return packer.compress(bytes(100_000_000)) + packer.flush()


def endless(piece: bytes) -> Part:
    async def write(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return write


@asking
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "gzip, gzip", "br"])
async def test_what_is_compressed_is_not_unpacked(
    ask: Callable[[int], Awaitable[str]], encoding: str
) -> None:
    bomb = packed_zeros(31 if "gzip" in encoding.lower() else 15)

    async def body(writer: asyncio.StreamWriter) -> None:
        writer.write(bomb)

    head = HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n".encode()
    async with listening(serving_once(head, body)) as port, watching_loop() as loop:
        assert f"encoded as '{encoding.lower()}', and only plain ones are read" in await ask(port)
    assert loop.longest_s < BUSY_SECONDS


@asking
@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_without_end_is_given_up(ask: Callable[[int], Awaitable[str]], status: int) -> None:
    head = HEAD.replace(b"200 OK", f"{status} Said".encode()) + b"Transfer-Encoding: chunked\r\n"
    body = endless(b"40000\r\n" + b"x" * 0x40000 + b"\r\n")
    async with listening(serving_once(head, body)) as port, watching_loop() as loop:
        problem = await ask(port)
    assert "longer than " in problem or f"HTTP {status}" in problem
    assert loop.longest_s < BUSY_SECONDS


async def test_a_body_in_pieces_of_a_byte_leaves_time_for_everything_else() -> None:
    body = endless(b"1\r\nx\r\n" * 10_000)
    async with (
        listening(serving_once(HEAD + b"Transfer-Encoding: chunked\r\n", body)) as port,
        watching_loop() as loop,
    ):
        result = await look(port, timeout=1.5)
    assert result.detail == "timed out after 1.5 s"
    assert loop.longest_s < BUSY_SECONDS


async def test_a_body_that_drips_for_ever_is_given_up() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with listening(serving_once(HEAD + b"Content-Length: 1000000\r\n", drip)) as port:
        async with asyncio.timeout(60):
            assert "no answer from " in await key(port, timeout=0.3)


@asking
async def test_headers_without_end_are_given_up(ask: Callable[[int], Awaitable[str]]) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await endless(b"X-A: " + b"y" * 60_000 + b"\r\n")(writer)

    async with listening(handle) as port, watching_loop() as loop:
        assert await ask(port)
    assert loop.longest_s < BUSY_SECONDS


async def test_a_status_line_without_end_is_cut() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 999999 " + b"z" * 90_000 + b"\r\n\r\n")

    async with listening(handle) as port:
        problems = [await stats(port), await key(port), await health(port)]
    assert max(map(len, problems)) < 2_100


async def test_the_body_of_a_redirect_is_not_read() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /health\r\nTransfer-Encoding: chunked\r\n"
    async with listening(serving_once(head, endless(b"40000\r\n" + b"x" * 0x40000 + b"\r\n"))) as port:
        assert await health(port) == "more than 5 redirects"


async def test_cookies_are_neither_kept_nor_sent() -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        cookie = f"Set-Cookie: a{len(heads)}={'x' * 1000}\r\n".encode()
        writer.write(HEAD + cookie + b"Content-Length: 2\r\nConnection: close\r\n\r\n[]")

    async with listening(handle) as port:
        consul = Consul(ConsulSettings(address=f"http://127.0.0.1:{port}"))
        for _ in range(3):
            await consul.get("a")
        await consul.close()
        await look(port, version_url="http://{address}:{port}/version")
    assert len(heads) == 5
    assert not any(b"cookie" in head.lower() for head in heads)


async def test_unreachable_is_what_a_server_is_that_never_ends_its_headers() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await endless(b"HTTP/1.1 100 Continue\r\n\r\n")(writer)

    async with listening(handle) as port, watching_loop() as loop:
        page = StatsPage("lb1", HaproxySettings(stats_url=f"http://127.0.0.1:{port}/stats", timeout=0.5))
        with pytest.raises(Unreachable, match="no complete answer"):
            await page.snapshot()
    assert loop.longest_s < BUSY_SECONDS
