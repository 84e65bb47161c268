"""The load's accounting, against small servers that misbehave in one exact way each."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice

import pytest

from console.demo.connection import Malformed, Response, parse
from console.demo.load import IDLE_CLOSE_S, Address, Kind, Load, Report, schedule
from tests.support.servers.tcp_listener import listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEPT = Kind(keep_alive=True, slow=False)
NEW = Kind(keep_alive=False, slow=False)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behavior = Callable[[int, Stream], Awaitable[None]]
"""What to do with one connection, given its number from 0."""


@asynccontextmanager
async def server(behavior: Behavior) -> AsyncIterator[Address]:
    connections = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        number, connections = connections, connections + 1
        await behavior(number, (reader, writer))

    async with listening(accept) as port:
        yield "127.0.0.1", port


async def request(stream: Stream) -> bool:
    """Read one request; False when the client has closed instead."""
    try:
        return bool(await stream[0].readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


def answering(*replies: bytes) -> Behavior:
    """Each connection answers its requests with these, the last one for ever; an empty one closes."""

    async def behave(_: int, stream: Stream) -> None:
        remaining = list(replies)
        while await request(stream):
            reply = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            if not reply:
                return
            stream[1].write(reply)

    return behave


async def report(load: Load, requests: int) -> Report:
    """Run until so many requests were started."""
    async with load:
        while load.started < requests:
            await asyncio.sleep(0.001)
        return await load.stop()


def kept(target: Address, *, rate: float = 500, timeout: float = 10.0) -> Load:
    """One client that keeps its connection (more join only when it is busy)."""
    return Load(rate, [target], keep_alive_share=1, slow_share=0, timeout=timeout, clients=1)


def fresh(target: Address, *, timeout: float = 10.0) -> Load:
    return Load(500, [target], keep_alive_share=0, slow_share=0, timeout=timeout)


async def test_served_on_kept_and_on_new_connections() -> None:
    opened = 0

    async def behave(number: int, stream: Stream) -> None:
        nonlocal opened
        opened = number + 1
        await answering(OK)(number, stream)

    async with server(behave) as target:
        load = Load(500, [target], keep_alive_share=0.5, slow_share=0, clients=3)
        result = await report(load, 40)
    assert result.total_failed == 0
    assert result.served[KEPT] + result.served[NEW] == load.started
    assert result.served[NEW] + 3 <= opened < load.started  # the kept ones were used again
    assert (result.retried, result.reopened) == (0, 0)
    assert load.in_flight == 0
    assert set(result.slowest) == {KEPT, NEW}


async def test_another_status_is_a_failure_with_its_words() -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with server(answering(answer)) as target:
        result = await report(fresh(target), 5)
    assert result.total_served == 0
    assert result.failed == {NEW: len(result.failures)}
    failure = result.failures[0]
    assert failure.problem == "503 Service Unavailable"
    assert failure.kind == NEW
    assert failure.frontend == f"{target[0]}:{target[1]}"
    assert failure.at >= 0


@pytest.mark.parametrize("keep", [True, False])
async def test_a_close_in_the_middle_of_the_response_is_a_failure(keep: bool) -> None:
    async def behave(_: int, stream: Stream) -> None:
        if await request(stream):
            stream[1].write(OK[:-1])

    async with server(behave) as target:
        result = await report(kept(target) if keep else fresh(target), 5)
    assert (result.total_served, result.retried) == (0, 0)
    assert {failure.problem for failure in result.failures} == {
        f"connection closed after {len(OK) - 1} bytes of the response"
    }


async def test_a_close_in_the_middle_is_a_failure_on_a_used_connection_too() -> None:
    async def behave(number: int, stream: Stream) -> None:
        await request(stream)
        stream[1].write(OK)
        if await request(stream):
            stream[1].write(OK[:-1])

    async with server(behave) as target:
        result = await report(kept(target, rate=50), 2)
    assert result.failed == {KEPT: 1}
    assert result.retried == 0


@pytest.mark.parametrize("keep", [True, False])
async def test_a_close_before_the_first_response_is_never_retried(keep: bool) -> None:
    async with server(answering(b"")) as target:
        result = await report(kept(target) if keep else fresh(target), 5)
    assert result.total_failed == len(result.failures) >= 5
    assert (result.total_served, result.retried) == (0, 0)
    assert result.failures[0].problem == "connection closed before any response"


@pytest.fixture
def _close_at_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a crossing close takes longer to arrive."""
    monkeypatch.setattr("console.demo.load.IDLE_CLOSE_S", 60.0)


