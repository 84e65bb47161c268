"""The run of the console: it is opened, and a rollout that outlives it is finished."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Iterator

from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.operator_identity import current_operator
from console.sessions import listen_on, open_session, stop_on_signals
from console.terminal.output import clean, on_terminal, result, say
from console.terminal.progress import Progress, Prompts
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from console.tui.app import Console
from console.tui.screens.actions import ABORT, PAUSE, SWITCH
from console.tui.view_state import open_view_state
from orchestrator.live.poller import Poller
from orchestrator.session.session import Session

VERSION_POLL_INTERVAL_S = 15.0  # between two polls of the running versions
VERSION_BATCH_NODES = 8  # a node costs 5 ms
VERSION_BATCH_INTERVAL_S = 2.0  # between two batches


def open_console(config_file: str | None, app: str | None, read_only: bool) -> int:
    """Open the console on an application, and return the exit code."""
    config = find_and_load(config_file)

    async def go(name: str) -> int | str:
        async with open_session(config, name, "console") as session:
            return await run_tui(session, config, "--read-only was given" if read_only else "")

    following: int | str = app or next(iter(config.apps))
    while isinstance(following, str):
        following = interrupts.run(go(following))
    return following


async def run_tui(session: Session, config: Config, read_only: str = "") -> int | str:
    """Run the console over a session, and wait for a rollout that outlives the console.

    Returns:
        The exit code, or the name of the application to open next.

    Raises:
        ConfigError: a key in the configuration that does not work.
        Exception: a bug has ended the console; a rollout has continued to its end.
    """
    poller = Poller(session.application.balancer_group, session.clock, interval=config.console.interval)
    file, names, remembered = config.file, tuple(config.apps), open_view_state()
    console = Console(session, poller, read_only, config.console, file, names, remembered)
    polling = asyncio.create_task(poller.run(), name="poller")
    versions = asyncio.create_task(_poll_versions(session), name="versions")
    _collect_rarely()
    try:
        with _close_on_signals(console):
            answer = await console.run_async()
    finally:
        for task in (polling, versions):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if answer is not None and answer.startswith(SWITCH):
        return answer.removeprefix(SWITCH)
    if console.defect is not None and session.is_rolling:
        say(f"a bug in Rolldeck ended the console, please report it: {clean(repr(console.defect))}")
    code = await _finish_rollout(session, answer)
    if console.defect is not None:
        raise console.defect
    return code


def _collect_rarely() -> None:
    """Run the garbage collector rarely: a poll of 10,000 servers makes 40,000 objects without cycles.

    By default Python would search them, and all older objects, sixty times a poll: a third of the CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


async def _poll_versions(session: Session) -> None:
    """Poll running versions in small batches, so that thousands of nodes do not block the console."""
    while True:
        nodes = session.application.nodes
        for first in range(0, len(nodes), VERSION_BATCH_NODES):
            await session.versions.read(nodes[first : first + VERSION_BATCH_NODES])
            if first + VERSION_BATCH_NODES < len(nodes):
                await session.clock.sleep(VERSION_BATCH_INTERVAL_S)
        await session.clock.sleep(VERSION_POLL_INTERVAL_S)


@contextlib.contextmanager
def _close_on_signals(console: Console) -> Iterator[None]:
    """Close the console on SIGTERM or a lost terminal; a rollout ends after its running step."""
    loop = asyncio.get_running_loop()
    with listen_on(loop, console.close):
        yield


async def _finish_rollout(session: Session, answer: str | None) -> int:
    """Wait for a running rollout, and report what is out of rotation."""
    if session.is_rolling:
        if answer == ABORT:
            session.control.abort(current_operator("console"), "the console was closed")
        elif answer == PAUSE:
            session.control.pause(current_operator("console"), "the console was closed")
            say("paused; Ctrl-C ends the rollout after its running step")
        elif not session.control.aborting:
            say("the rollout continues without the console; Ctrl-C ends it after the running step")
        session.bus.subscribe(Progress(session.state))
        await _wait_for_end(session)
    ended = session.state.ended
    if ended is None:
        return ExitCode.HEALTHY
    for line in ending_lines(ended, session.state.verdict):
        result(line)
    return EXIT_CODES[ended.result]


async def _wait_for_end(session: Session) -> None:
    """Ask questions on the terminal once the console is closed; abort where there is no terminal."""
    prompts = Prompts(session.control)
    session.control.interactive = on_terminal(sys.stdin)
    if session.control.interactive:
        session.bus.subscribe(prompts)
        prompts.show()
    elif session.control.questions:
        session.control.abort(current_operator("terminal"), "no operator is there to answer")
    try:
        async with stop_on_signals(session):
            await session.finished()
    finally:
        prompts.close()
