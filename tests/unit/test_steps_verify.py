"""Verify: own health in a row, HAProxy's proof in DRAIN, the original state, full health, the bake."""

import asyncio
import re

import pytest

from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.model import AdminState
from backends.node_state import Activity
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps.drain import drain
from orchestrator.engine.steps.verify import verify
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.events.actor import Actor
from orchestrator.events.events import Waiting
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World
from tests.support.fake_node import FakeNode

PROVE = "set server shop/web1 state drain; set server shop/web1 health down"
READY = "set server shop/web1 state ready"


def now() -> float:
    return asyncio.get_running_loop().time()


async def upgraded(world: World, version: str = "2.0") -> tuple[StepContext, FakeNode]:
    """web1 in maintenance, the new version on disk and running; what is left is to verify."""
    context = world.context()
    await drain(context)
    for balancer in world.balancers.values():
        balancer.sent.clear()
    node = world.nodes["web1"]
    node.installed = node.running = version
    context.step = "verify"
    return context, node


def lines(world: World, instance: str = "lb1") -> list[str]:
    return [line for _, line in world.balancers[instance].sent]


@pytest.mark.virtual_time
async def test_proves_on_all_instances_and_only_then_is_it_ready() -> None:
    world = World(bake_time=5)
    world.server("web1", "lb2").inter = 4.0  # lb2 takes longer to be convinced
    context, _ = await upgraded(world)
    assert await verify(context) == "in rotation"
    assert lines(world) == lines(world, "lb2") == [PROVE, READY]
    proven, ready = (at for at, _ in world.balancers["lb1"].sent)
    assert ready - proven > 4
    assert all(server.seen().in_rotation for server in world.servers("web1"))


@pytest.mark.virtual_time
async def test_nothing_is_sent_before_the_first_good_look() -> None:
    world = World(verify_timeout=600)
    context, node = await upgraded(world)
    node.healthy = False
    world.at(100, lambda: setattr(node, "healthy", True))
    await verify(context)
    assert world.balancers["lb1"].sent[0][0] >= 100


@pytest.mark.virtual_time
async def test_health_that_flaps_begins_to_count_anew() -> None:
    world = World(bake_time=0, min_healthy=0)
    context, node = await upgraded(world)
    node.flaps = [True, True, False, True, True, False, True]
    began = now()
    await verify(context)
    assert node.flaps == []
    assert now() - began == pytest.approx(8 * 0.5, abs=0.6)  # nine looks, half a second apart
    assert any("(2/3)" in wait.reason for wait in world.events(Waiting))


@pytest.mark.virtual_time
@pytest.mark.parametrize("required", [True, False])
async def test_a_process_that_dies_after_two_seconds_takes_no_traffic(required: bool) -> None:
    """It is well for long enough to convince anybody who only counts looks."""

    world = World(verify_timeout=60, require_haproxy_checks=required)
    for server in world.servers("web1"):
        server.inter = 0.1
    context, node = await upgraded(world)
    world.at(2, lambda: setattr(node, "healthy", False))
    with pytest.raises(StepTimeout, match="own health: 503"):
        await verify(context)
    assert READY not in lines(world)


@pytest.mark.virtual_time
async def test_min_healthy_begins_anew_with_each_bad_check_and_stands_still_in_a_pause() -> None:
    world = World(bake_time=0, min_healthy=10)
    context, node = await upgraded(world)
    world.at(8, lambda: node.flaps.append(False))
    world.at(12, lambda: world.control.pause(Actor("ann")))
    world.at(100, lambda: world.control.resume(Actor("ann")))
    assert await verify(context) == "in rotation"
    ready = next(at for at, line in world.balancers["lb1"].sent if line == READY)
    assert 100 + 18 - 12 < ready < 100 + 18 - 12 + 3
    assert any("required for 10 s" in event.reason for event in world.events(Waiting))


@pytest.mark.virtual_time
async def test_a_service_that_died_is_not_waited_for_until_it_is_healthy() -> None:
    world = World(verify_timeout=600, start_grace=5)
    context, node = await upgraded(world)
    node.die(Activity.STOPPED)
    with pytest.raises(StepFailed, match="the service died, and was not up again within 5 s"):
        await verify(context)
    assert now() < 15
    assert lines(world) == []


@pytest.mark.virtual_time
async def test_a_manager_that_cannot_be_asked_is_no_reason_to_give_up_the_wait_for_health() -> None:
    world = World(verify_timeout=600, start_grace=5)
    context, node = await upgraded(world)
    node.healthy = False
    node.faults.always["state"] = Fault(Unreachable("web1", "connection refused"))
    world.at(100, lambda: setattr(node, "healthy", True))
    assert await verify(context) == "in rotation"


@pytest.mark.virtual_time
async def test_unhealthy_to_the_end_is_a_failure_and_takes_no_traffic() -> None:
    world = World(verify_timeout=60)
    context, node = await upgraded(world)
    node.healthy = False
    with pytest.raises(StepTimeout, match=re.escape("own health: 503 (0/3)")):
        await verify(context)
    assert lines(world) == []


