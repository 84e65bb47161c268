"""The rollout of one node: its order, its failures, and what people can decide about them."""

import asyncio

import pytest

from backends.errors import Refused, Unreachable
from backends.model import AdminState
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    DecisionRequested,
    NodeFailed,
    NodeNote,
    NodeUpgraded,
    Record,
    StepDone,
    Waiting,
)
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World, answer, steps
from tests.unit.world_events import until_baking


def break_install(world: World, name: str, times: int = 1) -> None:
    world.nodes[name].faults.add("install", Refused(name, "disk full"), times=times)


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", ["install", "stop", "start"])
async def test_neither_the_step_nor_the_node_is_said_twice(step: str) -> None:
    world = World(nodes=1, interactive=True, min_available=0)
    why = "exit status 1: No space left on device"
    world.nodes["web1"].faults.add(step, Refused("web1", f"{step} 2.0: {why}", reason=why))
    async with asyncio.TaskGroup() as group:
        group.create_task(world.upgrade())
        await answer(world, "abort")
    [failed], [asked] = world.events(NodeFailed), world.events(DecisionRequested)
    refused = "" if step == "install" else "refused: "
    assert (failed.node, failed.step, failed.error) == ("web1", step, refused + why)
    assert (asked.subject, asked.text) == ("web1", f"{step} failed: {refused}{why}")


@pytest.mark.virtual_time
async def test_what_cannot_be_reached_is_named_once_while_it_is_waited_for() -> None:
    world = World(nodes=1, min_available=0, stop_timeout=1)
    world.nodes["web1"].faults.always["stop"] = Fault(Unreachable("web1", "no route"))
    await world.upgrade()
    [failed] = world.events(NodeFailed)
    assert failed.error == "stop to be accepted: not within 1 s; last seen: no route"
    assert "no route" in [waiting.reason for waiting in world.events(Waiting)]


@pytest.mark.virtual_time
async def test_five_steps_in_order_and_the_time_of_each() -> None:
    world = World(nodes=1, min_available=0)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert steps(world, "web1") == ["drain", "stop", "install", "start", "verify"]
    assert world.nodes["web1"].asked == ["stop", "install 2.0", "start"]
    done = world.events(StepDone)
    assert all(step.changed for step in done)
    (whole,) = world.events(NodeUpgraded)
    assert whole.duration_s == pytest.approx(sum(step.duration_s for step in done), abs=0.01)


@pytest.mark.virtual_time
async def test_time_spent_paused_belongs_to_no_step() -> None:
    quick, paused = World(nodes=1, min_available=0), World(nodes=1, min_available=0)
    await quick.upgrade()
    paused.at(1.5, lambda: paused.control.pause(Actor("ann")))
    paused.at(1001.5, lambda: paused.control.resume(Actor("ann")))
    await paused.upgrade()
    seconds = [world.events(NodeUpgraded)[0].duration_s for world in (quick, paused)]
    assert 5 < seconds[1] <= seconds[0] + 1  # HAProxy's checks went on meanwhile


@pytest.mark.virtual_time
async def test_a_failed_node_is_kept_out_and_named_with_its_step() -> None:
    world = World()
    world.nodes["web1"].sick = frozenset({"2.0"})
    ended = await world.upgrade()
    (failed,) = world.events(NodeFailed)
    assert (failed.node, failed.step) == ("web1", "verify")
    assert ended.failed == ["web1"]
    assert world.admin("web1") == [AdminState.MAINT] * 2
    assert not any(node.asked for name, node in world.nodes.items() if name != "web1")


def spoiled_bake(world: World) -> None:
    for server in world.servers("web1"):
        server.gives_5xx = True


