"""Keys of the main screen during a rollout on real servers: what they do, and what they must not do."""

import os
from pathlib import Path

import pytest

from orchestrator.engine.control import CONTINUE
from orchestrator.events.actor import Actor
from orchestrator.events.events import ManualChangeStarted, Paused
from tests.console.real_console import console_stack, drive
from tests.support.rollouts import MAINT, NEW, OLD, say, versions
from widgets.dialogs.reason import ReasonInput
from widgets.footer import KeyBar
from widgets.table.widget import ServerTable

NODE, STEP = 1, 3  # "each node" and "step by step" in the list of confirmations


async def test_the_table_is_live_an_upgrade_goes_through_and_escape_takes_its_board_away(
    tmp_path: Path,
) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        assert "web1" in at.text
        assert "web2" in at.text
        assert at.text.count(OLD) == 2
        await say(here.stack, "set server shop/web2 state drain")
        await at.sees("drain 1")
        await say(here.stack, "set server shop/web2 state ready")
        await at.sees("drain 0")
        await at.start(NEW)
        await at.result("healthy")
        await at.until(lambda: at.text.count(NEW) >= 3)  # both rows and the board
        assert here.ended is not None
        assert here.ended.upgraded == ["web1", "web2"]
        assert set((await versions(here.stack)).values()) == {NEW}
        assert at.possible("upgrade")
        assert at.possible("pause") is False

        await at.sees("shop 1.4.2 → 1.5.0")
        await at.press("slash")
        await at.type("web2")
        await at.until(lambda: "▸web2" in at.text)
        await at.press("escape")  # first the filter
        await at.until(lambda: at.main.query_one(ServerTable).has_focus)
        await at.sees("web1", "shop 1.4.2 → 1.5.0")
        await at.press("escape")
        await at.until(lambda: "shop 1.4.2 → 1.5.0" not in at.text)
        await at.start(OLD)  # the next one is shown again
        await at.result("healthy")
        await at.sees("shop 1.5.0 → 1.4.2")


@pytest.mark.long
async def test_each_node_is_asked_about_space_goes_on_and_s_skips(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        assert at.possible("answer", "retry") is False
        assert at.possible("upgrade") is None  # one at a time
        assert at.possible("pause")
        footer = at.main.query_one(KeyBar)
        await at.sees("space continue")
        keys = footer.keys
        at.main._paint()
        await at.pilot.pause()
        assert footer.keys is keys, "rebuilt although nothing changed: that is too dear"
        assert here.changes == []
        await at.press("space")
        await at.asked("web2", "out of rotation?")
        assert await versions(here.stack) == {"web1": NEW, "web2": OLD}
        await at.press("s")
        await at.result("skipped: web2")
        assert await versions(here.stack) == {"web1": NEW, "web2": OLD}
        assert await at.admins("web2") == {0}


@pytest.mark.long
async def test_step_by_step_asks_before_each_step(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, STEP)
        for node in ("web1", "web2"):
            for step in ("drain", "stop", "install", "start", "verify"):
                await at.asked(node, f"{step}?")
                cells = here.state.nodes[node].steps
                assert step not in cells, "it began before it was confirmed"
                await at.press("space")
        await at.result("healthy")


async def test_what_never_becomes_healthy_is_retried_then_skipped(tmp_path: Path) -> None:
    async with (
        console_stack(
            tmp_path, versions=("9.9.9",), verify_timeout=0.5, min_healthy=0, min_available=0
        ) as here,
        drive(here) as at,
    ):
        await at.start("9.9.9")
        await at.asked("web1", "verify failed")
        await at.until(lambda: at.possible("answer", "skip"))
        assert at.possible("answer", "continue") is False
        assert await at.admins("web1") == {MAINT}  # what failed stays out
        first = at.seen_questions[0]
        await at.press("r")
        await at.until(lambda: at.seen_questions not in ([], [first]))
        await at.press("s")
        await at.asked("web2", "verify failed")
        await at.press("a")
        await at.sees("Abort the rollout?", "a second abort cuts it short")
        await at.press("enter")  # the safe answer has the focus: nothing is aborted
        await at.until(lambda: at.app.screen is at.main)
        assert not here.control.aborting
        await at.press("a")
        await at.sees("Abort the rollout?")
        await at.press("right", "enter")
        await at.sees("aborted", "web1", "web2", "Out of rotation", "Close")


async def test_p_pauses_and_resumes(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("p")
        await at.sees("paused by")
        [paused] = [record.event for record in here.records if isinstance(record.event, Paused)]
        assert (paused.via, paused.uid) == ("console", os.getuid())
        await at.press("space")
        await at.until(lambda: not here.questions)
        assert here.changes == []  # a yes while all is paused starts nothing yet
        await at.press("p")
        await at.asked("web2", "out of rotation?")
        assert (await versions(here.stack))["web1"] == NEW
        await at.press("space")
        await at.result("healthy")


async def test_a_rollout_that_is_kept_goes_on_after_the_console_has_gone(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here:
        async with drive(here) as at:
            await at.start(NEW, NODE)
            await at.asked("web1", "out of rotation?")
            await at.press("space")
            await at.asked("web2", "out of rotation?")
            await at.press("q")
            await at.sees("A rollout is running: quit?")
            await at.press("enter")  # the safe answer has the focus
            await at.until(lambda: at.app.screen is at.main)
            await at.press("q")
            await at.sees("A rollout is running: quit?")
            await at.press("down", "enter")
            await at.gone()
        assert at.app.return_value == "keep"
        assert here.is_rolling
        here.control.answer(here.questions[0].id, CONTINUE, Actor("another front end"))
        ended = await here.launcher.finished()
        assert ended is not None
        assert ended.result == "healthy", ended
        assert set((await versions(here.stack)).values()) == {NEW}


async def test_a_change_by_hand_during_a_rollout_does_not_end_it(tmp_path: Path) -> None:
    async with console_stack(tmp_path, nodes=3, min_available=1) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("o", "end", "m")
        await at.sees("Maintenance for web3?")
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        for node in ("web1", "web2", "web3"):
            await at.asked(node, "out of rotation?")
            await at.press("space")
        await at.result("healthy")


async def test_a_gray_key_says_why(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("u")
        await at.until(lambda: "a rollout is running: one at a time" in at.said)
        await at.press("s")
        await at.asked("web2", "out of rotation?")
        await at.press("s")
        await at.result("skipped")


async def test_ctrl_q_asks_about_a_running_rollout_too(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("ctrl+q")
        await at.sees("A rollout is running: quit?")
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        assert at.app.return_value is None
        here.control.abort(Actor("the test"))
        await at.result("aborted")


async def test_a_required_reason_is_asked_for_and_recorded(tmp_path: Path) -> None:
    async with console_stack(tmp_path, require_reason=True) as here, drive(here) as at:
        await at.press("d")
        await at.sees("Drain web1?")
        await at.sees("why? required")
        await at.press("right", "enter")
        await at.until(lambda: isinstance(at.app.focused, ReasonInput))
        assert not here.records
        await at.type("INC-7")
        await at.press("enter")  # to the button: Enter in a field sends nothing
        await at.press("enter")
        await at.sees("drain 1")
        changed = [record.event for record in here.records]
        assert [event.reason for event in changed if isinstance(event, ManualChangeStarted)] == ["INC-7"]
