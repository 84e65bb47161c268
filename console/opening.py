"""`rolldeck` without a command: the console."""

import asyncio
import contextlib

from console.app import Console
from console.config import find, load
from console.exits import Exit
from console.output.ending import EXITS, ending
from console.output.progress import Progress
from console.output.text import result, say
from console.screens.acting import ABORT, KEEP, PAUSE
from console.session import Session, open_session, operator
from console.signals import stop_on_signals
from orchestrator.watch import Watch


def open_console(config_file: str | None, app: str | None, read_only: bool) -> int:
    """Open the console on one application; returns the exit code."""
    config = load(find(config_file))
    name = app or next(iter(config.apps))

    async def go() -> int:
        async with open_session(config, name) as session:
            return await show(session, "asked for with --read-only" if read_only else "")

    return asyncio.run(go())


async def show(session: Session, read_only: str = "") -> int:
    """Run the console over a session, and see a rollout to its end that outlives it."""
    watch = Watch(session.application.fleet, session.clock)
    polling = asyncio.create_task(watch.run(), name="watch")
    versions = asyncio.create_task(session.look_at_versions(), name="versions")
    try:
        answer = await Console(session, watch, read_only).run_async()
    finally:
        for task in (polling, versions):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return await _after(session, answer)


async def _after(session: Session, answer: str | None) -> int:
    if not session.rolling:
        return Exit.HEALTHY
    if answer == ABORT:
        session.control.abort(operator(), "the console was closed")
    elif answer == PAUSE:
        session.control.pause(operator(), "the console was closed")
        say("paused: Ctrl-C ends the rollout after its running step")
    elif answer == KEEP:
        say("the rollout goes on without the console; Ctrl-C ends it after the running step")
    session.bus.subscribe(Progress(session.state))
    async with stop_on_signals(session):
        ended = await session.finished()
    if ended is None:
        return Exit.HEALTHY
    for line in ending(ended):
        result(line)
    return EXITS[ended.result]
