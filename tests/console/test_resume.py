"""Unfinished rollouts are named at the start of the console, finished and rolled back, by keys alone."""

from pathlib import Path

import pytest

from orchestrator.events.events import RolloutStarted
from orchestrator.locks.file import FileLock, Holder
from tests.console.real_console import console_stack, drive
from tests.support.rollouts import NEW, OLD, admin_states, versions

SICK = "9.9.9"
ANN = Holder(operator="ann@there", host="elsewhere", pid=1, since=0.0, what="upgrade to 1.4.9")


async def test_what_was_left_is_named_on_start_and_finished_by_keys(tmp_path: Path) -> None:
    async with console_stack(tmp_path, versions=(SICK,), min_healthy=0) as here:
        proposal = await here.session.propose(SICK, changes={"verify_timeout": 0.5})
        here.session.control.interactive = False
        assert (await here.session.run(proposal)).failed == ["web1"]
        here.stack.add_release(SICK, healthy=True)  # somebody has mended it
        lock = FileLock.of(here.stack.directory / "locks", "shop")
        await lock.acquire(ANN)
        async with drive(here, up=1) as at:
            await at.until(lambda: "an earlier rollout was not finished; ann@there" in at.said)
            assert at.app.screen is at.main
        await lock.release()
        async with drive(here, up=1) as at:
            await at.sees("An earlier rollout was not finished", "web1 was left by rollout 1")
            await at.press("enter")  # the safe answer has the focus
            await at.until(lambda: at.app.screen is at.main)
            await at.sees("! not finished: web1 was left by rollout 1", "^r finish it  R roll back")
            await at.press("ctrl+r")
            await at.sees(f"shop → {SICK}", "left by rollout 1", f"! {SICK} has failed on web1", "Start")
            await at.press("shift+tab")  # from the first answer to the line for the reason
            await at.type("INC-7")
            await at.press("enter", "enter")
            await at.result("healthy")
            await at.until(lambda: "not finished" not in at.text)
        started = [record.event for record in here.records if isinstance(record.event, RolloutStarted)]
        assert [event.reason for event in started] == ["", "INC-7"]
        assert await versions(here.stack) == {"web1": SICK, "web2": SICK}
        assert await admin_states(here.stack) == {0}


@pytest.mark.long
async def test_back_to_the_versions_before_by_keys(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW)
        await at.result("healthy")
        await at.press("R")
        await at.sees(f"shop → {OLD}", "Start")
        await at.press("right", "enter")
        await at.result("healthy")
        assert await versions(here.stack) == {"web1": OLD, "web2": OLD}


@pytest.mark.long
async def test_what_was_rolled_back_is_not_rolled_back_again(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW)
        await at.result("healthy")
        await at.press("R")
        await at.sees(f"shop → {OLD}", "Start")
        await at.press("right", "enter")
        await at.result("rolled back")
        await at.press("R")
        await at.until(lambda: "rollout 1 was already rolled back by 2" in at.said)
        assert await versions(here.stack) == {"web1": OLD, "web2": OLD}
