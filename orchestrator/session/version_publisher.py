"""Which version each node has, written to Consul as soon as a node has it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from backends.consul.client import Consul
from backends.errors import RolldeckError
from orchestrator.background import keep_running
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeDone, NodeNote, NodeStarted, Record

RETRY_INTERVAL_S = 1.0  # seconds before Consul is asked again that could not be asked
FINAL_PUBLISH_TIMEOUT_S = 5.0  # for what is left at the end


@asynccontextmanager
async def versions_told(
    consul: Consul, key: Callable[[str], str], bus: EventBus, lost: Callable[[], str]
) -> AsyncIterator[None]:
    """Within it, each node that is done is written. What Consul does not take stops nothing, and is told.

    Args:
        consul: is written to.
        key: of a node; its value is the version.
        bus: carries which node is done.
        lost: why somebody else may work on the nodes by now; then nothing is written any more.
    """
    publisher = _VersionPublisher(consul, key, bus, lost)
    unsubscribe = bus.subscribe(publisher.keep)

    def report(text: str) -> None:
        bus.emit(NodeNote(node="", text=text))

    working = asyncio.create_task(
        keep_running("writing versions to Consul", publisher.run, report), name="versions"
    )
    try:
        yield
    finally:
        unsubscribe()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINAL_PUBLISH_TIMEOUT_S):
                while not await publisher.write():  # noqa: ASYNC110 - Consul cannot tell us
                    await asyncio.sleep(RETRY_INTERVAL_S)


class _VersionPublisher:
    """See `versions_told`."""

    def __init__(
        self, consul: Consul, key: Callable[[str], str], bus: EventBus, lost: Callable[[], str]
    ) -> None:
        self._consul = consul
        self._key = key
        self._bus = bus
        self._lost = lost
        self._wanted: dict[str, str] = {}  # the version that each node is to have
        self._waiting: dict[str, str] = {}  # what is not written yet, oldest first
        self._some_wait = asyncio.Event()
        self._told = set[str]()  # the nodes of which somebody knows that they wait

    def keep(self, record: Record) -> None:
        """Take note of a node that is done."""
        match record.event:
            case NodeStarted(node=node, version=version):
                self._wanted[node] = version
            case NodeDone(node=node):
                self._waiting[node] = self._wanted.get(node, "")
                self._some_wait.set()

    async def write(self) -> bool:
        """Write all that waits, oldest first; whether Consul has taken it."""
        while self._waiting and not self._lost():
            node, version = next(iter(self._waiting.items()))
            try:
                await self._consul.put(self._key(node), version.encode())
            except RolldeckError as error:
                if node not in self._told:
                    self._told.add(node)
                    text = f"its version is not written to Consul yet: {error}"
                    self._bus.emit(NodeNote(node=node, text=text))
                return False
            if self._waiting[node] == version:
                del self._waiting[node]
        return True

    async def run(self) -> None:
        """Write whatever begins to wait, until cancelled."""
        while True:
            await self._some_wait.wait()
            self._some_wait.clear()
            if not await self.write():
                self._some_wait.set()
                await asyncio.sleep(RETRY_INTERVAL_S)
