"""The clients of the monkey: a load in a process of its own, which a busy console does not hold up."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

from console.demo.load import Address, Load, Report

RATE = 15  # requests per second
_LOOK_INTERVAL_S = 0.2


class Clients:
    """Requests are sent until `stop`, which returns how they ended; `began` is in seconds since 1970."""

    def __init__(self, connection: Connection) -> None:
        self.began = time.time()
        self._connection = connection

    @property
    def have_failed(self) -> bool:
        """Whether a request has failed by now."""
        return self._connection.poll()

    async def stop(self) -> Report:
        """Wait for the requests in flight, and return the result of all of them."""
        self._connection.send("stop")
        while True:
            report = await asyncio.to_thread(self._connection.recv)
            if isinstance(report, Report):
                return report


@contextmanager
def running_clients(frontends: Sequence[Address]) -> Iterator[Clients]:
    """Send requests to these frontends while the block runs."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(there, frontends), daemon=True)
    process.start()
    try:
        yield Clients(here)
    finally:
        process.terminate()
        process.join()


def _serve(connection: Connection, frontends: Sequence[Address]) -> None:
    asyncio.run(_send(connection, frontends))


async def _send(connection: Connection, frontends: Sequence[Address]) -> None:
    async with Load(RATE, frontends) as load:
        is_reported = False
        while not connection.poll():
            if load.failed.total() and not is_reported:
                is_reported = True
                connection.send("failed")
            await asyncio.sleep(_LOOK_INTERVAL_S)
        connection.send(await load.stop())