@pytest.mark.virtual_time
async def test_a_bad_bake_takes_the_node_out_again() -> None:
    world = World(bake_time=20)
    spoiled_bake(world)
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_a_bad_bake_leaves_the_node_where_the_floor_needs_it() -> None:
    world = World(nodes=2, min_available=1, bake_time=20)
    spoiled_bake(world)

    async def other_goes() -> None:
        await until_baking(world)
        world.server("web2", "lb1").set_state("maint")

    ended = await world.during(other_goes())
    assert ended.failed == ["web1"]
    assert world.admin("web1") == [AdminState.READY, AdminState.MAINT]
    assert any("because of the floor" in note.text for note in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_a_failed_node_whose_agent_says_ready_stays_out() -> None:
    world = World(bake_time=20)
    for server in world.servers("web1"):
        server.agent_configured = server.agent = True
        server.agent_says = "ready"
    spoiled_bake(world)
    ended = await world.upgrade()
    await asyncio.sleep(30)
    assert ended.failed == ["web1"]
    assert world.admin("web1") == [AdminState.MAINT] * 2
    (out,) = ended.out_of_rotation
    assert "lb1: enable agent shop/web1" in out.command_texts


@pytest.mark.virtual_time
async def test_a_dead_instance_does_not_keep_a_bad_node_in_rotation_on_the_others() -> None:
    world = World(bake_time=20, balancer_unreachable_timeout=10)
    spoiled_bake(world)

    def dies(record: Record) -> None:
        if isinstance(record.event, NodeFailed):
            world.balancers["lb1"].down = True

    world.bus.subscribe(dies)
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    assert world.admin("web1") == [AdminState.READY, AdminState.MAINT]
    assert any("could not be brought to maintenance" in note.text for note in world.events(NodeNote))
    assert ended.unreachable_balancers == ["lb1: connection refused"]


@pytest.mark.virtual_time
async def test_retry_goes_through_the_steps_again_and_does_what_is_missing() -> None:
    world = World(interactive=True)
    break_install(world, "web1")
    ended = await world.during(answer(world, "retry"))
    assert ended.result == "healthy"
    assert steps(world, "web1") == [
        "drain",
        "stop",
        "install",
        *["drain", "stop", "install", "start", "verify"],
    ]
    assert world.nodes["web1"].asked == ["stop", "install 2.0", "start"]  # stopped once only


@pytest.mark.virtual_time
async def test_retry_may_fail_again() -> None:
    world = World(interactive=True)
    break_install(world, "web1", times=3)
    ended = await world.during(answer(world, "retry", times=3))
    assert ended.result == "healthy"
    assert len(world.events(NodeFailed)) == 3


@pytest.mark.virtual_time
async def test_retry_before_anything_was_touched() -> None:
    world = World(interactive=True, capacity_timeout=5, balancer_unreachable_timeout=5)
    plan = await world.plan()
    world.balancers["lb1"].down = True

    async def come_back_and_retry() -> None:
        await world.question("web1")
        assert not world.touched()
        world.balancers["lb1"].down = False
        await answer(world, "retry")

    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(world.carry_out(plan))
        group.create_task(come_back_and_retry())
    assert rollout.result().result == "healthy"
    assert [event.touched for event in world.events(NodeFailed)] == [False]


@pytest.mark.virtual_time
async def test_skip_leaves_the_failed_node_out_and_goes_on() -> None:
    world = World(interactive=True)
    break_install(world, "web1")
    ended = await world.during(answer(world, "skip"))
    assert (ended.result, ended.failed, ended.upgraded) == ("degraded", ["web1"], ["web2", "web3"])
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]


@pytest.mark.virtual_time
async def test_nothing_is_drained_before_a_failure_is_decided() -> None:
    world = World(interactive=True)
    break_install(world, "web1")

    async def look_then_abort() -> None:
        question = await world.question()
        await asyncio.sleep(600)
        assert world.sent("web2") == []
        world.control.answer(question, "abort", Actor("ann"))

    ended = await world.during(look_then_abort())
    assert (ended.result, ended.reason) == ("aborted", "aborted by ann: at web1")
    assert (ended.failed, ended.pending) == (["web1"], ["web2", "web3"])


@pytest.mark.virtual_time
async def test_a_node_of_the_same_batch_that_waits_for_capacity_waits_for_the_decision_too() -> None:
    world = World(nodes=4, min_available=2, serial=2, interactive=True)
    break_install(world, "web1")
    plan = await world.plan()
    for server in world.servers("web4"):  # capacity is lost after the plan was made
        server.set_state("maint")

    async def decide() -> None:
        question = await world.question()
        for server in world.servers("web4"):
            server.set_state("ready")
        await asyncio.sleep(600)
        assert world.sent("web2") == []
        world.control.answer(question, "skip", Actor("ann"))

    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(world.carry_out(plan))
        group.create_task(decide())
    assert rollout.result().failed == ["web1"]
    assert "web2" in rollout.result().upgraded
