"""What a real HAProxy counts for each fault of a node, and what clients saw: the two are the same."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.model import Snapshot
from console.terminal.status import unattributed
from orchestrator.balancers.traffic_count import Totals, TrafficCount
from tests.support.free_ports import free_port
from tests.support.servers.faulty_http import (
    BRIEFLY,
    faulty_server,
    is_error,
    is_error_on_kept_connection,
    use_websocket,
)
from tests.support.servers.haproxy import RunningHaproxy, haproxy_binaries, running_haproxy, series

SECTIONS = """
frontend www
    bind 127.0.0.1:{www}
    use_backend redispatched if {{ path_beg /redispatched }}
    use_backend refused if {{ path_beg /refused }}
    use_backend retried if {{ path_beg /retried }}
    use_backend pair if {{ path_beg /pair }}
    use_backend queued if {{ path_beg /queued }}
    use_backend nobody if {{ path_beg /nobody }}
    default_backend shop
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 1s
    timeout queue 200ms
backend shop
    server web1 127.0.0.1:{node}
backend redispatched
    balance roundrobin
    option redispatch 1
    retries 1
    server web1 127.0.0.1:{node}
    server gone 127.0.0.1:{gone}
backend refused
    retries 1
    server gone 127.0.0.1:{gone}
backend retried
    retry-on all-retryable-errors
    retries 2
    server web1 127.0.0.1:{node}
backend pair
    balance roundrobin
    server web1 127.0.0.1:{node}
    server web2 127.0.0.1:{node}
backend queued
    server web1 127.0.0.1:{node} maxconn 1
backend nobody
    server web1 127.0.0.1:{node} disabled
frontend tcp
    mode tcp
    bind 127.0.0.1:{tcp}
    default_backend tcp
backend tcp
    mode tcp
    server web1 127.0.0.1:{node}
