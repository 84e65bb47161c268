"""Servers that follow others by `track`: what goes with whom, through chains, circles and backends."""

from dataclasses import replace

import pytest

from backends.model import Admin, ServerRef
from orchestrator.balancers.admin_state import find_followers, find_returning_followers, find_track_targets
from orchestrator.engine import manual_change
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.findings import Severity
from orchestrator.planning.plan import Plan
from orchestrator.planning.plan_json import encode_plan
from tests.support.fake_fleet import World
from tests.unit.tracking import add, follow, ref


def tracking(**pairs: str) -> dict[ServerRef, ServerRef]:
    """`{"o1": "r1"}` of backend shop on lb1."""
    return {ref(f"shop/{one}"): ref(f"shop/{other}") for one, other in pairs.items()}


@pytest.mark.parametrize(
    ("tracked", "leaving", "found"),
    [
        ({}, {"a"}, set()),
        ({"b": "a"}, {"a"}, {"b"}),
        ({"b": "a"}, {"b"}, set()),
        ({"b": "a", "c": "b", "d": "c"}, {"a"}, {"b", "c", "d"}),
        ({"b": "a", "c": "b", "d": "c"}, {"b"}, {"c", "d"}),
        ({"b": "a", "c": "a"}, {"a", "b"}, {"c"}),
        ({"a": "c", "b": "a", "c": "b"}, {"a"}, {"b", "c"}),  # HAProxy refuses a circle
        ({"a": "a"}, {"a"}, set()),
        ({"b": "elsewhere"}, {"a"}, set()),
    ],
)
def test_followers_are_found_through_others(
    tracked: dict[str, str], leaving: set[str], found: set[str]
) -> None:
    assert find_followers(tracking(**tracked), {ref(f"shop/{name}") for name in leaving}) == {
        ref(f"shop/{name}") for name in found
    }


def errors(plan: Plan) -> list[str]:
    return [finding.text for finding in plan.findings if finding.severity is Severity.ERROR]


@pytest.mark.virtual_time
async def test_each_load_balancer_has_its_own_tracking() -> None:
    world = World(2, 2)
    follow(world, "other/o1", "shop/web1", instance="lb2")
    tracked = find_track_targets(lb.seen() for lb in world.balancers.values())
    assert tracked == {ref("other/o1", "lb2"): ref("shop/web1", "lb2")}
    plan = await world.plan()
    assert plan.node("web1").followers == (ref("other/o1", "lb2"),)
    assert plan.node("web2").followers == ()
    (error,) = errors(plan)
    assert "other on lb2: in rotation 1 → 0, floor 1; other/o1 follows shop/web1" in error


@pytest.mark.virtual_time
async def test_who_is_kept_out_itself_does_not_come_back_and_neither_do_those_behind_it() -> None:
    world = World(1, 1)
    follow(world, "other/o1", "shop/web1")
    held = follow(world, "other/o2", "other/o1")
    follow(world, "other/o3", "other/o2")
    held.set_state("maint")
    world.server("web1").set_state("maint")
    servers = [server.seen() for path, server in world.balancers["lb1"].servers.items() if "o" in path]
    servers = [server for server in servers if server.ref.backend == "other"]
    assert all(server.admin & Admin.INHERITED_MAINT for server in servers)
    assert find_returning_followers(servers, [ref("shop/web1")]) == {ref("other/o1")}


# -- refused before anything is touched ----------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_pair_in_which_one_follows_the_other_is_refused() -> None:
    world = World(2, 1, min_available="50%")
    follow(world, "shop/web2", "shop/web1")
    plan = await world.plan()
    assert errors(plan) == [
        "capacity floor violated: shop on lb1: in rotation 2 → 0, floor 1; shop/web2 follows shop/web1"
        " (see serial, min_available, max_unavailable)"
    ]
    assert not world.touched()
    assert (await world.plan(limit=["web2"])).errors == ()  # it may go: nobody follows it


