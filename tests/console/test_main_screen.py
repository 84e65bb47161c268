"""The console on the real world, by keys alone at 80x24: what each key does, and what it must not do."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import OptionList

from backends.model import Level, Snapshot
from console.tui.app import Console
from orchestrator.engine.control import CONTINUE
from orchestrator.events.actor import Actor
from orchestrator.events.events import AnyEvent, Paused
from tests.console.real_console import Driver, console_stack, drive
from tests.support.processes import freeze, thaw
from tests.support.rollouts import DRAIN, MAINT, NEW, OLD, say, states, versions
from tests.support.stacks import reload_haproxy
from widgets.footer import KeyBar
from widgets.table.widget import ServerTable

NODE, STEP = 1, 3  # "each node" and "step by step" in the list of confirmations


async def admins(at: Driver, node: str) -> set[int]:
    """What HAProxy itself says was decided about a node, over all load balancers."""
    return {servers[node].admin for servers in (await states(at.console_stack.stack)).values()}


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
        assert await admins(at, "web2") == {0}


async def test_step_by_step_asks_before_each_step(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, STEP)
        for node in ("web1", "web2"):
            for step in ("drain", "stop", "install", "start", "verify"):
                await at.asked(node, f"{step}?")
                cells = here.session.state.nodes[node].steps
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
        assert await admins(at, "web1") == {MAINT}  # what failed stays out
        first = here.session.control.questions[0].id
        await at.press("r")
        await at.until(
            lambda: [question.id for question in here.session.control.questions] not in ([], [first])
        )
        await at.press("s")
        await at.asked("web2", "verify failed")
        await at.press("a")
        await at.sees("Abort the rollout?", "a second abort cuts it short")
        await at.press("enter")  # the safe answer has the focus: nothing is aborted
        await at.until(lambda: at.app.screen is at.main)
        assert not here.session.control.aborting
        await at.press("a")
        await at.sees("Abort the rollout?")
        await at.press("right", "enter")
        await at.sees("aborted", "web1", "web2", "Out of rotation", "Close")


async def test_p_pauses_and_resumes(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        told: list[AnyEvent] = []
        here.session.bus.subscribe(lambda record: told.append(record.event))
        await at.press("p")
        await at.sees("paused by")
        [paused] = [event for event in told if isinstance(event, Paused)]
        assert (paused.via, paused.uid) == ("console", os.getuid())
        await at.press("space")
        await at.until(lambda: not here.session.control.questions)
        assert here.changes == []  # a yes while all is paused starts nothing yet
        await at.press("p")
        await at.asked("web2", "out of rotation?")
        assert (await versions(here.stack))["web1"] == NEW
        await at.press("space")
        await at.result("healthy")


async def test_maintenance_and_ready_by_hand(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("m")
        await at.sees("Maintenance for web1?", "in rotation", "floor 1")
        await at.press("enter")  # the safe answer has the focus
        await at.until(lambda: at.app.screen is at.main)
        assert here.changes == []
        await at.press("m")
        await at.sees("Maintenance for web1?")
        await at.press("right", "enter")
        await at.until(lambda: "read back: web1 on lb1: maint" in at.said)
        assert await admins(at, "web1") == {MAINT}
        assert await admins(at, "web2") == {0}
        await at.sees("maint 1")
        await at.press("home")
        await at.until(lambda: at.main.query_one(ServerTable).cursor_key == ("shop", "web1"))
        await at.press("e")
        await at.sees("Back in rotation: web1?")
        await at.press("right", "enter")
        await at.until(lambda: "read back: web1 on lb1: ready" in at.said)
        assert await admins(at, "web1") == {0}
        await at.sees("up 2", "maint 0")


async def test_what_would_break_the_floor_is_refused_unless_its_name_is_typed(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await say(here.stack, "set server shop/web2 state maint")
        await at.sees("maint 1")
        await at.press("o", "home")  # by node
        await at.press("d")
        await at.sees("Drain web1?", "Refused", "floor 1")
        await at.press("right", "right", "enter", "escape")
        await at.until(lambda: at.app.screen is at.main)
        assert here.changes == []
        assert await admins(at, "web1") == {0}
        await at.press("d")
        await at.sees("Refused")
        await at.press("shift+tab")
        await at.type("web1")
        await at.press("enter", "enter")
        await at.until(lambda: "read back: web1 on lb1: drain" in at.said)
        assert await admins(at, "web1") == {DRAIN}


async def test_read_only_greys_the_keys_and_sends_nothing(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here, "--read-only was given") as at:
        assert at.possible("upgrade") is None
        for action in ("drain", "maint", "ready", "weight"):
            assert at.possible("change", action) is None
        await at.press("u", "d", "m", "e", "w")
        await at.pilot.pause()
        assert at.app.screen is at.main
        assert "read-only" in at.text
        assert here.changes == []


async def test_q_leaves_at_once_without_a_rollout(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here:
        async with drive(here) as at:
            await at.press("q")
            await gone(at)
        assert at.app.return_value == "leave"


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
            await gone(at)
        assert at.app.return_value == "keep"
        assert here.session.is_rolling
        here.session.control.answer(
            here.session.control.questions[0].id, CONTINUE, Actor("another front end")
        )
        ended = await here.session.finished()
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


async def test_one_frozen_load_balancer_is_called_stale_and_keys_still_answer(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        lb1 = here.stack.instances["lb1"]
        freeze(lb1.pid)
        try:
            await at.until(lambda: here.watch.view.instance("lb1").state == "stale")
            await at.sees("lb1: no answer")
            await at.press("slash")
            await at.type("web2")
            await at.until(lambda: "web1" not in at.text)
            assert here.watch.view.instance("lb2").state == "live"
        finally:
            thaw(lb1.pid)
        await at.until(lambda: here.watch.view.instance("lb1").state == "live")
        await at.until(lambda: "no answer" not in at.text)


async def test_one_that_is_frozen_from_the_beginning_does_not_keep_the_console_closed(tmp_path: Path) -> None:
    async with console_stack(tmp_path, frozen="lb1") as here, drive(here) as at:
        assert here.watch.view.instance("lb1").state == "connecting"
        await at.sees("web1", "web2", "lb1: no answer")
        thaw(here.stack.instances["lb1"].pid)
        await at.until(lambda: here.watch.view.instance("lb1").state == "live")
        await at.until(lambda: "no answer" not in at.text)
        assert here.session.names == {("shop", "web1"): "web1", ("shop", "web2"): "web2"}


async def test_filter_order_and_problems(tmp_path: Path) -> None:
    async with console_stack(tmp_path, nodes=3) as here, drive(here) as at:
        await at.press("down")
        await at.press("slash")
        await at.type("web2")
        await at.until(lambda: "web1" not in at.text and "web3" not in at.text)
        await at.press("enter")  # back to the table: keys are keys again, the filter stays
        assert at.main.query_one(ServerTable).has_focus
        await at.press("slash", *["backspace"] * 4, "enter")
        await at.sees("web1", "web2", "web3")
        await at.press("exclamation_mark")
        await at.until(lambda: "web1" not in at.text)
        await say(here.stack, "set server shop/web3 state maint")
        await at.sees("web3")
        assert "web1" not in at.text
        await at.press("exclamation_mark")
        await at.sees("web1", "web3")
        assert at.text.index("web3") < at.text.index("web1")  # problems first
        await at.press("o")
        await at.until(lambda: at.text.index("web1") < at.text.index("web3"))
        assert "sorted by node" in at.said


async def gone(at: Driver) -> None:
    """Wait until the console has been told to end; it no longer answers the pilot then."""
    deadline = time.monotonic() + 10
    while at.app.return_value is None:
        assert time.monotonic() < deadline, at.text
        await asyncio.sleep(0.02)


async def test_a_grey_key_says_why(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("u")
        await at.until(lambda: "a rollout is running: one at a time" in at.said)
        await at.press("s")
        await at.asked("web2", "out of rotation?")
        await at.press("s")
        await at.result("skipped")


async def test_a_socket_that_may_not_change_makes_it_read_only(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here:
        lb2 = here.session.application.balancer_group.balancers["lb2"]
        real = lb2.snapshot

        async def low(backends: Sequence[str] = ()) -> Snapshot:
            return replace(await real(backends), level=Level.OPERATOR)

        lb2.snapshot = low  # type: ignore[method-assign]
        async with drive(here) as at:
            await at.sees("read-only: lb2 has level operator, changes need admin")
            assert at.possible("upgrade") is None
            await at.press("d")
            await at.until(lambda: "read-only: lb2 has level operator" in at.said)
            assert at.app.screen is at.main
            assert here.changes == []


async def test_the_palette_knows_every_action_and_every_node(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("ctrl+p")
        await at.until(lambda: at.app.screen is not at.main)
        await at.type("drain web2")
        await at.sees("web2 drain")
        await at.until(lambda: at.app.screen.query_one(OptionList).option_count > 0)
        await at.press("enter")
        await at.until(lambda: "Drain web2?" in at.text)
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        titles = [command.title for command in at.app.get_system_commands(at.main)]
        assert {"upgrade (u)", "filter (/)", "log (t)", "quit (q)", "Theme"} <= set(titles)
        assert "pause (p)" not in titles  # nothing to pause


async def test_a_picture_of_the_screen_is_for_us_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "rolldeck-screen.svg").symlink_to("precious")
    async with console_stack(tmp_path) as here, drive(here) as at:
        at.app.deliver_screenshot()
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "rolldeck-screen-2.svg").stat().st_mode & 0o777 == 0o600


async def test_ctrl_q_asks_about_a_running_rollout_too(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("ctrl+q")
        await at.sees("A rollout is running: quit?")
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        assert at.app.return_value is None
        here.session.control.abort(Actor("the test"))
        await at.result("aborted")


async def test_a_terminal_too_small_is_told_so_and_it_comes_back(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("d")
        await at.sees("Drain web1?")
        await at.pilot.resize_terminal(70, 24)
        await at.sees("This terminal has 70 by 24", "needs 80 by 24")
        await at.pilot.resize_terminal(60, 20)
        await at.sees("This terminal has 60 by 20")
        await at.pilot.resize_terminal(120, 40)
        await at.sees("Drain web1?")  # as it was left
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        await at.sees("web1", "web2")
        assert here.changes == []


async def test_another_application_is_opened_from_here(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here:
        app = Console(here.session, here.watch, applications=("shop", "api [b]"))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            at = Driver(app, pilot, here)
            await at.sees("web1")
            await at.press("g")
            await at.sees("Application", "shop", "api [b]")
            await at.press("enter")  # the one that is shown already
            await at.until(lambda: at.app.screen is at.main)
            await at.press("g")
            await at.sees("Application")
            await at.press("down", "enter")
            await gone(at)
        assert app.return_value == "application: api [b]"


async def test_with_one_application_there_is_nothing_to_choose(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        assert at.possible("application") is False


async def test_one_killed_load_balancer_is_called_stale_and_comes_back_by_itself(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        lb1 = here.stack.instances["lb1"]
        await lb1.kill()
        await at.sees("lb1: ", "Connection refused")
        await at.press("down")
        await at.until(lambda: at.main.query_one(ServerTable).cursor_key == ("shop", "web2"))
        assert here.watch.view.instance("lb2").state == "live"
        await lb1.start()
        await at.until(lambda: here.watch.view.instance("lb1").state == "live")
        await at.sees("lb1: reloaded")  # another process: what was set at run time is lost


async def test_a_reload_is_announced_and_its_counters_begin_again(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.until(lambda: here.watch.view.instance("lb1").rates.rate(0) is not None)
        await reload_haproxy(here.stack.instances["lb1"])
        await at.sees("lb1: reloaded")
        assert "lb2: reloaded" not in at.text
        await at.until(lambda: here.watch.view.instance("lb1").rates.rate(0) is not None)
        assert here.watch.view.instance("lb1").state == "live"
