"""The main screen on real servers, by keys alone at 80x24: what it shows, and manual changes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import OptionList

from backends.model import Level, Snapshot
from console.tui.command_palette import list_actions
from tests.console.real_console import console_stack, drive
from tests.support.processes import freeze, thaw
from tests.support.rollouts import DRAIN, MAINT, say
from tests.support.stacks import reload_haproxy
from widgets.table.widget import ServerTable


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
        assert await at.admins("web1") == {MAINT}
        assert await at.admins("web2") == {0}
        await at.sees("maint 1")
        await at.press("home")
        await at.until(lambda: at.main.query_one(ServerTable).cursor_key == ("shop", "web1"))
        await at.press("e")
        await at.sees("Back in rotation: web1?")
        await at.press("right", "enter")
        await at.until(lambda: "read back: web1 on lb1: ready" in at.said)
        assert await at.admins("web1") == {0}
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
        assert await at.admins("web1") == {0}
        await at.press("d")
        await at.sees("Refused")
        await at.press("shift+tab", "shift+tab")  # past the reason
        await at.type("web1")
        await at.press("enter", "enter", "enter")
        await at.until(lambda: "read back: web1 on lb1: drain" in at.said)
        assert await at.admins("web1") == {DRAIN}


async def test_read_only_grays_the_keys_and_sends_nothing(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here, "--read-only was given") as at:
        assert at.possible("upgrade") is None
        for action in ("drain", "maint", "ready", "weight"):
            assert at.possible("change", action) is None
        await at.press("u", "d", "m", "e", "w")
        await at.pilot.pause()
        assert at.app.screen is at.main
        assert "read-only" in at.text
        at.app.clear_notifications()
        await at.main.start_action("upgrade")  # by the key of the fleet
        await at.until(lambda: "read-only: --read-only was given" in at.said)
        assert here.changes == []


async def test_q_leaves_at_once_without_a_rollout(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here:
        async with drive(here) as at:
            await at.press("q")
            await at.gone()
        assert at.app.return_value == "leave"


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
        titles = [command.name for command in list_actions(at.main)]
        assert {"upgrade (u)", "filter (/)", "transcript (t)", "quit (q)"} <= set(titles)
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


async def test_a_terminal_too_small_is_told_so_and_it_comes_back(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("d")
        await at.sees("Drain web1?")
        await at.pilot.resize_terminal(70, 24)
        await at.sees("This terminal is 70 by 24", "needs 80 by 24")
        await at.pilot.resize_terminal(60, 20)
        await at.sees("This terminal is 60 by 20")
        await at.pilot.resize_terminal(120, 40)
        await at.sees("Drain web1?")  # as it was left
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        await at.sees("web1", "web2")
        assert here.changes == []


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
