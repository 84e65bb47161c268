"""The console on a terminal that does not read, or is closed: running work continues, in time."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.demo import watchdog
from console.demo.node import Release
from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    OLD,
    ROLLDECK,
    admin_states,
    journalled,
    rolldeck,
    tune,
    until_ended,
    versions,
    world,
)
from tests.support.terminal_screen import CURSOR, WRAP
from tests.support.terminals import Terminal
from tests.support.wait import until

COLUMNS, LINES = 120, 40


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2) as made:
        tune(made, "apps.shop.rollout", bake_time=0.5)
        yield made


@contextmanager
def console(stack: Stack, *, controlling: bool = True) -> Iterator[Terminal]:
    """`rolldeck` on a terminal of its own."""
    command = [ROLLDECK, "--config", str(stack.config_path)]
    mark = {watchdog.MARK: str(stack.directory)}  # a rollout that a failed test leaves behind ends with it
    with Terminal(command, COLUMNS, LINES, controlling=controlling, environment=mark) as terminal:
        yield terminal


async def start(terminal: Terminal) -> None:
    """From the main view to a rollout that has done its first node."""
    await terminal.shows("web1", "web2", OLD)
    terminal.type(b"u")
    await terminal.shows("Upgrade shop")
    terminal.type(NEW.encode() + b"\r")
    await terminal.shows(f"shop → {NEW}", "Start")
    terminal.type(b"\x1b[C\r")
    await terminal.shows("1/2 nodes")


def slow_down_the_second(stack: Stack) -> None:
    """Its rollout goes on while `fill` and a few keys take three seconds."""
    tune(stack, "apps.shop.rollout", start_timeout=60)
    stack.nodes["web2"].add_release(Release(version=NEW, start_delay=8.0))


async def upgraded(stack: Stack) -> bool:
    """By HAProxy and the nodes themselves: all is new, and in rotation."""
    admins = await admin_states(stack)
    return await versions(stack) == dict.fromkeys(stack.nodes, NEW) and admins == {0}


async def fill(terminal: Terminal) -> None:
    """Not read from now on; until all has come to rest that somebody waits for who writes there."""
    terminal.hold()
    for _ in range(5):
        terminal.resize(COLUMNS - 1, LINES)  # each makes it paint everything
        await asyncio.sleep(0.2)
        terminal.resize(COLUMNS, LINES)
        await asyncio.sleep(0.2)


def restored(terminal: Terminal) -> bool:
    """Only those modes are on that a shell has, and no sequence was broken."""
    return terminal.modes == {CURSOR, WRAP} and not terminal.unknown


def calls(terminal: Terminal) -> list[str]:
    """Bells, notifications and titles so far, but not the shapes of the pointer."""
    return [call for call in terminal.calls if call.startswith(("\a", "]2;", "]9;", "["))]


@pytest.mark.parametrize("how", [pytest.param("hold", marks=pytest.mark.long), "stop"])
async def test_a_terminal_that_does_not_read_stops_no_rollout(stack: Stack, how: str) -> None:
    with console(stack) as terminal:
        await start(terminal)
        getattr(terminal, how)()
        before = terminal.written
        await until(lambda: upgraded(stack), 60)
        assert (await until_ended(stack))["result"] == "healthy"
        terminal.read_on()
        terminal.go_on()
        await terminal.shows("healthy", "▸Close◂", "? help")
        assert terminal.written - before < 200_000  # and not all that was to be seen meanwhile
        shown = terminal.screen
        terminal.resize(COLUMNS - 1, LINES)
        terminal.resize(COLUMNS, LINES)
        await until(lambda: terminal.screen == shown, 30)  # it paints once for each size
        assert not terminal.unknown
        # The console looks every half a second whether to call, and no longer calls who has left before that.
        ended = ["\a", f"]9;shop: upgrade to {NEW} ended healthy", "]2;Rolldeck"]
        await until(lambda: calls(terminal)[-3:] == ended, 30)
        terminal.type(b"\r")
        await terminal.shows("q quit", "u upgrade")
        terminal.type(b"q")
        assert await terminal.ends() == 0
        assert restored(terminal)
        assert calls(terminal)[:2] == ["[22;2t", "]2;Rolldeck"]
        assert calls(terminal)[-4:] == [*ended, "[23;2t"]  # the terminal has its own title again


@pytest.mark.parametrize("how", ["hold", pytest.param("stop", marks=pytest.mark.long)])
async def test_left_while_the_terminal_does_not_read(stack: Stack, how: str) -> None:
    """It ends, and what puts the terminal back as it was is there when it reads again."""
    with console(stack) as terminal:
        await terminal.shows("web1", "web2", OLD)
        await fill(terminal)
        if how == "stop":
            terminal.read_on()
            terminal.stop()
            await fill(terminal)
            terminal.read_on()
        terminal.type(b"q")
        assert await terminal.ends() == 0
        terminal.read_on()
        await terminal.rests()
        assert restored(terminal), (terminal.modes, terminal.unknown)


async def test_a_rollout_that_the_console_leaves_behind_on_a_terminal_that_does_not_read(
    stack: Stack,
) -> None:
    slow_down_the_second(stack)
    with console(stack) as terminal:
        await start(terminal)
        terminal.type(b"q")
        await terminal.shows("A rollout is running: quit?")
        await fill(terminal)
        terminal.type(b"\x1b[B\r")  # "keep": it goes on without the console
        await until_ended(stack)
        assert await upgraded(stack)
        # Its lock is free, although nobody has read how it ended.
        assert (await rolldeck(stack, "weight", "shop", "web1", "--to", "1", "--yes")).code == 0
        terminal.read_on()
        assert await terminal.ends() == 0
        await terminal.shows("the rollout of shop continues without the console")
        assert restored(terminal), (terminal.modes, terminal.unknown)


@pytest.mark.parametrize(
    ("controlling", "reads"),
    [
        (True, False),
        (False, True),
        pytest.param(True, True, marks=pytest.mark.long),
        pytest.param(False, False, marks=pytest.mark.long),
    ],
)
async def test_a_terminal_that_has_gone_ends_the_console(
    stack: Stack, controlling: bool, reads: bool
) -> None:
    with console(stack, controlling=controlling) as terminal:
        await terminal.shows("web1", "web2", OLD)
        if not reads:
            await fill(terminal)
        terminal.hang_up()
        assert await terminal.ends() == 0


@pytest.mark.parametrize("reads", [pytest.param(True, marks=pytest.mark.long), False])
async def test_a_terminal_that_has_gone_ends_no_rollout(stack: Stack, reads: bool) -> None:
    """In a shell: bash tells the console too that the terminal has gone."""
    slow_down_the_second(stack)
    mark = {watchdog.MARK: str(stack.directory)}
    command = ["bash", "--norc", "-i"]
    with Terminal(command, COLUMNS, LINES, controlling=True, environment=mark) as terminal:
        terminal.type(f"{ROLLDECK} --config {stack.config_path}\r".encode())
        await start(terminal)
        if not reads:
            await fill(terminal)
        terminal.hang_up()
        assert (await until_ended(stack))["result"] == "healthy"
    assert not [event for event in journalled(stack) if event["event"] == "abort_requested"]
    assert await upgraded(stack)


DEFECT = """
from console.tui.screens.main import MainScreen

