"""The loop that reads one load balancer again and again."""

import asyncio
from collections.abc import Awaitable, Callable

from backends.errors import BackendError
from backends.model import Snapshot
from backends.protocols import Clock

STALE_AFTER_POLLS = 2  # polls that data may be old before they are stale
_MIN_PAUSE_RATIO = (
    0.1  # of an interval, between two polls of a load balancer that needs longer than that to answer
)


class BalancerReader:
    """Reads one load balancer while `run` runs; it passes on what it reads, and never raises.

    Args:
        name: of the load balancer.
        read: reads it once.
        take: is called with each snapshot.
        fail: is called with the reason when a read has failed, and when the last data are too old because a
            read hangs.
        clock: the time.
        interval: seconds between the beginnings of two reads.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Awaitable[Snapshot]],
        take: Callable[[Snapshot], None],
        fail: Callable[[str], None],
        clock: Clock,
        interval: float,
    ) -> None:
        self._name = name
        self._read = read
        self._take = take
        self._fail = fail
        self._clock = clock
        self._interval = interval
        self._read_at: float | None = None  # monotonic seconds
        self._failing = False

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            begun = self._clock.monotonic()
            try:
                self._succeed(await self._read_in_time(begun))
            except BackendError as error:
                self._give_up(error.problem)
            except Exception as error:  # the others must go on, whatever it is
                self._give_up(f"{type(error).__name__}: {error}")
            took = self._clock.monotonic() - begun
            await self._clock.sleep(max(self._interval - took, self._interval * _MIN_PAUSE_RATIO))

    async def _read_in_time(self, begun: float) -> Snapshot:
        """Read the load balancer; while that hangs, its last data become stale once they are too old."""
        watchdog = asyncio.create_task(self._mark_stale(begun), name=f"staleness of {self._name}")
        try:
            return await self._read()
        finally:
            watchdog.cancel()
            await asyncio.wait([watchdog])

    async def _mark_stale(self, begun: float) -> None:
        since = begun if self._read_at is None else self._read_at
        limit = since + STALE_AFTER_POLLS * self._interval
        await self._clock.sleep(max(0.0, limit - self._clock.monotonic()))
        # What failed before is a better reason than that no answer comes now.
        if not self._failing:
            self._give_up("no answer")

    def _succeed(self, snapshot: Snapshot) -> None:
        self._read_at, self._failing = self._clock.monotonic(), False
        self._take(snapshot)

    def _give_up(self, why: str) -> None:
        self._failing = True
        self._fail(why)
