"""A node whose rollout fails before its service is stopped goes back with its old version."""

import asyncio
from functools import partial

import pytest

from backends.errors import NotAsked, PermissionDenied, Refused, Unreachable
from backends.model import AdminState
from orchestrator.events.events import NodeFailed, NodeNote, NodePutBack, RolloutEnded, StepStarted
from orchestrator.events.state import NodeState, RolloutState
from tests.support.fake_fleet import World, answer, steps
from tests.unit.world_events import act_at_step

HUNG = Unreachable("web1", "no answer within 5 s")


def hang(world: World, *operations: str) -> None:
    """From now on the host does not answer; its application goes on."""
    for operation in operations or ("connect", "state", "port", "alive", "stop"):
        world.nodes["web1"].faults.add(operation, HUNG, seconds=5, times=10_000)


def as_before(world: World) -> None:
    assert world.admin("web1") == [AdminState.READY] * 2
    assert all(server.seen().in_rotation for server in world.servers("web1"))


def put_back(world: World, ended: RolloutEnded) -> None:
    """It is back, and said to be; nobody was drained after it."""
    as_before(world)
    assert (ended.result, ended.put_back, ended.failed, ended.upgraded) == ("degraded", ["web1"], [], [])
    assert (ended.interrupted, ended.pending) == ([], ["web2", "web3"])
    assert not ended.out_of_rotation
    assert "put back: web1" in ended.reason
    assert [event.node for event in world.events(NodePutBack)] == ["web1"]
    assert not world.sent("web2")
    assert not world.sent("web3")


@pytest.mark.virtual_time
async def test_a_host_that_hangs_since_the_plan_keeps_its_node_in_rotation() -> None:
    world = World(host_timeout=20)
    plan = await world.plan()
    hang(world)
    ended = await world.carry_out(plan)
    assert (ended.held, ended.put_back, ended.out_of_rotation) == (["web1"], [], [])
    assert not world.sent()
    (failed,) = world.events(NodeFailed)
    assert failed.step == "drain"
    assert "not within 20 s" in failed.error
    assert "left in rotation" in failed.error


@pytest.mark.virtual_time
async def test_a_host_that_answers_again_in_time_is_waited_for() -> None:
    world = World(host_timeout=20)
    plan = await world.plan()
    world.nodes["web1"].faults.add("state", HUNG, times=3)
    assert (await world.carry_out(plan)).result == "healthy"


@pytest.mark.virtual_time
async def test_the_host_is_looked_at_after_the_wait_for_capacity() -> None:
    world = World(nodes=2, host_timeout=20, capacity_timeout=50)
    plan = await world.plan()
    for server in world.servers("web2"):
        server.set_state("maint")
    world.at(15, lambda: hang(world))
    for server in world.servers("web2"):
        world.at(20, partial(server.set_state, "ready"))
    ended = await world.carry_out(plan)
    assert ended.held == ["web1"]
    assert not world.sent("web1")


@pytest.mark.virtual_time
@pytest.mark.parametrize("self_checked", [False, True])
async def test_a_host_that_hangs_after_the_drain_lets_its_node_go_back(self_checked: bool) -> None:
    world = World(stop_timeout=20)
    world.nodes["web1"].self_checked = self_checked
    act_at_step(world, StepStarted, "stop", lambda: hang(world))
    put_back(world, await world.upgrade())
    assert world.nodes["web1"].asked == []
    state = RolloutState.of(world.records).nodes["web1"]
    assert state.state is NodeState.PUT_BACK
    assert "failed at stop" in state.reason


@pytest.mark.virtual_time
async def test_a_stop_that_was_not_asked_for_lets_its_node_go_back() -> None:
    world = World()
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "the monit daemon is not running"))
    put_back(world, await world.upgrade())


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [Refused("web1", "no"), PermissionDenied("web1", "a password is required")])
async def test_a_stop_that_was_refused_may_have_been_received(error: Refused) -> None:
    world = World()
    world.nodes["web1"].faults.add("stop", error)
    ended = await world.upgrade()
    assert (ended.failed, ended.put_back) == (["web1"], [])
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_sessions_that_do_not_end_let_their_node_go_back() -> None:
    world = World(on_remaining_sessions="fail", drain_timeout=6, maint_grace_period=3, trial=0)
    for server in world.servers("web1"):
        server.leaving = [asyncio.get_running_loop().time() + 15] * 2
    put_back(world, await world.upgrade())


@pytest.mark.virtual_time
async def test_a_node_that_fell_ill_meanwhile_stays_out() -> None:
    world = World()
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    act_at_step(world, StepStarted, "stop", lambda: setattr(world.nodes["web1"], "healthy", False))
    ended = await world.upgrade()
    assert (ended.failed, ended.put_back) == (["web1"], [])
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_another_version_that_runs_meanwhile_stays_out() -> None:
    world = World()
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    act_at_step(world, StepStarted, "stop", lambda: setattr(world.nodes["web1"], "running", "1.9"))
    ended = await world.upgrade()
    assert (ended.failed, ended.put_back) == (["web1"], [])
    assert world.admin("web1") == [AdminState.MAINT] * 2
    assert any("1.9 runs, expected 1.0" in note.text for note in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_what_somebody_drained_meanwhile_is_left_so() -> None:
    world = World()

    def drains() -> None:
        world.server("web1", "lb1").set_state("drain")

    act_at_step(world, StepStarted, "stop", drains)
    ended = await world.upgrade()
    assert ended.put_back == ["web1"]
    assert world.admin("web1") == [AdminState.DRAIN, AdminState.READY]
    assert any("somebody has drained" in note.text for note in world.events(NodeNote))


@pytest.mark.virtual_time
async def test_what_a_human_had_out_goes_back_to_that() -> None:
    world = World()
    world.server("web1", "lb2").set_state("drain")
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    ended = await world.upgrade()
    assert ended.put_back == ["web1"]
    assert world.admin("web1") == [AdminState.READY, AdminState.DRAIN]


@pytest.mark.virtual_time
async def test_a_node_that_is_put_in_rotation_on_request_was_not_serving() -> None:
    world = World()
    world.take_out("web1", "drain")
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    ended = await world.upgrade(force_ready=["web1"])
    assert (ended.failed, ended.put_back) == (["web1"], [])
    assert AdminState.READY not in world.admin("web1")


@pytest.mark.virtual_time
async def test_a_retry_after_it_was_put_back_begins_a_new_turn() -> None:
    world = World(interactive=True)
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    ended = await world.during(answer(world, "retry"))
    assert (ended.result, ended.put_back, ended.failed) == ("healthy", [], [])
    assert steps(world, "web1") == ["drain", "stop", "drain", "stop", "install", "start", "verify"]
    assert world.nodes["web1"].asked == ["stop", "install 2.0", "start"]


@pytest.mark.virtual_time
async def test_skip_after_it_was_put_back_goes_on_with_the_others() -> None:
    world = World(interactive=True)
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    ended = await world.during(answer(world, "skip"))
    assert (ended.result, ended.put_back, ended.upgraded) == ("degraded", ["web1"], ["web2", "web3"])


@pytest.mark.virtual_time
async def test_a_batch_counts_who_was_put_back_as_failed() -> None:
    world = World(nodes=4, serial=2, max_fail_percentage=49)
    world.nodes["web1"].faults.add("stop", NotAsked("web1", "no"))
    ended = await world.upgrade()
    assert (ended.put_back, ended.upgraded, ended.pending) == (["web1"], ["web2"], ["web3", "web4"])