@pytest.mark.usefixtures("_close_at_leisure")
async def test_a_close_that_crosses_with_the_next_request_is_retried_once() -> None:
    async with server(answering(OK, b"")) as target:  # the second request on each connection is dropped
        result = await report(kept(target, rate=100), 10)
    assert result.total_failed == 0
    assert result.total_served >= 10
    assert result.retried > 0


@pytest.mark.usefixtures("_close_at_leisure")
async def test_when_the_second_attempt_fails_too_it_is_one_failure() -> None:
    async def behave(number: int, stream: Stream) -> None:
        if number == 0:
            await answering(OK, b"")(number, stream)

    async with server(behave) as target:
        result = await report(kept(target, rate=50), 2)
    assert (result.total_served, result.total_failed, result.retried) == (1, 1, 1)


async def test_a_close_long_after_sending_was_no_idle_close() -> None:
    closed = asyncio.Event()

    async def behave(_: int, stream: Stream) -> None:
        if await request(stream):
            stream[1].write(OK)
        if await request(stream):
            await asyncio.sleep(IDLE_CLOSE_S * 2)
            closed.set()

    async with server(behave) as target, kept(target, rate=50) as load:
        await closed.wait()  # a busy machine sends several at first, each on a connection of its own
        result = await load.stop()
    assert result.total_failed > 0
    assert result.retried == 0


async def test_a_close_noticed_before_sending_is_no_retry() -> None:
    async def behave(_: int, stream: Stream) -> None:
        if await request(stream):
            stream[1].write(OK)

    async with server(behave) as target:
        result = await report(kept(target, rate=20), 4)
    assert result.total_failed == 0
    assert result.retried == 0
    assert result.reopened == result.total_served - 1


async def test_an_announced_close_is_neither() -> None:
    answer = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with server(answering(answer)) as target:
        result = await report(kept(target, rate=50), 4)
    assert (result.total_failed, result.retried, result.reopened) == (0, 0, 0)


async def test_refused_is_a_failure() -> None:
    async with server(answering(OK)) as target:
        pass
    result = await report(fresh(target), 3)
    assert result.total_served == 0
    assert "[Errno 111]" in result.failures[0].problem


async def test_silence_is_a_failure_and_does_not_slow_the_load_down() -> None:
    async def behave(_: int, stream: Stream) -> None:
        await stream[0].read()  # until the client gives up

    async with server(behave) as target:
        load = kept(target, timeout=1)
        async with load:
            while load.started < 20:
                await asyncio.sleep(0.001)
            # An open loop: not one of them waited for another. On a busy machine there may be 21 by now.
            assert load.in_flight == load.started
            result = await load.stop()
    assert result.total_served == 0
    assert result.failures[0].problem == "no complete answer within 1 s"


async def test_leaving_without_stop_cuts_what_is_running() -> None:
    ended = asyncio.Event()

    async def behave(_: int, stream: Stream) -> None:
        await stream[0].read()
        ended.set()

    async with server(behave) as target:
        async with fresh(target) as load:
            while load.started < 1:
                await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            await ended.wait()


def test_the_mix_has_exactly_the_shares_and_every_kind_visits_every_target() -> None:
    targets = [("127.0.0.1", 1), ("127.0.0.1", 2)]
    mix = Counter(islice(schedule(targets, 0.5, 0.02), 2000))
    kinds = Counter[Kind]()
    for (kind, _), number in mix.items():
        kinds[kind] += number
    assert kinds == {
        Kind(True, False): 980,
        Kind(False, False): 980,
        Kind(True, True): 20,
        Kind(False, True): 20,
    }
    assert all(mix[kind, target] == kinds[kind] / 2 for kind in kinds for target in targets)


def test_a_response_is_complete_when_its_length_is_reached() -> None:
    assert [parse(OK[:end]) for end in range(len(OK))] == [None] * len(OK)
    assert parse(OK) == Response(200, "OK", b"ok", close=False)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 x y\r\nContent-Length: 0\r\n\r\n",
        OK + b"more",
    ],
)
def test_what_is_not_understood_is_not_a_response(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)