@pytest.mark.virtual_time
async def test_the_last_server_of_a_backend_that_is_not_ours_is_not_carried_out() -> None:
    world = World(3, 1)
    follow(world, "other/o1", "shop/web1")
    follow(world, "third/t1", "other/o1")
    plan = await world.plan()
    assert [text.partition(" (see")[0] for text in errors(plan)] == [
        "capacity floor violated: other on lb1: in rotation 1 → 0, floor 1; other/o1 follows shop/web1",
        "capacity floor violated: third on lb1: in rotation 1 → 0, floor 1; third/t1 follows other/o1",
    ]
    add(world, "other/o2")
    add(world, "third/t2")
    plan = await world.plan()
    assert errors(plan) == []
    found = [f.text for f in plan.findings if f.severity is Severity.WARNING and f.subject == "web1"]
    assert found == [
        "also affects other/o1 on lb1, which follows shop/web1",
        "also affects third/t1 on lb1, which follows other/o1",
    ]


@pytest.mark.virtual_time
async def test_the_same_machine_goes_along_rightly() -> None:
    world = World(2, 1)
    for number in (1, 2):
        follow(world, f"api/a{number}", f"shop/web{number}", node=f"web{number}")
    plan = await world.plan()
    assert errors(plan) == []
    assert [f.text for f in plan.findings if f.severity is Severity.INFO] == [
        f"also affects api/a{number} on lb1, which follows shop/web{number}" for number in (1, 2)
    ]
    names = [(found.backend, found.before, found.after) for found in plan.capacities[0]]
    assert names == [("api", 2, 1), ("shop", 2, 1)]
    assert (await world.upgrade()).result == "healthy"


@pytest.mark.virtual_time
async def test_where_traffic_to_the_machine_may_fail_its_followers_have_no_floor() -> None:
    world = World(2, 1)
    follow(world, "api/a1", "shop/web1", node="web1")
    assert len(errors(await world.plan())) == 1
    world.application = replace(world.application, ignored_backends=("api",))
    assert errors(await world.plan()) == []
    follow(world, "api/a2", "shop/web1")  # another machine: nobody has accepted that
    assert "api on lb1: in rotation 2 → 1, floor 1" not in errors(await world.plan())
    world.policy = world.application.policy
    assert (await world.upgrade()).result == "healthy"


@pytest.mark.virtual_time
async def test_a_weight_is_not_inherited() -> None:
    world = World(2, 1)
    follow(world, "other/o1", "shop/web1")
    nodes = manual_change.find_nodes(world.application, ["web1"])
    seen = await manual_change.read_impact(world.application, manual_change.Change("weight", nodes, 0))
    assert (seen.broken, seen.followers) == ((), ())
    seen = await manual_change.read_impact(world.application, manual_change.Change("maint", nodes))
    assert [str(found) for found in seen.broken] == [
        "other on lb1: in rotation 1 → 0, floor 1; other/o1 follows shop/web1"
    ]
    assert seen.carried == ("other/o1 on lb1, which follows shop/web1",)


@pytest.mark.virtual_time
@pytest.mark.parametrize("action", ["drain", "maint"])
async def test_a_change_by_hand_is_refused_as_well(action: manual_change.Action) -> None:
    world = World(2, 1)
    follow(world, "other/o1", "shop/web1")
    change = manual_change.Change(action, manual_change.find_nodes(world.application, ["web1"]))
    with pytest.raises(CapacityViolation, match="other/o1 follows shop/web1"):
        await manual_change.apply(world.application, change, world.control, world.clock, world.bus)
    assert world.sent() == []
    forced = replace(change, override=frozenset({"web1"}))
    await manual_change.apply(world.application, forced, world.control, world.clock, world.bus)
    assert world.balancers["lb1"].servers["other/o1"].seen().admin_state.value == action


@pytest.mark.virtual_time
async def test_how_backups_count_is_read_for_the_backends_of_followers_too() -> None:
    world = World(2, 1, min_available=0)
    follow(world, "other/o1", "shop/web1").backup = True
    add(world, "other/o2").backup = True
    lb = world.balancers["lb1"]
    lb.config = replace(lb.config, all_backups=frozenset({"other"}))
    assert (await world.plan()).all_backups == {("lb1", "other")}


@pytest.mark.virtual_time
async def test_followers_are_in_the_plan_as_data() -> None:
    world = World(2, 1)
    follow(world, "other/o1", "shop/web1")
    fields = encode_plan(await world.plan())
    assert fields["nodes"][0]["followers"] == [{"instance": "lb1", "backend": "other", "server": "o1"}]
    assert fields["capacities"][0][0]["carried"] == (("other/o1", "shop/web1"),)
