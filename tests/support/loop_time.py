"""The time for which the event loop was blocked, independent of the load of the machine."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

TICK_SECONDS = 0.005


@dataclass(slots=True)
class LoopTime:
    """Processor time that the loop's own thread used between two turns of it, in seconds."""

    longest_s: float = 0.0


@contextlib.asynccontextmanager
async def watching_loop() -> AsyncIterator[LoopTime]:
    """Measure while the block runs. Processor time, since a busy machine makes everything else long."""
    watched = LoopTime()

    async def tick() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.thread_time()
            watched.longest_s = max(watched.longest_s, now - before)
            before = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield watched
    finally:
        await asyncio.sleep(2 * TICK_SECONDS)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
