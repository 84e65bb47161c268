"""A rollout as a whole: batches, prefetch, tolerance, and an end that names everything."""

import asyncio

import pytest

from backends.errors import BackendError, Refused, UnknownOutcome, Unreachable
from backends.model import AdminState
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    BatchStarted,
    NodeFailed,
    Prefetched,
    RolloutEnded,
    RolloutStarted,
    StepStarted,
)
from orchestrator.planning.findings import PreflightFailed
from tests.support.fake_fleet import World
from tests.unit.world_events import until_baking


@pytest.mark.virtual_time
async def test_batch_after_batch_until_all_is_done() -> None:
    world = World(nodes=5, serial=[1, 2], order="reverse")
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert [batch.nodes for batch in world.events(BatchStarted)] == [
        ["web5"],
        ["web4", "web3"],
        ["web2", "web1"],
    ]
    assert {node.running for node in world.nodes.values()} == {"2.0"}
    assert (ended.out_of_rotation, ended.pending) == ([], [])
    assert isinstance(world.records[-1].event, RolloutEnded)


@pytest.mark.virtual_time
async def test_the_nodes_of_a_batch_are_worked_on_side_by_side() -> None:
    one, two = World(nodes=4, serial=1), World(nodes=4, serial=2)
    seconds = [(await rollout.upgrade()).duration_s for rollout in (one, two)]
    assert seconds[1] == pytest.approx(seconds[0] / 2, rel=0.1)


@pytest.mark.virtual_time
async def test_a_second_run_finds_nothing_to_do() -> None:
    world = World(nodes=2)
    await world.upgrade()
    sent = len(world.sent())
    ended = await world.upgrade()
    assert (ended.result, ended.upgraded) == ("healthy", [])
    assert len(world.sent()) == sent


@pytest.mark.virtual_time
async def test_a_plan_with_errors_is_not_begun() -> None:
    world = World(nodes=2, min_available=2)
    with pytest.raises(PreflightFailed, match="capacity floor violated"):
        await world.upgrade()
    assert world.records == []
    assert not world.touched()


@pytest.mark.virtual_time
async def test_prefetch_comes_before_the_first_drain_and_on_all_nodes() -> None:
    world = World(nodes=3)
    for node in world.nodes.values():
        node.has_prefetch = True
        node.faults.add("prefetch", None, seconds=30)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert [node.asked[0] for node in world.nodes.values()] == ["prefetch 2.0"] * 3
    assert world.events(Prefetched) == [Prefetched(duration_s=30.0)]
    assert world.balancers["lb1"].sent[0][0] >= 30


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "error",
    [
        Refused("web2", "prefetch 2.0: exit status 1: 404", reason="exit status 1: 404"),
        Unreachable("web2", "refused"),
        UnknownOutcome("web2", "lost"),
    ],
)
async def test_a_prefetch_that_fails_touches_nothing(error: BackendError) -> None:
    world = World(nodes=3)
    for node in world.nodes.values():
        node.has_prefetch = True
    world.nodes["web2"].faults.add("prefetch", error)
    ended = await world.upgrade()
    assert ended.result == "degraded"
    words = error.reason if isinstance(error, Refused) else error.problem
    assert ended.reason == f"prefetch failed on web2, no node was touched: {words}"
    assert ended.pending == ["web1", "web2", "web3"]
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_an_abort_before_the_start_does_not_even_prefetch() -> None:
    world = World(nodes=2)
    world.nodes["web1"].has_prefetch = True
    plan = await world.plan()
    world.control.abort(Actor("ann"))
    ended = await world.carry_out(plan)
    assert (ended.result, ended.pending) == ("aborted", ["web1", "web2"])
    assert not world.touched()


