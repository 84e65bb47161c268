"""However a rollout ends, it names what is out of rotation, and calls nothing healthy that is not."""

import asyncio

import pytest

from orchestrator.events.events import NodeUpgraded, Record, RolloutEnded, StepStarted
from tests.support.fake_fleet import World, steps


@pytest.mark.virtual_time
async def test_an_instance_that_cannot_be_read_at_the_end_is_no_healthy_end() -> None:
    world = World(nodes=1, min_available=0)

    def dies(record: Record) -> None:
        if isinstance(record.event, NodeUpgraded):
            world.balancers["lb2"].down = True

    world.bus.subscribe(dies)
    ended = await world.upgrade()
    assert (ended.result, ended.unreachable_balancers) == ("degraded", ["lb2: connection refused"])


@pytest.mark.virtual_time
async def test_a_defect_of_ours_stops_everything_and_is_told() -> None:
    world = World(nodes=3)
    world.nodes["web1"].faults.add("state", None)
    plan = await world.plan()
    world.nodes["web1"].faults.add("stop", ZeroDivisionError("oops"))
    ended = await world.carry_out(plan)
    assert ended.result == "degraded"
    assert "internal error" in ended.reason
    assert world.rollout is not None
    assert isinstance(world.rollout.defect, ExceptionGroup)
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]
    assert (ended.interrupted, ended.pending) == (["web1"], ["web2", "web3"])


@pytest.mark.virtual_time
async def test_a_journal_that_fails_stops_the_rollout_and_hides_nothing() -> None:
    world = World(nodes=3)
    full: list[bool] = []

    def journal(record: Record) -> None:
        if full or (isinstance(record.event, StepStarted) and record.event.step == "install"):
            full.append(True)
            raise OSError("No space left on device")

    world.bus.subscribe(journal)
    ended = await world.upgrade()
    assert ended.result == "degraded"
    assert ended.reason == "internal error: OSError('No space left on device')"
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]
    assert world.rollout is not None
    assert world.rollout.defect is not None


@pytest.mark.virtual_time
async def test_being_cancelled_from_outside_still_names_what_is_out() -> None:
    world = World(nodes=2)
    task = asyncio.create_task(world.upgrade())
    await world.until(lambda: "start" in steps(world, "web1"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (ended,) = world.events(RolloutEnded)
    assert (ended.result, ended.interrupted) == ("aborted", ["web1"])
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]
    asked = list(world.nodes["web1"].asked)
    await asyncio.sleep(100)
    assert world.nodes["web1"].asked == asked  # nothing goes on unseen
