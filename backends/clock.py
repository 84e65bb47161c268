"""The real clock."""

import asyncio
import time


class SystemClock:
    """Implements `backends.protocols.Clock` on the machine's own clocks."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
