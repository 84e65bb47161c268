"""A node that others follow: while it is worked on, at the end, and by hand."""

import pytest

from backends.model import AdminState
from orchestrator.engine import manual_change
from orchestrator.engine.final_state import read_final_state
from orchestrator.engine.steps.drain import drain
from orchestrator.engine.steps.verify import verify
from orchestrator.events.events import Waiting
from orchestrator.events.ways_back import OutOfRotation
from orchestrator.planning.findings import PreflightFailed
from orchestrator.planning.plan import Plan
from tests.support.fake_fleet import World
from tests.unit.tracking import add, follow, ref

# -- while a node is worked on -------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_tracking_is_looked_at_again_right_before_the_drain() -> None:
    world = World(3, 1, capacity_timeout=5)
    plan = await world.plan()
    assert plan.node("web1").followers == ()
    follow(world, "other/o1", "shop/web1")  # a reload with another configuration
    ended = await world.carry_out(plan)
    assert ended.held == ["web1"]
    assert world.sent() == []
    reasons = [event.reason for event in world.events(Waiting)]
    assert reasons[0] == "other on lb1: in rotation 1 → 0, floor 1; other/o1 follows shop/web1"


@pytest.mark.virtual_time
async def test_the_sessions_of_followers_end_before_maintenance() -> None:
    world = World(2, 1)
    follower = follow(world, "other/o1", "shop/web1")
    add(world, "other/o2")
    follower.leaving = [20.0]
    context = world.context()
    assert await drain(context) == "no sessions left"
    assert context.followers == {ref("other/o1")}
    (drained, _), (maintained, _) = world.balancers["lb1"].sent
    assert drained < 1
    assert maintained == pytest.approx(20, rel=0.1)
    (reason, *_) = [event.reason for event in world.events(Waiting)]
    assert reason == "sessions: 1 on lb1 (other/o1, which follows it)"


@pytest.mark.virtual_time
@pytest.mark.parametrize(("node", "shut"), [("web1", True), ("", False)])
async def test_only_sessions_of_the_machine_itself_are_cut(node: str, shut: bool) -> None:
    world = World(2, 1, drain_timeout=5, maint_grace_period=5, on_remaining_sessions="shutdown")
    follow(world, "other/o1", "shop/web1", node).leaving = [3600.0]
    add(world, "other/o2")
    await drain(world.context())
    lines = [line for _, line in world.balancers["lb1"].sent]
    assert ("shutdown sessions server other/o1" in lines) is shut


@pytest.mark.virtual_time
async def test_a_node_is_back_when_its_followers_are() -> None:
    world = World(2, 1, bake_time=0)
    follow(world, "other/o1", "shop/web1").slow_start = 30
    held = follow(world, "other/o3", "shop/web1")
    held.set_state("maint")
    add(world, "other/o2")
    context = world.context(wanted="1.0")
    await drain(context)
    world.balancers["lb1"].servers["other/o1"].ramp_ends = 60.0
    assert await verify(context) == "in rotation"
    assert world.clock.monotonic() >= 60
    last = [event.reason for event in world.events(Waiting)][-1]
    assert last.startswith("other/o1, which follows it: UP on lb1, slow start")


@pytest.mark.virtual_time
async def test_a_follower_that_a_reload_has_removed_is_not_waited_for() -> None:
    world = World(2, 1, bake_time=0)
    follow(world, "other/o1", "shop/web1")
    add(world, "other/o2")
    context = world.context(wanted="1.0")
    await drain(context)
    del world.balancers["lb1"].servers["other/o1"]
    assert await verify(context) == "in rotation"


@pytest.mark.virtual_time
async def test_nodes_of_one_batch_may_follow_each_other() -> None:
    world = World(3, 2, serial=2)
    for instance in world.balancers:
        follow(world, "shop/web2", "shop/web1", instance=instance)
    ended = await world.upgrade()
    assert ended.result == "healthy", ended.reason
    assert {node.installed for node in world.nodes.values()} == {"2.0"}
    assert world.admin("web2") == [AdminState.READY] * 2


# -- at the end ----------------------------------------------------------------------------------


async def out(world: World, plan: Plan) -> list[OutOfRotation]:
    found, _ = await read_final_state(world.application, plan, {})
    return found


