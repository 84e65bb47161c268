"""Waiting in tests until a condition is true, with a long deadline."""

import asyncio
import inspect
from collections.abc import Callable


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Check a function, or coroutine function, every 20 ms until it returns true. Raises TimeoutError."""
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            while not await _is_true(condition):
                await asyncio.sleep(0.02)
    except TimeoutError as late:
        if deadline.expired():
            raise TimeoutError(f"still not true after {timeout_s:g} s") from late
        raise


async def _is_true(condition: Callable[[], object]) -> bool:
    result = condition()
    return bool(await result if inspect.isawaitable(result) else result)
