"""Commands of the operator's own that run here, each in a session of its own, and end with their children."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from typing import Any


@contextlib.asynccontextmanager
async def own_session(*argv: str, **options: Any) -> AsyncIterator[Process]:
    """Start a command that cannot take the console's terminal; at the end it is killed with its children.

    That holds for one that is no longer wanted while it starts, too: it may have children by then.

    Args:
        argv: the command.
        options: as `asyncio.create_subprocess_exec` takes them.

    Raises:
        OSError: it cannot be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*argv, start_new_session=True, **options))
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _kill(await starting)
        raise
    try:
        yield process
    finally:
        await _kill(process)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
