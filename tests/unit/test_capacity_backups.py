"""Active and backup servers in the capacity guard: a backup counts only when it takes over."""

from dataclasses import replace

import msgspec
import pytest

from backends.haproxy.columns import columns_of
from backends.model import Admin, Info, Level, Operational, Server, ServerRef, Snapshot
from orchestrator.live.disruptions import measure_headroom
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import Rates, RowIndex
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity, CapacityViolation
from orchestrator.planning.findings import Severity
from tests.support.fake_fleet import World
from tests.support.virtual_time import run

HALF = msgspec.convert({"min_available": "50%"}, Policy)
ALL_BACKUPS = {("lb1", "shop")}

STATES: dict[str, dict[str, object]] = {
    "up": {},
    "rising": {"status": "UP 1/3", "check_health": 2},
    "down": {"status": "DOWN", "operational": Operational.STOPPED, "check_health": 0},
    "drain": {"status": "DRAIN", "admin": Admin.FORCED_DRAIN, "effective_weight": 0},
}


async def _server() -> Server:
    return World(1, 1).server("web1").seen()


UP = run(_server())


def pool(**states: str) -> Snapshot:
    """One backend; a server whose name begins with "b" is a backup."""
    servers = tuple(
        replace(
            UP,
            ref=ServerRef("lb1", "shop", name),
            backup=name.startswith("b"),
            **STATES[state],  # type: ignore[arg-type]
        )
        for name, state in states.items()
    )
    return Snapshot(Info("lb1", "2.6", 1, 1, False), Level.ADMIN, (), servers)


def without(seen: Snapshot, *leaving: str, all_backups: bool = False, back: tuple[str, ...] = ()) -> Capacity:
    (found,) = capacity.measure_capacity(
        {"lb1": seen},
        {ServerRef("lb1", "shop", name) for name in leaving},
        HALF,
        back={ServerRef("lb1", "shop", name) for name in back},
        all_backups=ALL_BACKUPS if all_backups else (),
    )
    return found


@pytest.mark.parametrize(
    ("states", "leaving", "before", "after", "floor", "allowed"),
    [
        pytest.param({"a1": "up", "b1": "up"}, ["a1"], 1, 1, 1, True, id="the backup takes over"),
        pytest.param({"a1": "up", "b1": "down"}, ["a1"], 1, 0, 1, False, id="the backup is down"),
        pytest.param({"a1": "up", "b1": "drain"}, ["a1"], 1, 0, 1, False, id="the backup is drained"),
        pytest.param({"a1": "up", "b1": "rising"}, ["a1"], 1, 0, 1, False, id="the backup is unproven"),
        pytest.param({"a1": "up", "b1": "up"}, ["b1"], 1, 1, 1, True, id="the backup does not serve"),
        pytest.param({"a1": "down", "b1": "up"}, ["b1"], 1, 0, 1, False, id="the backup serves"),
        pytest.param({"a1": "drain", "b1": "up"}, ["b1"], 1, 0, 1, False, id="serves while drained"),
        pytest.param({"a1": "up", "b1": "up"}, ["a1", "b1"], 1, 0, 1, False, id="both at once"),
        pytest.param({"a1": "down", "b1": "up", "b2": "up"}, ["b1"], 1, 1, 1, True, id="the next backup"),
        pytest.param({"a1": "up", "b1": "down", "b2": "up"}, ["a1"], 1, 1, 1, True, id="the first healthy"),
        pytest.param({"a1": "up", "b1": "rising", "b2": "up"}, ["a1"], 1, 0, 1, False, id="unproven first"),
        pytest.param({"a1": "up", "a2": "rising", "b1": "up"}, ["a1"], 1, 0, 1, False, id="UP 1/3 serves on"),
        pytest.param({"a1": "up", "a2": "down", "b1": "up"}, ["a1"], 1, 1, 1, True, id="the last active"),
        pytest.param({"a1": "down", "b1": "up"}, ["a1"], 1, 1, 1, True, id="the dead one goes"),
        pytest.param(
            {f"a{n}": "up" for n in range(4)} | {"b1": "up"},
            [f"a{n}" for n in range(4)],
            *(4, 1, 2, False),
            id="one backup for four",
        ),
    ],
)
def test_a_backup_counts_once_no_active_server_takes_traffic(
    states: dict[str, str], leaving: list[str], before: int, after: int, floor: int, allowed: bool
) -> None:
    found = without(pool(**states), *leaving)
    assert (found.before, found.after, found.floor, found.allowed) == (before, after, floor, allowed)


def test_all_backups_count_where_haproxy_uses_all_of_them() -> None:
    seen = pool(a1="up", a2="up", a3="up", a4="up", b1="up", b2="down", b3="up")
    actives = ("a1", "a2", "a3", "a4")
    assert without(seen, *actives).after == 1
    found = without(seen, *actives, all_backups=True)
    assert (found.after, found.floor, found.allowed) == (2, 2, True)
    assert str(found).endswith("in rotation 4 → 2, floor 2; b1 (backup) takes over; b3 (backup) takes over")