"""

# Path, and in how many of three requests a client sees an error; 2.2 closes without a word after a reset.
FAULTS = {
    "/ok": 0,
    "/500": 3,
    "/503": 3,
    "/reset": 3,
    "/close": 3,
    "/garbage": 3,
    "/hang": 3,
    "/cut": 3,
    "/cut-reset": 3,
    "/cut-chunk": 3,
    "/stalled": 3,
    "/hints": 0,
    "/hints-reset": 3,
    "/redispatched/ok": 0,
    "/refused/ok": 3,
    "/retried/every-other-reset": 0,
    "/retried/reset": 3,
}
NOT_SEEN = {("3.0", "/stalled")}  # it is counted there as if the client had left


class Stack:
    """A HAProxy with a node behind it that fails as the path says."""

    def __init__(self, haproxy: RunningHaproxy, www: int, tcp: int) -> None:
        self.haproxy = haproxy
        self.www = www
        self.tcp = tcp
        self._runtime = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.socket}"))

    async def snapshot(self) -> Snapshot:
        return await self._runtime.snapshot()

    async def settled(self) -> Snapshot:
        """When nothing is in flight any more and no counter moves."""
        last = None
        async with asyncio.timeout(60):
            while True:
                snapshot = await self._runtime.snapshot()
                counters = [row.counters for row in snapshot.servers] + [
                    row.counters for row in snapshot.backends
                ]
                if counters == last and not any(row.in_flight for row in counters):
                    return snapshot
                last = counters
                await asyncio.sleep(0.05)

    async def counted(self, *requests: Awaitable[bool]) -> tuple[int, Totals]:
        """How many of these a client takes for errors, and what HAProxy says of them."""
        count = TrafficCount()
        count.add(await self.settled())
        seen = sum(await asyncio.gather(*requests))
        count.add(await self.settled())
        return seen, count.totals()

    def leave(self, path: str) -> list[Awaitable[bool]]:
        """A client that does not wait for its answer."""
        return [is_error(self.www, path, leave=True)]

    def get(self, path: str, number: int = 1) -> list[Awaitable[bool]]:
        """So many requests that begin when they are awaited."""
        return [is_error(self.www, path) for _ in range(number)]


@asynccontextmanager
async def stack(folder: Path, binary: Path) -> AsyncIterator[Stack]:
    www, node, gone, tcp = (free_port() for _ in range(4))
    sections = SECTIONS.format(www=www, node=node, gone=gone, tcp=tcp)
    async with faulty_server(node), running_haproxy(folder / "h", binary, sections) as haproxy:
        yield Stack(haproxy, www, tcp)


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_errors_are_those_that_clients_see(binary: Path, tmp_path: Path) -> None:
    expected, found, clients = {}, {}, {}
    async with stack(tmp_path, binary) as it:
        for path, errors in FAULTS.items():
            clients[path], totals = await it.counted(*it.get(path, 3), *it.get("/ok", 4))
            found[path] = (totals.errors, totals.unattributed)
            expected[path] = (0 if (series(binary), path) in NOT_SEEN else errors, 0)
    assert clients == FAULTS
    assert found == expected


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_clients_that_leave_and_errors_that_are_nobodys(binary: Path, tmp_path: Path) -> None:
    async with stack(tmp_path, binary) as it:
        seen, left = await it.counted(*it.leave("/slow"), *it.leave("/retried/slow"), *it.get("/ok"))
        assert (seen, left.errors, left.unattributed) == (0, 0, 0)
        seen, nobody = await it.counted(*it.get("/nobody/ok", 2), *it.get("/500"))
        assert (seen, nobody.errors, nobody.unattributed) == (3, 1, 2)
        seen, queued = await it.counted(*it.get("/queued/slow", 3))
        assert (seen, queued.errors, queued.unattributed) == (2, 0, 2)
        # `status` says the same of all the time since HAProxy began to count.
        assert sum(count or 0 for count in unattributed(await it.settled()).values()) == 4


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_errors_beside_responses_that_go_on_for_long(binary: Path, tmp_path: Path) -> None:
    """In flight for longer than the errors take: neither hides them, nor is taken for one."""
    async with stack(tmp_path, binary) as it:
        count = TrafficCount()
        count.add(await it.settled())
        streams = [asyncio.ensure_future(is_error(it.www, "/stream")) for _ in range(5)]
        waiting = [asyncio.ensure_future(is_error(it.www, "/hang-a-while")) for _ in range(5)]
        await asyncio.sleep(2 * BRIEFLY)
        seen = sum(await asyncio.gather(*it.get("/close", 3), *it.get("/cut", 2)))
        count.add(await it.snapshot())
        assert (seen, count.totals().errors) == (5, 5)
        assert not any(await asyncio.gather(*streams, *waiting))
        count.add(await it.settled())
        assert count.totals().errors == 5


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_resets_of_two_servers_with_and_without_a_word_to_the_client(
    binary: Path, tmp_path: Path
) -> None:
    """On a kept connection HAProxy closes without a 502, from 2.6 on, so that clients repeat the request."""
    async with stack(tmp_path, binary) as it:
        kept = [is_error_on_kept_connection(it.www, "/pair/ok", "/pair/reset") for _ in range(10)]
        cut = it.get("/pair/cut", 3)
        seen, totals = await it.counted(*kept, *it.get("/pair/reset", 10), *cut)
        assert (seen, totals.errors, totals.unattributed) == (23, 23, 0)


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_websockets_that_end_beside_resets_are_no_errors(binary: Path, tmp_path: Path) -> None:
    async with stack(tmp_path, binary) as it:
        websockets = [use_websocket(it.www, "/websocket") for _ in range(20)]
        seen, totals = await it.counted(*websockets, *it.get("/reset", 10))
        assert (seen, totals.errors, totals.unattributed) == (10, 10, 0)


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_errors_of_tcp_are_not_known(binary: Path, tmp_path: Path) -> None:
    async with stack(tmp_path, binary) as it:
        count = TrafficCount()
        count.add(await it.settled())
        assert await is_error(it.tcp, "/reset")
        count.add(await it.settled())
        assert count.totals().unknown == {"tcp"}
        assert not any(
            server.counters.http for server in (await it.snapshot()).servers if server.ref.backend == "tcp"
        )


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_counters_that_begin_again(binary: Path, tmp_path: Path) -> None:
    """After `clear counters` and after a reload; what came right before that is not known, and this is."""
    async with stack(tmp_path, binary) as it:
        count = TrafficCount()
        count.add(await it.settled())
        assert await is_error(it.www, "/close")
        count.add(await it.settled())
        await it.haproxy.ask("clear counters all")
        count.add(await it.settled())
        assert await is_error(it.www, "/500")
        count.add(await it.settled())
        await it.haproxy.reload()
        count.add(await it.settled())
        assert await is_error(it.www, "/cut")
        count.add(await it.settled())
        totals = count.totals()
        assert (totals.errors, totals.unattributed, totals.gaps) == (3, 0, 2)