@pytest.mark.virtual_time
async def test_an_abort_during_the_prefetch_touches_no_node() -> None:
    world = World(nodes=2)
    world.nodes["web1"].has_prefetch = True
    world.nodes["web1"].faults.add("prefetch", None, seconds=30)
    world.at(5, lambda: world.control.abort(Actor("ann")))
    ended = await world.upgrade()
    assert ended.result == "aborted"
    assert world.sent() == []


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("bad", "share", "failed", "upgraded"),
    [
        (["web1"], 0, ["web1"], ["web2"]),  # the rest of its batch goes on to its end
        (["web1"], 49, ["web1"], ["web2"]),
        (["web1"], 50, ["web1"], ["web2", "web3", "web4"]),  # exceeding stops, not reaching
        (["web1", "web2"], 50, ["web1", "web2"], []),
        (["web1", "web2"], 100, ["web1", "web2"], ["web3", "web4"]),
        (["web1", "web3"], 50, ["web1", "web3"], ["web2", "web4"]),
    ],
)
async def test_max_fail_percentage_is_of_each_batch(
    bad: list[str], share: float, failed: list[str], upgraded: list[str]
) -> None:
    world = World(nodes=4, serial=2, max_fail_percentage=share, verify_timeout=30)
    for name in bad:
        world.nodes[name].faults.add("install", Refused(name, "disk full"))
    ended = await world.upgrade()
    assert (ended.result, sorted(ended.failed), sorted(ended.upgraded)) == ("degraded", failed, upgraded)
    assert sorted(ended.failed + ended.upgraded + ended.pending) == list(world.nodes)
    assert [entry.node for entry in ended.out_of_rotation] == failed


@pytest.mark.virtual_time
async def test_after_a_failure_those_that_are_out_go_on_and_nobody_else_goes_out() -> None:
    world = World(nodes=4, serial=3, min_available=1)
    world.nodes["web1"].faults.add("stop", Refused("web1", "no"))
    ended = await world.upgrade()
    (failed,) = (record.at for record in world.records if isinstance(record.event, NodeFailed))
    begun = [
        record.at
        for record in world.records
        if isinstance(record.event, StepStarted) and record.event.step == "drain"
    ]
    assert max(begun) <= failed
    assert sorted(ended.upgraded) == ["web2", "web3"]
    assert ended.pending == ["web4"]


@pytest.mark.virtual_time
async def test_what_a_human_had_taken_out_stays_out() -> None:
    world = World(nodes=4)
    world.take_out("web2", "maint")
    world.take_out("web3", "drain")
    world.server("web4", "lb2").weight = 50
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert world.admin("web2") == [AdminState.MAINT] * 2
    assert world.admin("web3") == [AdminState.DRAIN] * 2
    assert [server.weight for server in world.servers("web4")] == [1, 50]
    assert {node.running for node in world.nodes.values()} == {"2.0"}
    assert [(entry.node, entry.intentional, entry.command_texts) for entry in ended.out_of_rotation] == [
        ("web2", True, []),
        ("web3", True, []),
    ]


@pytest.mark.virtual_time
async def test_a_node_can_be_put_in_rotation_on_request() -> None:
    world = World(nodes=3)
    world.take_out("web2")
    ended = await world.upgrade(force_ready={"web2"})
    assert ended.result == "healthy"
    assert world.admin("web2") == [AdminState.READY] * 2


@pytest.mark.virtual_time
async def test_a_change_since_the_plan_was_made_is_respected() -> None:
    world = World(nodes=3)
    plan = await world.plan()
    world.take_out("web2")
    world.server("web3").weight = 7
    ended = await world.carry_out(plan)
    assert ended.result == "healthy"
    assert world.admin("web2") == [AdminState.MAINT] * 2
    assert world.server("web3").weight == 7


@pytest.mark.virtual_time
async def test_a_pause_between_two_nodes_starts_nothing() -> None:
    world = World(nodes=2)

    async def rest() -> None:
        await until_baking(world)
        world.control.pause(Actor("ann"), "lunch")
        await asyncio.sleep(600)
        assert world.sent("web2") == []
        world.control.resume(Actor("ann"))

    ended = await world.during(rest())
    assert ended.result == "healthy"
    assert len(world.events(RolloutStarted)) == 1
