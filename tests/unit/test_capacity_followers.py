"""The floor of backends whose servers follow those that leave, and where traffic may fail."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from backends.model import Info, Level, Operational, Server, ServerRef, Snapshot
from orchestrator.balancers.admin_state import MAX_NAMED_SERVERS
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity, CapacityViolation
from tests.support.console_values import server

POLICY = Policy(min_available=1)
WEB1 = server("web1", address="10.0.0.1")
WEB2 = server("web2", address="10.0.0.2")
DOWN = {"operational": Operational.STOPPED, "status": "DOWN", "check_health": 0}


def snapshot(*servers: Server) -> Snapshot:
    return Snapshot(Info("lb1", "3.0", 1, 1, False), Level.ADMIN, (), servers)


def check(*others: Server, ignored: Collection[str] = ("other",)) -> tuple[Capacity, ...]:
    """Check whether web1 may leave; traffic to its machine may fail in the backend `other`."""
    return capacity.check_capacity(
        {"lb1": snapshot(WEB1, WEB2, *others)}, [WEB1.ref], POLICY, ignored_backends=ignored
    )


def follower(**changes: object) -> Server:
    return replace(server("o1", backend="other", track_target="shop/web1"), **changes)  # type: ignore[arg-type]


def test_a_follower_on_the_same_machine_has_no_floor_where_that_is_accepted() -> None:
    (found,) = check(follower(address="10.0.0.1"))
    assert (found.backend, found.before, found.after) == ("shop", 2, 1)


@pytest.mark.parametrize(
    "changes",
    [{"address": "10.0.0.3"}, {"address": "10.0.0.2"}, {"address": "10.0.0.1", "port": 9}, {"address": ""}],
)
def test_a_follower_on_another_machine_has_its_floor_even_there(changes: dict[str, object]) -> None:
    """What was accepted are failures of the machine that is worked on, and no others."""
    with pytest.raises(CapacityViolation, match="other on lb1: in rotation 1 → 0, floor 1; other/o1 follows"):
        check(follower(**changes))


def test_a_follower_on_the_same_machine_has_its_floor_elsewhere() -> None:
    with pytest.raises(CapacityViolation) as refused:
        check(follower(address="10.0.0.1"), ignored=("shop", "another"))
    assert [found.backend for found in refused.value.broken] == ["other"]


def test_each_backend_that_breaks_is_named() -> None:
    others = [
        follower(ref=ServerRef("lb1", backend, "o1"), address="10.0.0.3") for backend in ("other", "third")
    ]
    with pytest.raises(CapacityViolation) as refused:
        check(*others)
    assert [found.backend for found in refused.value.broken] == ["other", "third"]
    assert str(refused.value).count("; other/o1 follows shop/web1") == 1


def measure(*servers: Server, leaving: Collection[Server], policy: Policy = POLICY) -> Capacity:
    (found,) = capacity.measure_capacity(
        {"lb1": snapshot(*servers)}, [server.ref for server in leaving], policy
    )
    return found


def test_only_servers_that_leave_and_take_traffic_are_removed_traffic() -> None:
    down = replace(WEB1, **DOWN)  # type: ignore[arg-type]
    assert measure(down, WEB2, leaving=[down]).traffic_servers_removed == 0
    assert measure(down, WEB2, leaving=[down, WEB2]).traffic_servers_removed == 1
    assert measure(WEB1, WEB2, leaving=[WEB1]).traffic_servers_removed == 1


def test_what_takes_no_traffic_may_leave_below_the_floor_and_nothing_else() -> None:
    down = replace(WEB1, **DOWN)  # type: ignore[arg-type]
    both = Policy(min_available=2)
    assert measure(down, WEB2, leaving=[down], policy=both).allowed
    assert not measure(down, WEB2, leaving=[WEB2], policy=both).allowed
    assert not measure(down, WEB2, leaving=[down, WEB2], policy=both).allowed


@pytest.mark.parametrize(
    ("after", "floor", "spare", "remaining"),
    [
        (3, 1, 0, 2),
        (1, 1, 0, 0),
        (0, 1, 0, 0),
        (3, 2, 0, 1),
        (3, 1, 1, 3),  # the backup serves when the last one has left
        (3, 0, 0, 3),
        (3, 2, 1, 1),  # one backup is less than the floor
        (1, 3, 1, 0),
        (3, 2, 2, 1),
    ],
)
def test_how_many_more_may_leave(after: int, floor: int, spare: int, remaining: int) -> None:
    assert Capacity("lb1", "shop", 3, after, floor, spare=spare).remaining == remaining


def test_of_many_followers_and_backups_a_few_are_named() -> None:
    names = tuple(f"b{number}" for number in range(50))
    found = Capacity(
        "lb1", "shop", 3, 1, 1, takes_over=names, carried=tuple((f"o/{name}", "s/w") for name in names)
    )
    assert found.notes.startswith("; b0 (backup) takes over; b1 (backup) takes over")
    assert found.notes.count("takes over") == found.notes.count("follows") == MAX_NAMED_SERVERS


def test_a_backup_that_serves_already_takes_nothing_over() -> None:
    """All active servers are down: the backups serve, and one of them may leave."""
    down = replace(WEB1, **DOWN)  # type: ignore[arg-type]
    backups = [replace(server(name), backup=True) for name in ("b1", "b2")]
    servers = {"lb1": snapshot(down, *backups)}

    def takes_over(*leaving: Server, all_backups: bool) -> tuple[int, int, tuple[str, ...]]:
        (found,) = capacity.measure_capacity(
            servers,
            [server.ref for server in leaving],
            POLICY,
            all_backups=[("lb1", "shop")] if all_backups else (),
        )
        return found.before, found.after, found.takes_over

    assert takes_over(down, all_backups=False) == (1, 1, ())
    assert takes_over(backups[0], all_backups=False) == (1, 1, ("b2",))
    assert takes_over(backups[0], all_backups=True) == (2, 1, ())
