"""Snapshots of the fleet and of the list in which typing finds an application."""

from textual.pilot import Pilot

from tests.console.conftest import SnapshotCheck, sees, sizes, small, types
from tests.console.fleet_app import ROWS, FleetApp, FrozenOverview
from tests.console.frozen_console import CALM, FrozenConsole
from widgets.fleet.strip import RolloutStrip


def test_a_fleet(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(FleetApp, sees("waits for you"), "down", "x", "down")


@small
def test_a_filter_and_a_silent_load_balancer(matches_snapshot: SnapshotCheck) -> None:
    overview = FrozenOverview()
    overview.silent = "lb2"
    assert matches_snapshot(lambda: FleetApp(overview), "slash", types("catalog"), "enter", sees("2 of 9"))


def test_a_list_to_find_an_application(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(
        lambda: FleetApp(FrozenOverview(ROWS)), "g", types("cat"), sees("catalog-internal-us")
    )


@sizes
def test_the_rollouts_of_other_applications(matches_snapshot: SnapshotCheck) -> None:
    async def add_strip(pilot: Pilot[str]) -> None:
        strip = RolloutStrip()
        await pilot.app.screen.mount(strip)
        strip.show(FrozenOverview().running_rows(), "f2")

    assert matches_snapshot(lambda: FrozenConsole(CALM), add_strip, sees("waits for you: web2", "f2"))
