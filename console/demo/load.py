"""A steady HTTP load that counts every request, and is strict about which of them count as served.

It is an open loop: when a request starts does not depend on how slow the answers are, so that a stall shows
as slow or failed requests and not as fewer of them.

A request is served if it gets status 200 with a complete body. It has failed in every other case: another
status, refused, reset, closed early, no complete answer in time, or not understood. There is ONE exception,
which every HTTP client makes: a server may close a kept connection at any moment between two requests, and
its close may cross with the next request (RFC 9112, 9.3.1 and 9.5). A request is therefore sent a second
time, once and on a new connection, if the connection had served a request before, not one byte of the
response had come, and the close arrived within `IDLE_CLOSE_S` seconds of sending. Such requests are also
counted in `retried`. A close that was noticed before anything was sent is no retry and counts in `reopened`.
An upgrade should cause neither; a reload of HAProxy may.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, repeat
from types import TracebackType
from typing import Self

from console.demo.connection import Closed, Connection, Malformed, Response

IDLE_CLOSE_S = 0.1  # on loopback, a crossing close arrives within a few milliseconds
MAX_DETAILED_FAILURES = 1000  # kept with details; all failures are counted
SLOW_REQUEST_S = 2.0  # that a slow request takes

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the four kinds of request."""

    keep_alive: bool
    slow: bool

    def __str__(self) -> str:
        return ("slow, " if self.slow else "") + ("keep-alive" if self.keep_alive else "new connection")

    @property
    def path(self) -> str:
        return f"/slow?seconds={SLOW_REQUEST_S:g}" if self.slow else "/"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request."""

    at: float  # seconds from the start of the load to the start of the request
    after: float  # seconds the request had lasted
    kind: Kind
    frontend: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of all requests that were started."""

    seconds: float
    served: dict[Kind, int]
    failed: dict[Kind, int]
    failures: tuple[Failure, ...]  # the first `MAX_DETAILED_FAILURES`
    slowest: dict[Kind, float]  # seconds, of those served
    retried: int  # second attempts after an idle close; each is also served or failed
    reopened: int  # kept connections found closed before anything was sent

    @property
    def total_served(self) -> int:
        return sum(self.served.values())

    @property
    def total_failed(self) -> int:
        return sum(self.failed.values())


class Client:
    """A client that keeps one connection from request to request."""

    def __init__(self) -> None:
        self.connection: Connection | None = None