@pytest.mark.virtual_time
async def test_healthy_with_the_old_version_running_is_a_failure_at_once() -> None:
    world = World(verify_timeout=600)
    context, _ = await upgraded(world, "1.0")
    with pytest.raises(StepFailed, match=re.escape("healthy, but 1.0 runs, expected 2.0")):
        await verify(context)
    assert now() < 5
    assert lines(world) == []


@pytest.mark.virtual_time
async def test_haproxys_checks_that_never_pass_are_a_failure() -> None:
    """The application says it is well, and one HAProxy cannot reach it."""

    world = World(verify_timeout=60)
    context, _ = await upgraded(world)
    world.server("web1", "lb2").node = blocked = FakeNode("blocked")
    blocked.healthy = False
    with pytest.raises(StepTimeout, match=r"HAProxy's checks on lb2: DOWN, health 0/4 L4CON"):
        await verify(context)
    assert READY not in lines(world)


@pytest.mark.virtual_time
async def test_only_checked_servers_that_track_no_other_are_proven() -> None:
    world = World()
    world.server("web1", "lb1").has_checks = False
    second = world.balancers["lb2"].add("shop", "web1b", world.nodes["web1"])
    second.address = "10.0.0.9"  # another machine: the plan refuses further lines of the same one
    world.server("web1", "lb2").track_target = second
    second.begin()
    context, _ = await upgraded(world)
    assert await verify(context) == "in rotation"
    assert lines(world) == lines(world, "lb2") == [READY]


@pytest.mark.virtual_time
async def test_without_the_gate_own_health_is_enough_and_full_health_is_waited_for() -> None:
    world = World(require_haproxy_checks=False, bake_time=0)
    context, _ = await upgraded(world)
    began = now()
    assert await verify(context) == "in rotation"
    assert lines(world) == [READY]
    assert now() - began > 2  # "UP 1/3" is not UP


@pytest.mark.virtual_time
async def test_slow_start_is_waited_for() -> None:
    world = World(bake_time=0)
    for server in world.servers("web1"):
        server.slow_start = 30
    context, _ = await upgraded(world)
    assert await verify(context) == "in rotation"
    assert any("slow start at" in wait.reason for wait in world.events(Waiting))
    assert all(server.seen().throttle is None for server in world.servers("web1"))


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_what_was_out_is_proven_where_it_can_be_and_stays_out(state: str) -> None:
    world = World()
    world.take_out("web1", state)
    context, _ = await upgraded(world)
    assert await verify(context) == "healthy; left out of rotation as it was before"
    assert world.admin("web1") == [AdminState(state)] * 2
    assert READY not in lines(world)
    assert (PROVE in lines(world)) is (state == "drain")


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_what_was_out_stays_out_without_the_gate_too(state: str) -> None:
    world = World(require_haproxy_checks=False)
    world.take_out("web1", state)
    context, _ = await upgraded(world)
    await verify(context)
    assert world.admin("web1") == [AdminState(state)] * 2
    assert READY not in lines(world)


@pytest.mark.virtual_time
async def test_weight_and_agent_come_back_exactly() -> None:
    world = World()
    for server in world.servers("web1"):
        server.weight, server.agent_configured, server.agent = 50, True, True
    context, _ = await upgraded(world)
    world.balancers["lb1"].reload()  # and everything that was set at run time is lost
    for server in world.servers("web1"):
        server.set_state("maint")
    await verify(context)
    assert [(server.weight, server.agent) for server in world.servers("web1")] == [(50, True)] * 2
    assert "set server shop/web1 weight 50" in lines(world)


@pytest.mark.virtual_time
async def test_a_weight_of_zero_is_back_without_traffic() -> None:
    world = World()
    for server in world.servers("web1"):
        server.weight = 0
    context, _ = await upgraded(world)
    assert await verify(context) == "healthy; left at weight 0 as it was before"
    assert world.admin("web1") == [AdminState.READY] * 2
    assert world.server("web1").weight == 0


@pytest.mark.virtual_time
async def test_somebody_who_takes_it_over_while_it_is_proven_stops_the_step() -> None:
    world = World()
    context, _ = await upgraded(world)
    world.at(0.5, lambda: world.server("web1", "lb2").set_state("ready"))
    with pytest.raises(StepFailed, match="shop/web1 on lb2 was set to ready by somebody else"):
        await verify(context)
    assert READY not in lines(world)


@pytest.mark.virtual_time
@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_to_the_proof_is_looked_at(executed: bool) -> None:
    world = World()
    context, _ = await upgraded(world)
    lost = UnknownOutcome("lb2", "cut off")
    world.balancers["lb2"].faults.add("write", lost, executed=executed)
    assert await verify(context) == "in rotation"
    assert lines(world, "lb2") == [PROVE] * (2 if executed else 1) + [READY]


@pytest.mark.virtual_time
async def test_a_refused_proof_is_final() -> None:
    world = World()
    context, _ = await upgraded(world)
    world.balancers["lb2"].faults.add("write", Refused("lb2", "No such server."))
    with pytest.raises(Refused, match="No such server"):
        await verify(context)
