"""Snapshots of the fleet and of the list in which typing finds an application."""

from tests.console.conftest import SnapshotCheck, sees, small, types
from tests.console.fleet_app import ROWS, FleetApp, FrozenOverview


def test_a_fleet(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(FleetApp, sees("waits for you"), "down", "x", "down")


@small
def test_a_filter_and_a_silent_load_balancer(matches_snapshot: SnapshotCheck) -> None:
    overview = FrozenOverview()
    overview.silent = "lb2"
    assert matches_snapshot(lambda: FleetApp(overview), "slash", types("catalog"), "enter", sees("2 of 9"))


@small
def test_a_list_to_find_an_application(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(
        lambda: FleetApp(FrozenOverview(ROWS)), "g", types("cat"), sees("catalog-internal-us")
    )
