"""The console on the real world, by keys alone at 80x24: what each key does, and what it must not do."""

import asyncio
import time
from pathlib import Path

from textual.widgets import Footer

from orchestrator.control import GO
from tests.console.console_world import Desk, desk, place
from tests.integration.rollouts import DRAIN, MAINT, NEW, OLD, say, states, versions
from widgets.server_table import ServerTable

NODE, STEP = 1, 3  # "each node" and "step by step" in the list of confirmations


async def admins(at: Desk, node: str) -> set[int]:
    """What HAProxy itself says was decided about a node, over all load balancers."""
    return {servers[node].admin for servers in (await states(at.place.stack)).values()}


async def test_the_table_is_live_and_an_upgrade_goes_through(tmp_path: Path) -> None:
    async with place(tmp_path) as here, desk(here) as at:
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


async def test_each_node_is_asked_about_space_goes_on_and_s_skips(tmp_path: Path) -> None:
    async with place(tmp_path) as here, desk(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        assert at.possible("answer", "retry") is False
        assert at.possible("upgrade") is None  # one at a time
        assert at.possible("pause")
        footer = at.main.query_one(Footer)
        await at.sees("space next")
        keys = list(footer.children)
        at.main._paint()
        await at.pilot.pause()
        assert list(footer.children) == keys, "rebuilt although nothing changed: that is too dear"
        assert here.changes == []
        await at.press("space")
        await at.asked("web2", "out of rotation?")
        assert await versions(here.stack) == {"web1": NEW, "web2": OLD}
        await at.press("s")
        await at.result("skipped: web2")
        assert await versions(here.stack) == {"web1": NEW, "web2": OLD}
        assert await admins(at, "web2") == {0}


async def test_step_by_step_asks_before_each_step(tmp_path: Path) -> None:
    async with place(tmp_path) as here, desk(here) as at:
        await at.start(NEW, STEP)
        for node in ("web1", "web2"):
            for step in ("drain", "stop", "install", "start", "verify"):
                await at.asked(node, f"{step}?")
                cells = here.session.state.nodes[node].cells
                assert step not in cells, "it began before it was confirmed"
                await at.press("space")
        await at.result("healthy")


async def test_what_never_becomes_healthy_is_retried_then_skipped(tmp_path: Path) -> None:
    async with (
        place(tmp_path, versions=("9.9.9",), verify_timeout=0.5, min_available=0) as here,
        desk(here) as at,
    ):
        await at.start("9.9.9")
        await at.asked("web1", "verify failed")
        await at.until(lambda: at.possible("answer", "skip"))
        assert at.possible("answer", "go") is False
        assert await admins(at, "web1") == {MAINT}  # what failed stays out
        first = here.session.control.questions[0].id
        await at.press("r")
        await at.until(lambda: [each.id for each in here.session.control.questions] not in ([], [first]))
        await at.press("s")
        await at.asked("web2", "verify failed")
        await at.press("a")
        await at.sees("Abort the rollout?")
        await at.press("enter")  # the safe answer has the focus: nothing is aborted
        await at.until(lambda: at.app.screen is at.main)
        assert not here.session.control.aborting
        await at.press("a")
        await at.sees("Abort the rollout?")
        await at.press("right", "enter")
        await at.sees("aborted", "web1", "web2", "Out of rotation", "Close")


async def test_p_pauses_and_resumes(tmp_path: Path) -> None:
    async with place(tmp_path) as here, desk(here) as at:
        await at.start(NEW, NODE)
        await at.asked("web1", "out of rotation?")
        await at.press("p")
        await at.sees("paused by")
        await at.press("space")
        await at.until(lambda: not here.session.control.questions)
        assert here.changes == []  # a yes while all is paused starts nothing yet
        await at.press("p")
        await at.asked("web2", "out of rotation?")
        assert (await versions(here.stack))["web1"] == NEW
        await at.press("space")
        await at.result("healthy")


async def test_maintenance_and_ready_by_hand(tmp_path: Path) -> None:
    async with place(tmp_path) as here, desk(here) as at:
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
    async with place(tmp_path) as here, desk(here) as at:
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
    async with place(tmp_path) as here, desk(here, "asked for with --read-only") as at:
        assert at.possible("upgrade") is None
        for action in ("drain", "maint", "ready", "weight"):
            assert at.possible("change", action) is None
        await at.press("u", "d", "m", "e", "w")
        await at.pilot.pause()
        assert at.app.screen is at.main
        assert "read-only" in at.text
        assert here.changes == []


async def test_q_leaves_at_once_without_a_rollout(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        async with desk(here) as at:
            await at.press("q")
            await gone(at)
        assert at.app.return_value == "leave"


async def test_a_rollout_that_is_kept_goes_on_after_the_console_has_gone(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        async with desk(here) as at:
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
        assert here.session.rolling
        here.session.control.answer(here.session.control.questions[0].id, GO, "another front end")
        ended = await here.session.finished()
        assert ended is not None
        assert ended.result == "healthy", ended
        assert set((await versions(here.stack)).values()) == {NEW}


async def test_a_change_by_hand_during_a_rollout_does_not_end_it(tmp_path: Path) -> None:
    async with place(tmp_path, nodes=3, min_available=1) as here, desk(here) as at:
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
    async with place(tmp_path) as here, desk(here) as at:
        lb1 = here.stack.instances["lb1"]
        lb1.freeze()
        try:
            await at.until(lambda: here.watch.view.instance("lb1").state == "stale")
            await at.sees("lb1: no answer")
            await at.press("slash")
            await at.type("web2")
            await at.until(lambda: "web1" not in at.text)
            assert here.watch.view.instance("lb2").state == "live"
        finally:
            lb1.thaw()
        await at.until(lambda: here.watch.view.instance("lb1").state == "live")
        await at.until(lambda: "no answer" not in at.text)


async def test_one_that_is_frozen_from_the_beginning_does_not_keep_the_console_closed(tmp_path: Path) -> None:
    async with place(tmp_path, frozen="lb1") as here, desk(here) as at:
        assert here.watch.view.instance("lb1").state == "connecting"
        await at.sees("web1", "web2", "lb1: no answer")
        here.stack.instances["lb1"].thaw()
        await at.until(lambda: here.watch.view.instance("lb1").state == "live")
        await at.until(lambda: "no answer" not in at.text)
        assert here.session.names == {("shop", "web1"): "web1", ("shop", "web2"): "web2"}


async def test_filter_order_and_problems(tmp_path: Path) -> None:
    async with place(tmp_path, nodes=3) as here, desk(here) as at:
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
        assert "order: node" in at.said


async def gone(at: Desk) -> None:
    """Wait until the console has been told to end; it no longer answers the pilot then."""
    deadline = time.monotonic() + 10
    while at.app.return_value is None:
        assert time.monotonic() < deadline, at.text
        await asyncio.sleep(0.02)
