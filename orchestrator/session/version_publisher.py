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

PAUSE = 1.0  # seconds before Consul is asked again that could not be asked
LAST = 5.0  # for what is left at the end


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
    wanted: dict[str, str] = {}
    waiting: dict[str, str] = {}
    some, told = asyncio.Event(), set[str]()

    def keep(record: Record) -> None:
        match record.event:
            case NodeStarted(node=node, version=version):
                wanted[node] = version
            case NodeDone(node=node):
                waiting[node] = wanted.get(node, "")
                some.set()

    async def written() -> bool:
        """All that waits, oldest first; whether Consul has taken it."""
        while waiting and not lost():
            node, version = next(iter(waiting.items()))
            try:
                await consul.put(key(node), version.encode())
            except RolldeckError as error:
                if node not in told:
                    told.add(node)
                    bus.emit(NodeNote(node=node, text=f"its version is not written to Consul yet: {error}"))
                return False
            if waiting[node] == version:
                del waiting[node]
        return True

    async def work() -> None:
        while True:
            await some.wait()
            some.clear()
            if not await written():
                some.set()
                await asyncio.sleep(PAUSE)

    unsubscribe = bus.subscribe(keep)

    def report(text: str) -> None:
        bus.emit(NodeNote(node="", text=text))

    working = asyncio.create_task(keep_running("writing versions to Consul", work, report), name="versions")
    try:
        yield
    finally:
        unsubscribe()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while not await written():  # noqa: ASYNC110 - Consul cannot tell us
                    await asyncio.sleep(PAUSE)
