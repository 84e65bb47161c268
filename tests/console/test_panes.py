"""The panes below the table: how lines are shared, honest plots, harmless texts, keys that are remembered."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.tui.view_state import ViewState
from orchestrator.live.notices import Notice
from orchestrator.live.traffic_history import TrafficHistory
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.real_console import read
from tests.console.table_app import HOSTILE
from tests.console.test_rollout_chart import compared
from tests.support.console_values import harmless
from tests.support.live_views import busy_traffic
from tests.support.verdicts import verdicts
from widgets.panes import events_pane, traffic_pane
from widgets.panes.events_pane import EventsPane, build_notice, format_moment
from widgets.panes.live_panes import CHOICES, MIN_TABLE_LINES, Choice, LivePanes, share_lines
from widgets.panes.traffic_pane import TrafficPane, build_traffic, find_scale
from widgets.rollout_board import RolloutBoard
from widgets.segments import Segment
from widgets.table.widget import ServerTable

CHOOSE: st.SearchStrategy[Choice] = st.sampled_from(CHOICES)


def text(lines: list[list[Segment]]) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]


@given(st.integers(0, 80), st.integers(0, 500), st.integers(40, 250), CHOOSE, CHOOSE)
def test_panes_never_take_what_the_table_needs(
    lines: int, rows: int, width: int, traffic: Choice, events: Choice
) -> None:
    shared = share_lines(lines, rows, width, traffic, events)
    assert lines - shared.total >= min(rows + 1, MIN_TABLE_LINES, lines)
    assert shared.traffic == 0 or (traffic != "off" and shared.traffic >= traffic_pane.MIN_LINES)
    assert shared.events == 0 or (events != "off" and shared.events >= events_pane.MIN_LINES)


def test_a_few_servers_leave_their_room_to_the_panes() -> None:
    assert share_lines(46, 4, 200, "auto", "auto").total == 41
    assert share_lines(22, 6, 80, "auto", "auto").total == 15
    assert share_lines(22, 400, 80, "auto", "auto").total == 0
    assert share_lines(22, 400, 80, "auto", "on").events == 8
    assert share_lines(37, 400, 120, "auto", "auto").total == 14


@pytest.mark.parametrize(("width", "height"), [(58, 5), (78, 8), (60, 29), (100, 41)])
def test_plots_have_a_scale_from_zero_units_and_the_time(width: int, height: int) -> None:
    lines = text(build_traffic(busy_traffic(), width, height))
    assert len(lines) == height
    assert {cell_len(line) for line in lines[1:-1]} == {width}
    assert all(unit in "\n".join(lines) for unit in ("500/s", "2.0/s", "20 ms", "-10:00", "now"))
    assert [line.split()[0] for line in lines if line[0] not in " "] == [
        "Traffic",
        "requests",
        "errors",
        "response",
    ]


def test_what_is_not_known_is_no_zero() -> None:
    lines = text(build_traffic(TrafficHistory(), 60, 5))
    assert not any(bar in "".join(lines) for bar in "▁▂▃▄▅▆▇█")
    assert all(line.rstrip().endswith("–") for line in lines[1:4])  # noqa: RUF001 - as it is drawn


@given(st.floats(0, 1e9))
def test_the_scale_is_round_and_large_enough(top: float) -> None:
    scale = find_scale([None, top])
    assert scale >= max(1.0, top)
    assert f"{scale:.0f}".rstrip("0") in ("1", "2", "5")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_notices_stay_in_their_line(hostile: str) -> None:
    for weight in ("good", "bad"):
        notice = Notice(1_700_000_000.0, hostile, hostile, weight, (hostile,))
        line = "".join(part for part, _ in build_notice(notice, 12, 2, 60, 1_700_000_000.0))
        assert harmless(line)
        assert cell_len(line) <= 60


def test_yesterday_has_a_date() -> None:
    assert format_moment(1_700_000_000.0, 1_700_000_060.0).count(":") == 2
    assert "Nov" in format_moment(1_700_000_000.0, 1_700_900_000.0)


async def test_during_a_rollout_both_versions_are_in_the_pane_and_not_on_the_board_too() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.pause(0.4)
        pane, board = app.screen.query_one(TrafficPane), app.screen.query_one(RolloutBoard)
        pane.show(busy_traffic(), compared(*verdicts(4, bad_from=3)))
        assert pane.compares
        drawn = str(pane.render())
        assert "1.5.0 against the other nodes, over the rollout" in drawn
        assert "max 20.0 %" in drawn
        board.has_chart = False
        board.show(compared(*verdicts(4)), 1_000.0)
        assert board._chart() == []
        pane.show(busy_traffic(), None)
        assert not pane.compares


async def test_keys_hide_and_show_the_panes_and_the_next_run_remembers_it(tmp_path: Path) -> None:
    for expected in (True, False):
        app = FrozenConsole(CALM)
        app.view_state = ViewState(tmp_path / "console.json")
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause(0.4)
            assert ("Traffic ·" in read(app.screen)) is expected
            assert "Events ·" in read(app.screen)
            if expected:
                await pilot.press("1")
                await pilot.pause()
                assert "Traffic ·" not in read(app.screen)


async def test_a_pane_without_room_says_so_and_comes_when_there_is_some() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause(0.4)
        panes = app.screen.query_one(LivePanes)
        assert panes.pane_lines.total == 15
        await pilot.resize_terminal(200, 50)
        await pilot.pause(0.4)
        assert panes.pane_lines.beside


async def test_a_board_that_grows_takes_its_lines_from_the_panes() -> None:
    """Not from the table, nor from the screen's width, also before the lines are shared again."""
    app = FrozenConsole(CALM)
    async with app.run_test(size=(100, 34)) as pilot:
        await pilot.pause(0.4)
        table, board = app.screen.query_one(ServerTable), app.screen.query_one(RolloutBoard)
        height = table.outer_size.height
        for timer in app.screen._timers:
            timer.pause()
        board.styles.height = 9
        board.styles.display = "block"
        await pilot.pause()
        assert board.outer_size.height == 9
        assert (table.outer_size.height, app.screen.show_vertical_scrollbar) == (height, False)


async def test_events_scroll_and_follow_the_newest() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.4)
        for number in range(100):
            app.screen._history.notices.add(Notice(1.7e9, "web1", f"number {number}", "info"))  # type: ignore[attr-defined]
        await pilot.pause(1.2)
        assert "number 99" in read(app.screen)
        app.screen.query_one(EventsPane).focus()
        await pilot.press("home")
        await pilot.pause()
        assert "number 0 " in read(app.screen)
        assert "end: the newest" in read(app.screen)
        await pilot.press("G")
        await pilot.pause()
        assert "number 99" in read(app.screen)
