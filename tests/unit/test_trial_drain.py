"""A drain is a trial where nobody knows whether the others can carry it, and is undone where they cannot."""

import asyncio
from typing import Any

import pytest

from backends.model import AdminState
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.events.events import (
    DecisionRequested,
    NodeFailed,
    NodeNote,
    NodePutBack,
    RolloutEnded,
    StepDone,
    Waiting,
)
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Unfinished
from orchestrator.preflight.preflight import preflight
from tests.support.fake_balancer import FakeTraffic
from tests.support.fake_fleet import World, answer, steps

READY = AdminState.READY


def carrying(sessions: int, rate: float = 200.0, limit: int | None = None, **policy: Any) -> World:
    """Four nodes behind one young HAProxy, with this traffic."""
    options: dict[str, Any] = {"bake_time": 1, "min_healthy": 1, "capacity_timeout": 5, **policy}
    world = World(nodes=4, instances=1, verdict="off", **options)
    world.balancers["lb1"].carry(sessions, rate, limit)
    return world


def drain_times(world: World) -> dict[str, float]:
    return {event.node: event.duration_s for event in world.events(StepDone) if event.step == "drain"}


def notes(world: World) -> list[str]:
    return [event.text for event in world.events(NodeNote)]


def grow(world: World, sessions: int, traffic: FakeTraffic | None = None) -> None:
    """From now on the servers collect sessions, as they do when they cannot keep up, until `carry`."""
    traffic = traffic or world.balancers["lb1"].traffic
    traffic.sessions += sessions
    if traffic.sessions < 500:
        asyncio.get_running_loop().call_later(1, grow, world, sessions, traffic)


def at_drain(world: World, node: str, action: Any) -> None:
    """Do something when this node is drained for the first time."""
    seen: list[NodeNote] = []

    def look(record: Any) -> None:
        event = record.event
        begins = isinstance(event, NodeNote) and event.node == node and "drains on trial" in event.text
        if begins and not seen:
            seen.append(event)
            asyncio.get_running_loop().call_later(0.5, action)

    world.bus.subscribe(look)


@pytest.mark.virtual_time
async def test_what_is_unproven_is_on_trial_for_two_nodes_and_proven_then() -> None:
    world = carrying(12)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    times = drain_times(world)
    # web2 leaves what the new version has to carry for the first time; then both have carried it.
    assert [round(times[name]) for name in ("web1", "web2", "web3", "web4")] == [15, 15, 0, 0]
    trials = [text for text in notes(world) if "on trial" in text]
    assert trials[0] == (
        "drains on trial for 15 s: lb1 shop: 50 → 67 rps per server (+33 %; HAProxy has counted for 0 min"
        " only: unproven)"
    )
    waits = {event.reason for event in world.events(Waiting) if "on trial" in event.reason}
    assert "on trial: 12 sessions, 12 were expected" in waits


@pytest.mark.virtual_time
@pytest.mark.parametrize(("sessions", "policy"), [(0, {}), (12, {"trial": 0})])
async def test_an_idle_fleet_has_no_trial_and_a_trial_of_zero_is_none(
    sessions: int, policy: dict[str, Any]
) -> None:
    world = carrying(sessions, **policy)
    assert (await world.upgrade()).result == "healthy"
    assert max(drain_times(world).values()) < 1
    assert not any("trial" in text for text in notes(world))


def assert_undone(world: World, ended: RolloutEnded, node: str = "web1") -> None:
    assert (ended.result, ended.put_back, ended.failed) == ("degraded", [node], [])
    assert not ended.out_of_rotation
    assert [event.node for event in world.events(NodePutBack)] == [node]
    assert world.admin(node) == [READY]
    assert "maint" not in " ".join(world.sent(node))
    assert "stop" not in world.nodes[node].asked


