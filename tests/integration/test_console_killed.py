"""A rollout that a console has started, once that console is gone, or nobody answers its question."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from console.demo import watchdog
from console.demo.stack import Stack
from tests.support.disks import fill, small_disk
from tests.support.processes import freeze, thaw
from tests.support.rollouts import NEW, ROLLDECK, journalled, rolldeck, tune, until_ended, versions, world
from tests.support.terminals import Terminal
from tests.support.wait import until

pytestmark = pytest.mark.long


async def start(terminal: Terminal, confirm: int = 0, before: Callable[[], object] = lambda: None) -> None:
    """Upgrade by keys; `confirm` is the index in the list of confirmations, `before` is called last."""
    await terminal.shows("web1", "web2", "servers up 2")
    terminal.type(b"u")
    await terminal.shows("Upgrade shop", "Version")
    terminal.type(NEW.encode() + b"\t\t\t" + b"\x1b[B" * confirm + b"\t\t\r")
    await terminal.shows(f"shop → {NEW}", "Start", seconds=60)
    before()
    terminal.type(b"\x1b[C\r")


async def test_a_killed_console_changes_nothing_and_another_one_goes_on_from_there(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        command = [ROLLDECK, "--config", str(stack.config_path)]
        mark = {watchdog.MARK: str(stack.directory)}  # what a failed test leaves behind ends with it
        with Terminal(command, 120, 40, controlling=True, environment=mark) as terminal:
            await start(terminal, confirm=1)
            await terminal.shows("web1: take it out of rotation?", seconds=60)
            os.kill(terminal.pid, signal.SIGKILL)
            terminal.hang_up()
        events = journalled(stack)
        assert events[-1]["event"] == "decision_requested"
        holder = await rolldeck(stack, "control", "shop", "pause")
        assert holder.code == 0, holder.text
        with Terminal(command, 120, 40) as terminal:
            await terminal.shows("web1: take it out of rotation?", "paused by", seconds=60)
            terminal.type(b"p")
            await terminal.shows("space continue")
            terminal.type(b" ")
            await terminal.shows("web2: take it out of rotation?", seconds=60)
            terminal.type(b" ")
            await terminal.shows("✓ healthy", "everything is in rotation", seconds=60)
        assert set((await versions(stack)).values()) == {NEW}


async def test_a_question_waits_for_as_long_as_it_takes(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        tune(stack, "apps.shop.rollout", drain_timeout=1, verify_timeout=1)
        command = [ROLLDECK, "--config", str(stack.config_path)]
        mark = {watchdog.MARK: str(stack.directory)}
        with Terminal(command, 120, 40, environment=mark) as terminal:
            await start(terminal, confirm=1)
            await terminal.shows("web1: take it out of rotation?", seconds=60)
            terminal.type(b"q")
            await terminal.shows("A rollout is running: quit?")
            terminal.type(b"\x1b[B\r")
            assert await terminal.ends() == 0
        await asyncio.sleep(5)
        assert journalled(stack)[-1]["event"] == "decision_requested"
        for _ in stack.nodes:
            await until(lambda: is_asked(stack), 60)
            assert (await rolldeck(stack, "control", "shop", "continue")).code == 0
        assert (await until_ended(stack))["result"] == "healthy"


async def test_a_console_that_is_closed_while_a_rollout_starts_says_that_it_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        slow = stack.instances["lb1"].pid  # nothing begins before it was read
        command = [ROLLDECK, "--config", str(stack.config_path)]
        mark = {watchdog.MARK: str(stack.directory)}
        with Terminal(command, 120, 40, environment=mark) as terminal:
            await start(terminal, before=lambda: freeze(slow))
            await terminal.shows("starting the rollout")
            os.kill(terminal.pid, signal.SIGTERM)
            await terminal.shows("a rollout of shop is being started; to see it: rolldeck follow shop")
            thaw(slow)
            assert await terminal.ends() == 0
        assert (await until_ended(stack))["result"] == "healthy"


async def test_on_a_full_disk_it_ends_and_says_so_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        with small_disk(stack.directory / "disk", 2048) as disk:
            tune(stack, "journal", path=str(disk / "journal.db"))
            command = [ROLLDECK, "--config", str(stack.config_path)]
            mark = {watchdog.MARK: str(stack.directory)}
            with Terminal(command, 120, 40, environment=mark) as terminal:
                await start(terminal, confirm=3)
                await terminal.shows("web1: drain?", seconds=60)
                terminal.type(b" ")
                await terminal.shows("web1: stop?", seconds=60)
                others = fill(disk)
                terminal.type(b" ")
                await terminal.shows("is gone and the disk is full:", seconds=60)
            status = await rolldeck(stack, "status", "shop")
            assert "1 of 2 in rotation; not: web1" in status.text
            assert "the disk is full: " in status.text
            others.unlink()
            resumed = await rolldeck(stack, "resume", "shop", "--yes")
            assert resumed.code == 0, resumed.text
            assert "the disk is full" not in (await rolldeck(stack, "status", "shop")).text


async def is_asked(stack: Stack) -> bool:
    return bool(journalled(stack)[-1]["event"] == "decision_requested")
