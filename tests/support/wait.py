"""Waiting for the real world in tests: until it is true, or far too long."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(is_true: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Look again and again; fails when it is still not true after so many seconds."""
    deadline = time.monotonic() + seconds
    while not await is_true():
        assert time.monotonic() < deadline, f"still not true after {seconds:g} s"
        await asyncio.sleep(0.05)
