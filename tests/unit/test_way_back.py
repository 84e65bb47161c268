"""After a failure, an operator brings the one node back to its last healthy version."""

import asyncio

import pytest

from backends.errors import NotAsked, Refused
from backends.model import AdminState
from backends.node_state import Availability, Presence
from orchestrator.engine.rollout_context import RolloutCallbacks, RolloutContext
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    DecisionRequested,
    NodeFailed,
    NodeNote,
    NodeRolledBack,
    NodeStarted,
    RolloutEnded,
)
from orchestrator.events.state import NodeState, RolloutState
from tests.support.fake_fleet import World, answer, steps


async def knows_the_old_version(node: str) -> str:
    return "1.0"


async def upgraded(world: World, *answers: str, known: bool = True) -> RolloutEnded:
    """An upgrade to 2.0, in which questions about web1 get these answers."""
    callbacks = RolloutCallbacks(last_healthy=knows_the_old_version) if known else RolloutCallbacks()
    plan = await world.plan()
    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(world.carry_out(plan, RolloutContext(callbacks=callbacks)))
        for choice in answers:
            await answer(world, choice, "web1")
    return rollout.result()


def sick_world() -> World:
    world = World(interactive=True)
    world.nodes["web1"].sick = frozenset({"2.0"})
    return world


@pytest.mark.virtual_time
async def test_the_node_is_brought_back_and_what_becomes_of_the_others_is_asked() -> None:
    world = sick_world()
    ended = await upgraded(world, "back", "abort")
    assert world.admin("web1") == [AdminState.READY] * 2
    assert all(server.seen().in_rotation for server in world.servers("web1"))
    assert steps(world, "web1") == ["drain", "stop", "install", "start", "verify"] * 2
    assert not world.sent("web2")
    first, second = world.events(DecisionRequested)
    assert (first.choices, first.version) == (["retry", "back", "skip", "abort"], "1.0")
    assert (second.choices, second.version) == (["retry", "skip", "abort"], "")
    assert second.text == "is back on 1.0; all other nodes have it too: what now?"
    [back] = world.events(NodeRolledBack)
    assert (back.node, back.version) == ("web1", "1.0")
    assert [start.version for start in world.events(NodeStarted)] == ["2.0", "1.0"]
    assert (ended.result, ended.failed, ended.rolled_back) == ("aborted", ["web1"], ["web1"])
    assert (ended.out_of_rotation, ended.upgraded, ended.interrupted) == ([], [], [])
    assert ended.versions == {"web1": "1.0", "web2": "1.0", "web3": "1.0"}
    assert [way.purpose for way in ended.ways_on] == ["resume"]  # there is nothing to roll back
    state = RolloutState.of(world.records)
    assert (state.nodes["web1"].state, state.done) == (NodeState.ROLLED_BACK, 0)


@pytest.mark.virtual_time
async def test_after_skip_the_others_are_upgraded_and_the_mixture_is_named() -> None:
    world = sick_world()
    ended = await upgraded(world, "back", "skip")
    assert (ended.result, ended.reason) == ("degraded", "failed: web1")
    assert (ended.upgraded, ended.rolled_back) == (["web2", "web3"], ["web1"])
    assert ended.versions == {"web1": "1.0", "web2": "2.0", "web3": "2.0"}
    assert [way.purpose for way in ended.ways_on] == ["resume", "rollback"]
    assert RolloutState.of(world.records).done == 2


@pytest.mark.virtual_time
async def test_it_can_be_upgraded_again_after_that() -> None:
    world = sick_world()

    async def cure() -> None:
        await world.until(lambda: world.events(NodeRolledBack))
        world.nodes["web1"].sick = frozenset()

    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(upgraded(world, "back", "retry"))
        group.create_task(cure())
    ended = rollout.result()
    assert (ended.result, ended.upgraded, ended.rolled_back) == ("healthy", ["web1", "web2", "web3"], [])
    assert ended.versions == dict.fromkeys(["web1", "web2", "web3"], "2.0")


@pytest.mark.virtual_time
async def test_a_way_back_that_fails_leaves_the_node_out_and_can_be_tried_again() -> None:
    world = sick_world()

    def break_start(what: str) -> None:
        if what == "install 1.0":
            world.nodes["web1"].faults.add("start", Refused("web1", "no memory"), times=1)
            world.nodes["web1"].on_asked = lambda _: None

    world.nodes["web1"].on_asked = break_start
    ended = await upgraded(world, "back", "back", "abort")
    texts = [question.text for question in world.events(DecisionRequested)]
    assert texts[1] == "back to 1.0 failed at start: refused: no memory"
    assert [failed.step for failed in world.events(NodeFailed)] == ["verify", "start"]
    assert ended.rolled_back == ["web1"]
    assert world.admin("web1") == [AdminState.READY] * 2


@pytest.mark.virtual_time
async def test_an_abort_in_the_middle_leaves_it_out_and_names_it() -> None:
    world = sick_world()
    world.nodes["web1"].on_asked = lambda what: (
        world.control.abort(Actor("ann")) if what == "install 1.0" else None
    )
    ended = await upgraded(world, "back")
    assert (ended.result, ended.failed, ended.rolled_back) == ("aborted", ["web1"], [])
    assert [out.node for out in ended.out_of_rotation] == ["web1"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("why", ["unknown", "gone", "put back"])
async def test_it_is_offered_only_where_it_leads_anywhere(why: str) -> None:
    world = sick_world()
    node = world.nodes["web1"]
    node.availabilities["1.0"] = Availability(
        Presence.NOT_THERE if why == "gone" else Presence.NOT_KNOWN, "the repository has no shop 1.0"
    )
    if why == "put back":
        node.faults.add("stop", NotAsked("web1", "not permitted"), times=1)
    await upgraded(world, "abort", known=why != "unknown")
    [question] = world.events(DecisionRequested)
    assert ("back" in question.choices) is False
    notes = [note.text for note in world.events(NodeNote)]
    assert ("cannot be brought back to 1.0: the repository has no shop 1.0" in notes) is (why == "gone")


@pytest.mark.virtual_time
async def test_two_nodes_of_a_batch_do_not_wait_for_each_other() -> None:
    world = World(nodes=4, serial=2, min_available=1, interactive=True)
    for name in ("web1", "web2"):
        world.nodes[name].sick = frozenset({"2.0"})
    plan = await world.plan()
    context = RolloutContext(callbacks=RolloutCallbacks(last_healthy=knows_the_old_version))
    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(world.carry_out(plan, context))
        await world.until(lambda: len(world.control.questions) == 2)
        await answer(world, "back", "web1")
        await answer(world, "back", "web2")
        await world.until(lambda: len(world.control.questions) == 2)
        await answer(world, "abort", "web1")
    assert rollout.result().rolled_back in (["web1", "web2"], ["web2", "web1"])


@pytest.mark.virtual_time
async def test_a_failure_says_what_haproxy_reported_then() -> None:
    world = sick_world()
    await upgraded(world, "abort")
    [failed] = world.events(NodeFailed)
    assert failed.servers == ["MAINT on lb1, lb2"]
    assert RolloutState.of(world.records).nodes["web1"].servers == tuple(failed.servers)
