"""The end of a rollout in doubt: who took a node out, which version, and nodes that do not answer."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from backends.errors import Unreachable
from backends.model import Admin, Operational, Snapshot
from orchestrator.engine.final_state import find_removal_time, read_final_state
from orchestrator.engine.out_of_rotation import check_commands, find_out_followers
from orchestrator.events.ways_back import OutOfRotation, make_ready_command
from tests.support.console_values import server
from tests.support.fake_fleet import World
from tests.unit.tracking import add, follow, ref


@pytest.mark.virtual_time
@pytest.mark.parametrize("with_agent", [0, 1, 2])
async def test_one_server_with_an_agent_check_is_enough_to_doubt_that_it_was_a_human(with_agent: int) -> None:
    world = World(nodes=2)
    for line in world.servers("web1")[:with_agent]:
        line.agent_configured = line.agent = True
    plan = await world.plan()
    world.take_out("web1", "drain")
    ((out,), _) = await read_final_state(world.application, plan, {}, now=1000.0)
    assert (out.by_others, out.by_agent, out.commands) == (True, with_agent > 0, [])


@pytest.mark.virtual_time
async def test_without_known_versions_a_node_that_is_down_is_started_on_that_of_the_plan() -> None:
    world = World(nodes=2, instances=1)
    plan = await world.plan()
    world.server("web1").health_down()
    for versions in (None, {}, {"web2": "1.0"}):
        ((out,), _) = await read_final_state(world.application, plan, {}, versions=versions)
        assert out.command_texts == ["rolldeck upgrade shop 2.0 --limit web1"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("down", [False, True])
async def test_only_an_agent_without_words_is_asked_again(down: bool) -> None:
    world = World(nodes=2, instances=1)
    plan = await world.plan()
    balancer, reads = world.balancers["lb1"], 0
    read = balancer.snapshot

    async def snapshot(backends: Sequence[str] = ()) -> Snapshot:
        nonlocal reads
        reads += 1
        whole = await read(backends)
        first, *others = whole.servers
        said = "via agent : down" if reads == 3 else ""
        fallen = replace(first, status="DOWN (agent)", operational=Operational.STOPPED, last_agent=said)
        return replace(whole, servers=(fallen, *others)) if down and backends else whole

    balancer.snapshot = snapshot  # type: ignore[method-assign]
    await read_final_state(world.application, plan, {})
    # Once more with all backends where something is out, to find its followers.
    assert reads == (4 if down else 1)


def test_the_last_server_that_was_taken_out_tells_when() -> None:
    out = {"admin": Admin.FORCED_MAINT, "last_change": 60}
    servers = [
        server("web1", last_change=5),
        replace(server("web2"), **out),  # type: ignore[arg-type]
        replace(server("web3"), admin=Admin.FORCED_DRAIN, last_change=90),
    ]
    assert find_removal_time(servers, 1000.0) == 940.0
    assert find_removal_time(servers[:1], 1000.0) == 0.0
    assert find_removal_time([], 1000.0) == 0.0


# -- followers, and nodes that do not answer -------------------------------------------------------


@pytest.mark.virtual_time
async def test_only_followers_that_are_out_because_of_others_are_found() -> None:
    world = World(2, 1)
    follow(world, "other/o1", "shop/web1")
    follow(world, "other/o2", "shop/web1").set_state("maint")  # somebody wants it out
    follow(world, "known/k1", "shop/web1")
    follow(world, "other/o3", "shop/web2")
    add(world, "other/o4")
    out = [ref("shop/web1")]
    balancers = world.balancers.values()
    assert await find_out_followers(balancers, out, beside=["known"]) == ([], []), "nothing is out yet"
    world.take_out("web1")
    found, errors = await find_out_followers(balancers, out, beside=["known"])
    assert ([server.ref for server in found], errors) == ([ref("other/o1")], [])
    assert await find_out_followers(balancers, [], beside=[]) == ([], [])


@pytest.mark.virtual_time
async def test_a_load_balancer_that_cannot_be_read_hides_no_followers_of_others() -> None:
    world = World(2, 2)
    follow(world, "other/o1", "shop/web1", instance="lb2")
    world.take_out("web1")
    world.balancers["lb1"].down = True
    out = [ref("shop/web1"), ref("shop/web1", "lb2")]
    found, errors = await find_out_followers(world.balancers.values(), out, beside=["shop"])
    assert [server.ref for server in found] == [ref("other/o1", "lb2")]
    assert [str(error) for error in errors] == ["lb1: connection refused"]


async def checked(world: World, *unfinished: str) -> OutOfRotation:
    ready = make_ready_command("shop", "web1")
    out = OutOfRotation(node="web1", servers=["shop/web1"], intentional=False, commands=[ready])
    (found,) = await check_commands(world.application, [out], unfinished)
    assert found.commands == [ready], "the command stays: the node may get well"
    return found


@pytest.mark.virtual_time
async def test_ready_is_not_advised_for_a_node_that_cannot_be_queried() -> None:
    world = World(2, 1)
    world.nodes["web1"].faults.add("health", Unreachable("web1", "no route to host"), times=9)
    world.nodes["web1"].faults.add("state", Unreachable("web1", "no route to host"), times=9)
    assert (await checked(world, "web1")).not_ready == "it cannot be queried: web1: no route to host"
    assert (await checked(world)).not_ready == "", "it is as it was before, and is not asked"


@pytest.mark.virtual_time
async def test_a_healthy_node_whose_manager_does_not_answer_can_be_made_ready() -> None:
    world = World(2, 1)
    world.nodes["web1"].faults.add("state", Unreachable("web1", "no route to host"), times=9)
    assert (await checked(world, "web1")).not_ready == ""
    world.nodes["web1"].healthy = False
    found = await checked(world, "web1")
    assert (found.not_ready, found.stopped) == ("it cannot be queried: web1: no route to host", False)
