"""Freeze windows and locks of others are named, respected, and overridden only on purpose, by keys alone."""

from pathlib import Path

import msgspec

from orchestrator.events.events import FreezeOverridden, NodeNote
from orchestrator.locks.file import FileLock, Holder
from tests.console.real_console import ConsoleStack, console_stack, drive
from tests.support.rollouts import NEW, OLD, admin_states, versions

ANN = Holder(operator="ann@there", host="elsewhere", pid=1, since=0.0, what="upgrade to 1.4.9")
BOB = msgspec.structs.replace(ANN, operator="bob@there")


async def hold(here: ConsoleStack, holder: Holder = ANN) -> FileLock:
    lock = FileLock.of(here.stack.directory / "locks", "shop")
    await lock.acquire(holder)
    return lock


async def test_a_freeze_is_named_kept_to_and_overridden(tmp_path: Path) -> None:
    async with console_stack(tmp_path, freeze_reason="year end") as here, drive(here) as at:
        await at.press("u")
        await at.sees("Freeze window active", "year end")
        await at.press("enter")  # the safe answer has the focus
        await at.until(lambda: at.app.screen is at.main)
        assert not here.records
        await at.press("u")
        await at.sees("Freeze window active")
        await at.press("right", "enter")
        await at.sees("Upgrade shop", "Version")
        await at.type(NEW)
        await at.press("enter")
        await at.sees(f"shop → {NEW}", "year end", "Start")
        await at.press("right", "enter")
        await at.result("healthy")
        [told] = [record.event for record in here.records if isinstance(record.event, FreezeOverridden)]
        assert "year end" in told.reason
        assert await versions(here.stack) == {"web1": NEW, "web2": NEW}


async def test_somebody_elses_lock_is_named_left_and_taken_away(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        lock = await hold(here)
        await at.press("m")
        await at.sees("shop is locked", "ann@there (process 1 on elsewhere)", "1.4.9")
        await at.press("enter")
        await at.until(lambda: at.app.screen is at.main)
        assert not here.changes
        assert not lock.lost_reason()
        for key in ("u", "R", "ctrl+r"):  # first of all: nothing is asked, looked at or planned before
            await at.press(key)
            await at.sees("shop is locked", "ann@there", "1.4.9")
            await at.press("enter")
            await at.until(lambda: at.app.screen is at.main)
        await at.press("u")
        await at.sees("shop is locked")
        await at.press("right", "enter")
        await at.sees("Upgrade shop", "Version")
        await at.type(NEW)
        await at.press("enter")
        await at.sees(f"shop → {NEW}", "Start")
        assert not lock.lost_reason()
        await lock.release()
        lock = await hold(here, BOB)  # another one than the operator has agreed to
        await at.press("right", "enter")
        await at.sees("shop is locked", "bob@there")
        assert await versions(here.stack) == {"web1": OLD, "web2": OLD}
        await at.press("right", "enter")
        await at.result("healthy")
        assert "the lock was broken by" in lock.lost_reason()
        said = [record.event.text for record in here.records if isinstance(record.event, NodeNote)]
        assert any("broke lock of bob@there" in text for text in said)
        assert await versions(here.stack) == {"web1": NEW, "web2": NEW}
        assert await admin_states(here.stack) == {0}
        await lock.release()