def test_the_refusal_and_the_permission_say_what_becomes_of_the_backup() -> None:
    with pytest.raises(CapacityViolation, match=r"^shop on lb1: in rotation 1 → 0, floor 1$"):
        capacity.check_capacity({"lb1": pool(a1="up", b1="down")}, {ServerRef("lb1", "shop", "a1")}, HALF)
    assert str(without(pool(a1="up", b1="up"), "a1")) == (
        "shop on lb1: in rotation 1 → 1, floor 1; b1 (backup) takes over"
    )
    assert "takes over" not in str(without(pool(a1="down", b1="up"), "a1")), "it serves already"


def test_a_server_that_is_back_by_then_keeps_the_backups_out() -> None:
    seen = pool(a1="drain", b1="up")
    assert not without(seen, "b1").allowed
    found = without(seen, "b1", back=("a1",))
    assert (found.before, found.after, found.allowed) == (1, 1, True)


def test_backups_alone_have_a_floor_of_their_own() -> None:
    found = without(pool(b1="up", b2="up"), "b1")
    assert (found.before, found.after, found.floor) == (2, 1, 1)


@pytest.mark.parametrize("all_backups", [False, True])
@pytest.mark.parametrize("leaving", [(), ("a1",), ("b1",), ("a1", "b1"), ("a1", "a2")])
@pytest.mark.parametrize(
    "states",
    [
        {"a1": "up", "b1": "up"},
        {"a1": "up", "a2": "rising", "b1": "up", "b2": "up"},
        {"a1": "down", "b1": "up", "b2": "up"},
        {"a1": "up", "a2": "up", "b1": "down", "b2": "up", "b3": "up"},
    ],
)
def test_the_live_view_counts_as_the_guard_does(
    states: dict[str, str], leaving: tuple[str, ...], all_backups: bool
) -> None:
    seen = pool(**states)
    columns = columns_of(seen.servers)
    instance = BalancerView("lb1", "live", seen.info, seen.level, seen.servers, columns)
    view = FleetView((replace(instance, rates=Rates(RowIndex(columns.names))),))
    refs = {ServerRef("lb1", "shop", name) for name in leaving}
    places = ALL_BACKUPS if all_backups else set()
    ((live,), _) = measure_headroom(view, ["shop"], HALF, refs, places)
    expected = without(seen, *(leaving or ("nobody",)), all_backups=all_backups)
    numbers = [
        (found.before, found.after, found.floor, found.takes_over, found.spare) for found in (live, expected)
    ]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize(
    ("states", "room"),
    [
        ({"a1": "up", "b1": "up"}, 1),
        ({"a1": "up", "b1": "down"}, 0),
        ({"a1": "down", "b1": "up"}, 0),
        ({"a1": "up", "a2": "up", "b1": "up"}, 2),
        ({"a1": "up", "a2": "up", "b1": "down"}, 1),
        ({"a1": "up", "a2": "up", "a3": "up", "b1": "up"}, 1),
    ],
)
def test_how_many_may_go_one_after_the_other(states: dict[str, str], room: int) -> None:
    assert without(pool(**states), "nobody").remaining == room


# -- through the whole engine --------------------------------------------------------------------


def pair() -> World:
    """Node web1 is active and web2 its backup, on two load balancers."""
    world = World(2, 2, min_available="50%")
    for server in world.servers("web2"):
        server.backup = True
    return world


@pytest.mark.virtual_time
async def test_a_pair_is_upgraded_one_after_the_other() -> None:
    world = pair()
    plan = await world.plan()
    assert plan.errors == ()
    assert [str(found) for batch in plan.capacities for found in batch] == [
        *(f"shop on lb{n}: in rotation 1 → 1, floor 1; web2 (backup) takes over" for n in (1, 2)),
        *(f"shop on lb{n}: in rotation 1 → 1, floor 1" for n in (1, 2)),
    ]
    assert (await world.upgrade()).result == "healthy"
    assert all(move.taking >= 1 for lb in world.balancers.values() for move in lb.moves)


@pytest.mark.virtual_time
async def test_with_the_backup_down_nothing_is_touched() -> None:
    world = pair()
    for server in world.servers("web2"):
        server.up, server.health, server.inter = False, 0, 3600.0
    plan = await world.plan()
    assert [finding.subject for finding in plan.errors] == ["web1", "web1"]
    assert not world.touched()


@pytest.mark.virtual_time
async def test_all_backups_are_read_from_the_configuration_where_it_matters() -> None:
    world = World(5, 1, min_available="50%", serial="100%")
    for name in ("web4", "web5"):
        world.server(name).backup = True
    limit = ["web1", "web2", "web3"]
    assert [f.severity for f in (await world.plan(limit=limit)).findings] == [Severity.ERROR]
    lb = world.balancers["lb1"]
    lb.config = replace(lb.config, all_backups=frozenset({"shop"}))
    plan = await world.plan(limit=limit)
    assert plan.errors == ()
    assert plan.all_backups == {("lb1", "shop")}
    world.application = replace(world.application, nodes=world.application.nodes[:3])
    assert (await world.upgrade()).result == "healthy"  # the drain reads it too
