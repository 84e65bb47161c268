"""An event loop whose time jumps to the next timer: a sleep of an hour takes no real time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0
LONGEST = 50_000.0  # virtual seconds; whoever needs more waits for something that never comes


class _Jump(selectors.SelectSelector):
    """Where a real loop would block until the next timer, moves the time there instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        self.now += max(timeout, 0.0)
        if self.now > LONGEST:
            raise AssertionError(f"still not done after {LONGEST:g} virtual seconds")
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while tasks run, and jumps to the next timer when all of them wait."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def run_in_executor(  # type: ignore[override] # only what `asyncio.to_thread` needs
        self, executor: None, func: Callable[..., T], *args: object
    ) -> "asyncio.Future[T]":
        """Call it at once: time would jump over what a thread does meanwhile."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class VirtualClock:
    """Implements `backends.protocols.Clock` on the running virtual loop."""

    def time(self) -> float:
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a virtual loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