@pytest.mark.virtual_time
async def test_who_is_out_because_it_follows_is_named_beside_the_node() -> None:
    world = World(2, 2)
    follow(world, "other/o1", "shop/web1", instance="lb2")
    add(world, "other/o2", "lb2")
    plan = await world.plan()
    world.take_out("web1")
    (found,) = await out(world, plan)
    assert found.servers == [
        "shop/web1 on lb1: maint (MAINT)",
        "shop/web1 on lb2: maint (MAINT)",
        "other/o1 on lb2: maint (MAINT (via web1)), because it follows shop/web1",
    ]


@pytest.mark.virtual_time
async def test_a_node_that_is_out_because_it_follows_is_put_back_by_the_other_one() -> None:
    world = World(3, 1)
    follow(world, "shop/web2", "shop/web1")
    plan = await world.plan()
    world.take_out("web1")
    first, second = await out(world, plan)
    assert (first.node, second.node) == ("web1", "web2")
    assert second.servers == ["shop/web2 on lb1: maint (MAINT (via web1)), because it follows shop/web1"]
    assert second.command_texts == ["rolldeck ready shop web1"], "nothing sent to web2 would help"
    assert not second.intentional


@pytest.mark.virtual_time
async def test_a_failed_node_is_named_with_those_that_are_out_because_of_it() -> None:
    world = World(2, 1, min_available=1, verify_timeout=30, bake_time=10)
    world.nodes["web1"].sick = frozenset({"2.0"})
    follow(world, "other/o1", "shop/web1")
    add(world, "other/o2")
    ended = await world.upgrade()
    (found,) = ended.out_of_rotation
    assert found.node == "web1"
    assert found.servers[-1].endswith("because it follows shop/web1")


# -- when it was out with another one before -----------------------------------------------------


@pytest.mark.virtual_time
async def test_a_node_that_was_out_with_another_one_is_upgraded_and_stays_so() -> None:
    world = World(4, 1)
    follow(world, "shop/web2", "shop/web1")
    world.take_out("web1")  # somebody has a reason
    ended = await world.upgrade()
    assert ended.result == "healthy", ended.reason
    assert {node.installed for node in world.nodes.values()} == {"2.0"}
    assert [(found.node, found.intentional, found.command_texts) for found in ended.out_of_rotation] == [
        ("web1", True, []),
        ("web2", True, []),
    ]


@pytest.mark.virtual_time
async def test_a_node_in_rotation_may_be_worked_on_while_another_one_follows_it() -> None:
    world = World(3, 2)
    for instance in world.balancers:
        follow(world, "shop/web2", "shop/web1", instance=instance)
    ended = await world.upgrade()
    assert (ended.result, ended.upgraded) == ("healthy", ["web1", "web2", "web3"])
    assert min(move.after for lb in world.balancers.values() for move in lb.moves) == 1


async def put_back(world: World, *names: str) -> None:
    change = manual_change.Change("ready", manual_change.find_nodes(world.application, names))
    await manual_change.apply(world.application, change, world.control, world.clock, world.bus)


@pytest.mark.virtual_time
async def test_ready_by_hand_begins_with_the_one_that_is_followed() -> None:
    world = World(4, 1)
    follow(world, "shop/web3", "shop/web2")
    follow(world, "shop/web2", "shop/web1")
    for name in ("web1", "web3"):
        world.take_out(name)
    why = "shop/web3 on lb1: follows shop/web2, which is out"
    with pytest.raises(PreflightFailed, match=why):
        await put_back(world, "web3")
    nodes = manual_change.find_nodes(world.application, ["web3"])
    with pytest.raises(PreflightFailed, match=why):
        await manual_change.read_impact(world.application, manual_change.Change("ready", nodes))
    assert world.sent() == []
    await put_back(world, "web3", "web2", "web1")
    assert [world.admin(name) for name in ("web1", "web2", "web3")] == [[AdminState.READY]] * 3


@pytest.mark.virtual_time
async def test_ready_by_hand_is_done_when_the_followers_are_back() -> None:
    world = World(2, 1)
    follow(world, "other/o1", "shop/web1")
    world.take_out("web1")
    nodes = manual_change.find_nodes(world.application, ["web1"])
    seen = await manual_change.read_impact(world.application, manual_change.Change("ready", nodes))
    assert (seen.followers, seen.carried, seen.capacities) == ((ref("other/o1"),), (), ())
    await put_back(world, "web1")
    assert world.balancers["lb1"].servers["other/o1"].seen().in_rotation
