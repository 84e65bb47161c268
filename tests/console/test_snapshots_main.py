"""Snapshots of the main view and of what covers it."""

from dataclasses import replace

from textual.pilot import Pilot

from backends.model import Level
from orchestrator.live.notices import Notice
from tests.console.conftest import SnapshotCheck, sees, silence, sizes, small, types, wide
from tests.console.dialog_values import HOSTILE
from tests.console.frozen_console import BUSY, CALM, EPOCH, TROUBLED, Frame, FrozenConsole
from tests.support.live_views import busy_traffic

EVENTS = (
    Notice(EPOCH - 90_000, "", "upgrade to 1.4.2 by ann@bastion: healthy", "info"),
    Notice(EPOCH - 7_400, "", "maint web5 by bob@bastion: healthy", "info"),
    Notice(EPOCH - 5_000, "web5", "ready → maint", "change", ("lb1",)),
    Notice(EPOCH - 190, "web6", "▲ up → ▼ L4CON · flaps: 4 changes in 1:40", "bad", ("lb1", "lb2")),
    Notice(EPOCH - 60, "lb1", "reloaded (process 4712); its counters began again", "change"),
    Notice(EPOCH - 18, "web3", "ready → drain", "change", ("lb1", "lb2")),
    Notice(EPOCH - 17, "web3", "drain: done in 1.1 s: no sessions left", "info"),
)


@wide
def test_traffic_and_events(matches_snapshot: SnapshotCheck) -> None:
    async def fill(pilot: Pilot[str]) -> None:
        history = pilot.app.screen._history  # type: ignore[attr-defined]
        history.update = lambda: None  # what the frozen load balancers say would come after these
        history.traffic = busy_traffic()
        for notice in EVENTS:
            history.notices.add(notice)

    scene = replace(TROUBLED, silent="")
    assert matches_snapshot(lambda: FrozenConsole(scene), fill, sees("-10:00", "flaps"))


def test_all_is_well(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: FrozenConsole(CALM), sees("web6"))


def test_problems_and_a_silent_load_balancer(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: FrozenConsole(TROUBLED), sees("lb2: connection refused"))


def test_problems_seen_by_both_and_one_reloaded(matches_snapshot: SnapshotCheck) -> None:
    scene = replace(TROUBLED, silent="", reloaded="lb1")
    assert matches_snapshot(lambda: FrozenConsole(scene), sees("reloaded 4 s ago"), "down", "x", "down", "x")


def test_a_name_that_means_harm(matches_snapshot: SnapshotCheck) -> None:
    scene = Frame((*BUSY[:2], replace(BUSY[2], name=HOSTILE), replace(TROUBLED.machines[5], name="日本語-7")))
    assert matches_snapshot(lambda: FrozenConsole(scene), sees("▼ L4CON"))


def test_a_filter(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: FrozenConsole(TROUBLED), "slash", types("web2"), sees("web2"))


def test_read_only_and_a_gray_key_says_why(matches_snapshot: SnapshotCheck) -> None:
    scene = replace(CALM, level=Level.OPERATOR)
    assert matches_snapshot(lambda: FrozenConsole(scene), "d", sees("changes need admin"))


def test_the_help(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: FrozenConsole(CALM), "t", "question_mark", sees("Help", "search"))


def test_the_palette(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(
        lambda: FrozenConsole(CALM),
        "ctrl+p",
        sees("Search for commands"),
        types("web3 d"),
        sees("web3 drain"),
        silence,
    )


@small
def test_a_terminal_too_small(matches_snapshot: SnapshotCheck) -> None:
    async def shrink(pilot: Pilot[str]) -> None:
        await pilot.resize_terminal(70, 20)

    assert matches_snapshot(lambda: FrozenConsole(CALM), shrink, sees("needs 80 by 24"))


@sizes
def test_an_unfinished_rollout(matches_snapshot: SnapshotCheck) -> None:
    async def leave(pilot: Pilot[str]) -> None:
        screen = pilot.app.screen
        screen._actions.unfinished = ("web3 was left by rollout 12 (upgrade to 1.5.0)", "web4 too")  # type: ignore[attr-defined]
        screen._paint()  # type: ignore[attr-defined]

    assert matches_snapshot(lambda: FrozenConsole(CALM), leave, sees("not finished: web3", "(and 1 more)"))


def test_nodes_instead_of_servers(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: FrozenConsole(replace(TROUBLED, silent="")), "v", sees("nodes"))