@pytest.mark.virtual_time
async def test_an_overload_puts_the_node_back_before_anything_was_stopped() -> None:
    world = carrying(12)
    world.server("web1").weight = world.server("web1").initial_weight = 7
    at_drain(world, "web1", lambda: grow(world, 20))
    ended = await world.upgrade()
    assert_undone(world, ended)
    assert world.server("web1").weight == 7
    assert steps(world, "web1") == ["drain"]
    (failed,) = world.events(NodeFailed)
    assert failed.error.startswith("3 of 4 servers cannot carry it: ")
    assert failed.error.endswith(" sessions where 12 were expected")
    assert ended.pending == ["web2", "web3", "web4"]
    # At once, and not only after its own health was checked.
    put_back = next(
        at for at, line in world.balancers["lb1"].sent if line == "set server shop/web1 state ready"
    )
    drained = next(
        at for at, line in world.balancers["lb1"].sent if line == "set server shop/web1 state drain"
    )
    assert put_back - drained < 6


@pytest.mark.virtual_time
async def test_a_queue_puts_it_back_too() -> None:
    world = carrying(12, limit=5)
    at_drain(world, "web1", lambda: world.balancers["lb1"].carry(25, 200.0, 5))
    ended = await world.upgrade()
    assert_undone(world, ended)
    (failed,) = world.events(NodeFailed)
    assert failed.error == "3 of 4 servers cannot carry it: 10 requests wait in the queue"


@pytest.mark.virtual_time
async def test_a_proven_load_that_is_too_much_all_the_same_is_undone_while_sessions_end() -> None:
    world = carrying(12)
    balancer = world.balancers["lb1"]
    balancer.age_s = 86_400
    balancer.carry(12, 200.0, rate_max=200, sessions_max=99)
    world.server("web1").leaving = [30.0]
    world.at(1, lambda: grow(world, 20))
    ended = await world.upgrade()
    assert_undone(world, ended)
    assert not any("on trial" in text for text in notes(world))


@pytest.mark.virtual_time
async def test_errors_of_the_others_put_it_back() -> None:
    world = carrying(12)

    def fail() -> None:
        for name in ("web2", "web3", "web4"):
            world.server(name).gives_5xx = True

    at_drain(world, "web1", fail)
    for server in world.balancers["lb1"].servers.values():
        server.requests = 1000
    assert_undone(world, await world.upgrade())
    (failed,) = world.events(NodeFailed)
    assert "requests failed where 0 were expected" in failed.error


@pytest.mark.virtual_time
async def test_an_operator_is_asked_and_may_try_again() -> None:
    world = carrying(12, interactive=True)
    at_drain(world, "web1", lambda: grow(world, 20))
    async with asyncio.TaskGroup() as group:
        upgrade = group.create_task(world.upgrade())
        await world.question("web1")
        (asked,) = world.events(DecisionRequested)
        assert asked.text.startswith("drain failed: 3 of 4 servers cannot carry it")
        assert asked.text.endswith("; it was put back")
        assert asked.choices == ["retry", "skip", "abort"]
        world.balancers["lb1"].carry(12, 200.0)
        await answer(world, "retry", "web1")
    assert upgrade.result().result == "healthy"


@pytest.mark.virtual_time
async def test_nodes_of_a_batch_leave_one_by_one() -> None:
    world = carrying(12, serial=2)
    assert (await world.upgrade()).result == "healthy"
    sent = world.balancers["lb1"].sent
    drains = [at for at, line in sent if line.endswith("state drain") and "health" not in line]
    assert 2.0 <= drains[1] - drains[0] <= 3.0


@pytest.mark.virtual_time
async def test_the_trial_of_a_batch_ends_with_that_of_its_last_node() -> None:
    """Else the first one would be stopped, and miss where the drain of the second one turns out too much."""
    world = carrying(12, serial=2)
    assert (await world.upgrade()).result == "healthy"
    assert drain_times(world)["web1"] == pytest.approx(15 + 2, abs=0.5)


