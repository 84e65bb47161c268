"""A rollout of another process on this machine, followed on the terminal."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from backends.local_files import describe_write_obstacle
from backends.local_machine import SystemClock
from console.exit_codes import ExitCode
from console.operator_identity import current_operator
from console.terminal.output import clean, result, result_json, say
from console.terminal.progress import Progress
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from orchestrator.events.events import Record
from orchestrator.events.json import event_fields
from orchestrator.journal.entry_status import rollout_status
from orchestrator.journal.store import Journal
from orchestrator.local.follower import JournalFollower
from orchestrator.local.rollout import LocalRollout

INTERVAL_S = 0.05  # between two looks whether it is over


@asynccontextmanager
async def open_local(journal: Path, app: str) -> AsyncIterator[tuple[JournalFollower, LocalRollout]]:
    """Read what runs on this machine; what is yielded goes on reading when `run` is called."""
    follower = JournalFollower(journal, SystemClock(), current_operator("terminal"))
    rollout = follower.rollout(app)
    try:
        await follower.look()
        yield follower, rollout
    finally:
        follower.close()


async def follow_local(follower: JournalFollower, rollout: LocalRollout, as_json: bool) -> int:
    """Print the events of a running rollout until its end, and return its exit code."""
    state, progress = rollout.state, Progress(rollout.state)

    def show(record: Record) -> None:
        nonlocal state, progress
        if rollout.state is not state:  # of a rollback that follows
            state, progress = rollout.state, Progress(rollout.state)
        if as_json:
            result_json(event_fields(record))
        else:
            progress(record)

    entry = rollout.entry
    if entry is not None:
        say(f"{entry.kind} of {rollout.application} to {clean(entry.version)}, by {clean(rollout.who)}")
    for record in tuple(rollout.records):
        show(record)
    unsubscribe = rollout.subscribe(show)
    following = asyncio.create_task(follower.run(), name="following the journal")
    try:
        while rollout.running and not following.done():  # noqa: ASYNC110 - the follower wakes nobody
            await asyncio.sleep(INTERVAL_S)
    finally:
        unsubscribe()
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    return _report_end(rollout, as_json)


def _report_end(rollout: LocalRollout, as_json: bool) -> int:
    ended = rollout.state.ended
    if ended is None:
        app = rollout.application
        say(f"the rollout was interrupted: {clean(rollout.words)}")
        say(f"to finish it: rolldeck resume {app}; to undo it: rolldeck rollback {app}")
        return ExitCode.DEGRADED
    if not as_json:
        for line in ending_lines(ended, rollout.state.verdict):
            result(line)
    return EXIT_CODES[ended.result]


def report_unfinished(path: Path, app: str) -> int:
    """Say that no rollout runs, and what is to be done about the last one; returns the exit code."""
    with Journal(path, read_only=True) as journal:
        last = rollout_status(journal, app)
    say(f"no rollout of {app} is running")
    if last is None or last.standing == "running":
        return ExitCode.REFUSED
    say(f"rollout {last.entry} to {clean(last.version)} by {clean(last.operator)}: {clean(last.why)}")
    if blocked := describe_write_obstacle(path):
        say(clean(blocked))
    for way in last.ways_on:
        say(f"  {clean(way.command)}")
    return ExitCode.DEGRADED