class Load:
    """Load on several frontends, spread evenly; its counters can be read while it runs."""

    def __init__(
        self,
        rate: float,
        targets: Sequence[Address],
        *,
        keep_alive_share: float = 0.5,
        slow_share: float = 0.02,
        timeout: float = 10.0,
        clients: int = 8,
        gaps: Iterator[float] | None = None,
        retry: bool = True,
    ) -> None:
        """Prepare the load; nothing is sent before `start`.

        Args:
            rate: requests per second, over all targets.
            targets: host and port of each frontend.
            keep_alive_share: part of the requests, 0 to 1, of clients that keep a connection.
            slow_share: part of the requests, 0 to 1, that take `SLOW_REQUEST_S` seconds.
            timeout: seconds until a request counts as failed.
            clients: that keep a connection, for each target; more are added when all are busy.
            gaps: times between the starts of requests, as multiples of their mean; by default all are 1.
            retry: whether requests that cross with the close of a kept connection are sent again.
        """
        self.served: Counter[Kind] = Counter()
        self.failed: Counter[Kind] = Counter()
        self.failures: list[Failure] = []
        self.slowest: dict[Kind, float] = {}
        self.started = 0
        self.retried = 0
        self.reopened = 0
        self._rate = rate
        self._timeout = timeout
        self._gaps = repeat(1.0) if gaps is None else gaps
        self._retry = retry
        self._schedule = schedule(targets, keep_alive_share, slow_share)
        self._idle = {target: deque(Client() for _ in range(clients)) for target in targets}
        self._stopping = False
        self._begin = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        return self.started - self.served.total() - self.failed.total()

    def start(self) -> None:
        """Start to send, in a task of the running loop."""
        self._begin = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._drive(), name="load")

    async def stop(self) -> Report:
        """Stop sending, wait for requests in flight (up to their time-out), and return the report."""
        self._stopping = True
        if self._task is not None:
            await self._task
        self._close()
        seconds = asyncio.get_running_loop().time() - self._begin
        return Report(
            seconds,
            dict(self.served),
            dict(self.failed),
            tuple(self.failures),
            dict(self.slowest),
            self.retried,
            self.reopened,
        )

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel what is still running; only `stop` before that gives a complete report."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        self._close()

    async def _drive(self) -> None:
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as requests:
            moment = self._begin
            for gap in self._gaps:
                await asyncio.sleep(max(0.0, moment - clock()))
                if self._stopping:
                    return
                moment += gap / self._rate
                self.started += 1
                requests.create_task(self._request(*next(self._schedule)))

    async def _request(self, kind: Kind, target: Address) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._timeout):
                response = await (
                    self._send_on_kept_connection(kind, target)
                    if kind.keep_alive
                    else _send_on_new_connection(kind, target)
                )
            problem = "" if response.status == 200 else f"{response.status} {response.reason}"
        except TimeoutError:
            problem = f"no complete answer within {self._timeout:g} s"
        except (OSError, Closed, Malformed) as error:
            problem = str(error) or type(error).__name__
        seconds = clock() - began
        if not problem:
            self.served[kind] += 1
            self.slowest[kind] = max(seconds, self.slowest.get(kind, 0.0))
            return
        self.failed[kind] += 1
        if len(self.failures) < MAX_DETAILED_FAILURES:
            frontend = f"{target[0]}:{target[1]}"
            self.failures.append(Failure(began - self._begin, seconds, kind, frontend, problem))

    async def _send_on_kept_connection(self, kind: Kind, target: Address) -> Response:
        """Send a request as the client whose connection has been idle the longest."""
        idle = self._idle[target]
        client = idle.popleft() if idle else Client()
        try:
            if client.connection is not None and client.connection.usable:
                sent = asyncio.get_running_loop().time()
                try:
                    return await client.connection.get(kind.path)
                except Closed as closed:
                    waited = asyncio.get_running_loop().time() - sent
                    if closed.received or waited > IDLE_CLOSE_S or not self._retry:
                        raise
                    self.retried += 1
            elif client.connection is not None:
                self.reopened += 1
            client.connection = await Connection.open(*target)
            return await client.connection.get(kind.path)
        finally:
            if client.connection is not None and not client.connection.usable:
                client.connection = None  # it failed or was closed now, and not while it was idle
            idle.append(client)

    def _close(self) -> None:
        for client in (client for clients in self._idle.values() for client in clients):
            if client.connection is not None:
                client.connection.close()


async def _send_on_new_connection(kind: Kind, target: Address) -> Response:
    connection = await Connection.open(*target)
    return await connection.get(kind.path, keep_alive=False)


def schedule(
    targets: Sequence[Address], keep_alive_share: float, slow_share: float
) -> Iterator[tuple[Kind, Address]]:
    """Yield the four kinds of request in exactly their shares, evenly mixed, and the targets in turn."""
    shares = {
        Kind(keep_alive, slow): (keep_alive_share if keep_alive else 1 - keep_alive_share)
        * (slow_share if slow else 1 - slow_share)
        for keep_alive in (True, False)
        for slow in (True, False)
    }
    turns = {kind: cycle(targets) for kind in shares}
    credit = dict.fromkeys(shares, 0.0)
    while True:
        for kind, share in shares.items():
            credit[kind] += share
        kind = max(credit, key=credit.__getitem__)
        credit[kind] -= 1
        yield kind, next(turns[kind])