@pytest.mark.virtual_time
async def test_nodes_of_a_batch_go_back_together() -> None:
    world = carrying(12, serial=2)
    at_drain(world, "web2", lambda: grow(world, 20))
    ended = await world.upgrade()
    assert sorted(ended.put_back) == ["web1", "web2"]
    assert world.admin("web1") == world.admin("web2") == [READY]
    assert ended.pending == ["web3", "web4"]


@pytest.mark.virtual_time
async def test_a_load_that_is_certainly_too_much_is_waited_for() -> None:
    world = carrying(120, limit=80, capacity_timeout=60)
    plan = await world.plan()
    balancer = world.balancers["lb1"]
    balancer.carry(290, 2000.0, 80)
    world.at(20, lambda: balancer.carry(120, 2000.0, 80))
    assert (await world.carry_out(plan)).result == "healthy"
    assert not world.events(NodeFailed)
    assert next(at for at, line in balancer.sent if line.endswith("state drain")) > 20
    reasons = {event.reason for event in world.events(Waiting)}
    assert any("290 sessions, and `maxconn` allows 240: impossible" in reason for reason in reasons)


@pytest.mark.virtual_time
async def test_overload_after_the_trial_forbids_the_next_node() -> None:
    world = carrying(12, serial=2, confirm="node", interactive=True, trial=0)
    world.nodes["web1"].start_delay = 30
    async with asyncio.TaskGroup() as group:
        upgrade = group.create_task(world.upgrade())
        await answer(world, "continue", "web1")
        await world.until(lambda: "start" in steps(world, "web1"))
        grow(world, 30)
        await asyncio.sleep(8)
        await answer(world, "continue", "web2")
        await answer(world, "skip", "web2")  # after `capacity_timeout`
        await answer(world, "abort")
    (failed,) = world.events(NodeFailed)
    assert (failed.node, failed.touched) == ("web2", False)
    assert "last seen: 3 of 4 servers cannot carry it: " in failed.error
    assert upgrade.result().upgraded == ["web1"]
    assert not world.sent("web2")


@pytest.mark.virtual_time
async def test_a_rollback_is_not_held_up() -> None:
    world = carrying(40, limit=8)
    plan = await preflight(world.application, "2.0", is_repair=True)
    assert (await world.carry_out(plan, RolloutContext(kind="rollback"))).result == "healthy"
    assert max(drain_times(world).values()) < 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("overloaded", [False, True])
async def test_a_node_that_was_left_on_trial_is_on_trial_again(overloaded: bool) -> None:
    """After kill -9: it is drained, its service was never stopped, and its originals are in the journal."""
    world = carrying(12, limit=8)
    originals = {line.ref: OriginalState.of(line.seen()) for line in world.servers("web1")}
    world.take_out("web1", "drain")
    left = {"web1": Unfinished(1, originals, "left by rollout 1", target_version="2.0", only_drained=True)}
    plan = await preflight(world.application, "2.0", unfinished=left)
    if overloaded:
        world.balancers["lb1"].carry(40, 200.0, 8)
    ended = await world.carry_out(plan)
    assert world.admin("web1") == [READY]
    if overloaded:
        assert_undone(world, ended)
    else:
        assert ended.result == "healthy"
        assert round(drain_times(world)["web1"]) == 15


@pytest.mark.virtual_time
async def test_errors_of_the_node_itself_say_nothing_about_the_others() -> None:
    world = carrying(12)
    at_drain(world, "web1", lambda: setattr(world.server("web1"), "resets", 40))
    for server in world.balancers["lb1"].servers.values():
        server.requests = 1000
    ended = await world.upgrade()
    assert ended.upgraded[:1] == ["web1"]
    assert not ended.put_back


@pytest.mark.virtual_time
async def test_the_question_about_a_node_has_the_load() -> None:
    world = carrying(12, confirm="node", interactive=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(world.upgrade())
        await answer(world, "abort", "web1")
    (asked,) = world.events(DecisionRequested)
    assert asked.text == (
        "take it out of rotation? 1.0 → 2.0; lb1 shop: 50 → 67 rps per server (+33 %; HAProxy has counted for"
        " 0 min only: unproven)"
    )
