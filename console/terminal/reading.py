"""Commands that go on for long, and end early once nobody reads any more what they print (`| head`)."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from console.terminal.output import reader_gone

READER_CHECK_S = 0.2  # how often it is seen whether the output is still read

T = TypeVar("T")


async def run_while_read(
    work: Coroutine[Any, Any, T], is_unread: Callable[[], bool] = reader_gone
) -> T | None:
    """Return the result of work that prints something; None if it was cancelled, as nobody reads that.

    Args:
        work: must not change anything.
        is_unread: returns whether nobody reads it any more.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done() and not is_unread():
            await asyncio.wait({task}, timeout=READER_CHECK_S)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
