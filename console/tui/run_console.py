"""The run of the console: it is opened, and says at its end what goes on without it."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from backends.local_machine import SystemClock
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.fleet import running_fleet
from console.interrupts import interrupts
from console.operator_identity import current_operator
from console.paths import journal_path
from console.sessions import listen_on, open_session
from console.terminal.output import clean, result, say
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from console.tui.app import Console
from console.tui.fleet_console import FleetConsole
from console.tui.screens.actions import ABORT, PAUSE
from console.tui.version_polling import poll_versions
from console.tui.view_state import open_view_state
from console.tui.workspace import Workspace
from console.tui.workspaces import running_workspaces
from orchestrator.beside import running_beside
from orchestrator.live.poller import Poller
from orchestrator.local.follower import JournalFollower
from orchestrator.local.launch import Launch, Launcher


def open_console(config_file: str | None, app: str | None, read_only: bool) -> int:
    """Open the console on all applications, or on one, and return the exit code."""
    config = find_and_load(config_file)
    if app is not None:
        config.app(app)  # raises before anything is shown
    return interrupts.run(run_tui(config, app or "", "--read-only was given" if read_only else ""))


async def run_tui(
    config: Config, app: str = "", read_only: str = "", environment: Mapping[str, str] | None = None
) -> int:
    """Run the console; rollouts that it starts go on without it.

    Args:
        config: the configuration.
        app: the application that is opened at once; empty for the only one, or for all of them at a glance.
        read_only: why nothing may be changed; empty when it may.
        environment: further variables of the processes that carry out rollouts.

    Returns:
        The exit code.

    Raises:
        ConfigError: a key in the configuration that does not work.
        Exception: a bug has ended the console.
    """
    launch = make_launcher(config, environment or {})
    _collect_rarely()
    if len(config.apps) > 1:
        async with running_fleet(config) as fleet, running_workspaces(fleet, launch, read_only) as workspaces:
            several = FleetConsole(workspaces, config.console, config.file, open_view_state(), app)
            return await _run(several, config, workspaces.opened)
    async with open_workspace(config, app or next(iter(config.apps)), launch, read_only) as workspace:
        console = Console(workspace, config.console, config.file, tuple(config.apps), open_view_state())
        return await _run(console, config, {workspace.name: workspace})


async def _run(console: Console, config: Config, workspaces: Mapping[str, Workspace]) -> int:
    """Run the console to its end, say what goes on without it, and return the exit code."""
    console.add_commands(config.commands, config.file)
    with _close_on_signals(console):
        answer = await console.run_async()
    if console.defect is not None:
        say(f"a bug in Rolldeck ended the console, please report it: {clean(repr(console.defect))}")
    codes = [_report_rollout(workspace, answer) for workspace in workspaces.values()]
    if console.defect is not None:
        raise console.defect
    return max(codes, default=ExitCode.HEALTHY)


def make_launcher(config: Config, environment: Mapping[str, str]) -> Launch:
    """Return what starts the processes of rollouts: this program again, with the same configuration.

    `-P` keeps modules in the working directory from being imported.
    """
    command = [sys.executable, "-P", "-m", "console", "--config", os.path.abspath(config.file)]
    if logging.getLogger("rolldeck.wire").isEnabledFor(logging.DEBUG):
        command.append("--debug")
    return Launcher([*command, "run-rollout"], {**os.environ, **environment})


@asynccontextmanager
async def open_workspace(
    config: Config, app: str, launch: Launch, read_only: str = ""
) -> AsyncIterator[Workspace]:
    """Open all that the console needs of an application, and close it at the end."""
    operator = current_operator("console")
    follower = JournalFollower(journal_path(config.journal.path), SystemClock(), operator)
    async with AsyncExitStack() as closing:
        opening = open_session(config, app, "console", follower=follower)
        session = await closing.enter_async_context(opening)
        poller = Poller(session.application.balancer_group, session.clock, interval=config.console.interval)
        workspace = Workspace(session, poller, config, launch, read_only)
        closing.callback(workspace.close)
        await follower.look()  # a rollout that runs is on the first screen
        works = {"poller": poller.run, "versions": lambda: poll_versions(session), "journal": follower.run}
        if session.links.remote is not None:
            works["remote"] = session.links.remote.run
        async with running_beside(works):
            yield workspace


def _collect_rarely() -> None:
    """Run the garbage collector rarely: a poll of 10,000 servers makes 40,000 objects without cycles.

    By default Python would search them, and all older objects, sixty times a poll: a third of the CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@contextlib.contextmanager
def _close_on_signals(console: Console) -> Iterator[None]:
    """Close the console on SIGTERM or a lost terminal; a rollout goes on in its own process."""
    loop = asyncio.get_running_loop()
    with listen_on(loop, console.close):
        yield


def _report_rollout(workspace: Workspace, answer: str | None) -> int:
    """Say what goes on without the console, or how the last rollout has ended; return the exit code."""
    active, name = workspace.active, workspace.name
    if workspace.starting:
        say(clean(f"a rollout of {name} is being started; to see it: rolldeck follow {name}"))
        return ExitCode.HEALTHY
    if active is None:
        return ExitCode.HEALTHY
    if active.running and active.is_local:
        what = {
            ABORT: f"ends after its running step; to see its end: rolldeck follow {name}",
            PAUSE: f"is paused; to let it go on: rolldeck control {name} resume",
        }
        going_on = f"continues without the console; to see it: rolldeck follow {name}"
        say(clean(f"the rollout of {name} {what.get(answer or '', going_on)}"))
        return ExitCode.HEALTHY
    if active.interrupted and active.is_local:
        say(clean(f"the rollout of {name} was interrupted; to finish it: rolldeck resume {name}"))
        return ExitCode.DEGRADED
    ended = active.state.ended
    if ended is None or not active.is_local:
        return ExitCode.HEALTHY
    for line in ending_lines(ended, active.state.verdict):
        result(line)
    return EXIT_CODES[ended.result]