def fail(self, password="hunter2"):
    raise LookupError("odd")

MainScreen.action_filter = fail
from console.cli import main
main()
"""


@pytest.mark.parametrize("reads", [pytest.param(True, marks=pytest.mark.long), False])
async def test_a_defect_in_the_console_stops_no_rollout(stack: Stack, tmp_path: Path, reads: bool) -> None:
    """It is told like any other, without the locals that Textual would show; nobody need read that."""
    slow_down_the_second(stack)
    command = [sys.executable, "-c", DEFECT, "--config", str(stack.config_path)]
    environment = {"TMPDIR": str(tmp_path), watchdog.MARK: str(stack.directory)}
    with Terminal(command, COLUMNS, LINES, environment=environment) as terminal:
        await start(terminal)
        if not reads:
            await fill(terminal)
        terminal.type(b"/")
        if reads:  # what a shell sends with SIGHUP, and after Ctrl-Z, must not open the console again
            await terminal.shows("a bug in Rolldeck ended the console")
            os.kill(terminal.pid, signal.SIGCONT)
        assert (await until_ended(stack))["result"] == "healthy"
        terminal.read_on()
        assert await terminal.ends() == 70
        await terminal.shows("a bug in Rolldeck ended the console", "continues", "details in")
        assert "hunter2" not in terminal.screen
        assert "Traceback" not in terminal.screen
        assert restored(terminal), (terminal.modes, terminal.unknown)


@pytest.mark.parametrize("reads", [pytest.param(True, marks=pytest.mark.long), False])
async def test_stopped_by_the_shell_and_continued(stack: Stack, reads: bool) -> None:
    """The terminal is put back as it was meanwhile, and painted anew after it."""
    with console(stack) as terminal:
        await terminal.shows("web1", "web2", OLD)
        if not reads:
            await fill(terminal)

        async def stopped() -> bool:
            return terminal.is_stopped

        os.kill(terminal.pid, signal.SIGTSTP)
        await until(stopped, 30)
        if not reads:
            terminal.read_on()
        await terminal.rests()
        assert restored(terminal), (terminal.modes, terminal.unknown)
        os.kill(terminal.pid, signal.SIGCONT)
        await terminal.shows("web1", "web2", "q quit")
        terminal.type(b"q")
        assert await terminal.ends() == 0
        assert restored(terminal), (terminal.modes, terminal.unknown)
