"""Tasks that run beside a block of code, and end with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running_beside(
    works: Mapping[str, Callable[[], Coroutine[Any, Any, None]]],
) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """Run tasks, by name, while the block runs, and cancel all of them at its end.

    Yields:
        The tasks, in the order of their names in `works`.

    Raises:
        Exception: what has ended one of them before.
    """
    tasks = [asyncio.create_task(work(), name=name) for name, work in works.items()]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (defect := task.exception()) is not None:
            raise defect
