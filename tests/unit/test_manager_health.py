"""A service whose manager checks its health, as Docker does: what verify and bake make of that."""

import pytest

from backends.errors import Unreachable, UnreadableReply
from backends.node_state import ServiceState
from orchestrator.engine.manual_change import Change, apply, find_nodes
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps.drain import drain
from orchestrator.engine.steps.verify import verify
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.events.events import NodeNote
from orchestrator.planning.findings import Finding, Severity
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World

UNHEALTHY = "unhealthy by its own health check: cat: /well: no such file"


async def upgraded(world: World, *, self_checked: bool = True) -> StepContext:
    """web1 in maintenance, the new version on disk and running; what is left is to verify."""
    node = world.nodes["web1"]
    node.self_checked = self_checked
    context = world.context()
    await drain(context)
    node.installed = node.running = "2.0"
    context.step = "verify"
    return context


def count_states(context: StepContext) -> list[ServiceState]:
    """Those that the service manager is asked for from now on."""
    states: list[ServiceState] = []
    state = context.node.service.state

    async def counted() -> ServiceState:
        states.append(await state())
        return states[-1]

    context.node.service.state = counted  # type: ignore[method-assign]
    return states


@pytest.mark.virtual_time
async def test_one_that_becomes_unhealthy_after_its_start_is_not_put_back() -> None:
    world = World(verify_timeout=30)
    context = await upgraded(world)
    world.nodes["web1"].own_check = UNHEALTHY
    with pytest.raises(StepTimeout, match=f"own health: service is running, {UNHEALTHY}"):
        await verify(context)
    assert not any(server.seen().in_rotation for server in world.servers("web1"))


@pytest.mark.virtual_time
async def test_one_that_becomes_unhealthy_while_it_bakes_fails() -> None:
    world = World(bake_time=60)
    context = await upgraded(world)
    world.at(30, lambda: setattr(world.nodes["web1"], "own_check", UNHEALTHY))
    with pytest.raises(
        StepFailed, match=f"own health failed during bake time: service is running, {UNHEALTHY}"
    ):
        await verify(context)
    assert world.clock.monotonic() < 35


@pytest.mark.virtual_time
async def test_one_that_recovers_in_time_is_put_back() -> None:
    world = World(verify_timeout=60, bake_time=0)
    context = await upgraded(world)
    world.nodes["web1"].own_check = UNHEALTHY
    world.at(40, lambda: setattr(world.nodes["web1"], "own_check", ""))
    assert await verify(context) == "in rotation"
    assert world.clock.monotonic() > 40


@pytest.mark.virtual_time
async def test_a_manager_that_cannot_be_asked_never_passes() -> None:
    world = World(verify_timeout=30)
    context = await upgraded(world)
    world.nodes["web1"].faults.always["state"] = Fault(UnreadableReply("web1", "no answer"))
    with pytest.raises(StepTimeout, match="own health: its service manager cannot be queried: no answer"):
        await verify(context)


@pytest.mark.virtual_time
@pytest.mark.parametrize("was_seen", [True, False])
async def test_a_manager_without_a_check_of_its_own_is_not_asked_again(was_seen: bool) -> None:
    world = World(bake_time=20)
    context = await upgraded(world, self_checked=False)
    context.self_checked = context.self_checked if was_seen else None
    states = count_states(context)
    await verify(context)
    assert len(states) == (1 if was_seen else 2), "one is whether it is being stopped"


@pytest.mark.virtual_time
async def test_ready_by_hand_asks_too_and_the_operator_may_know_better() -> None:
    world = World(verify_timeout=30)
    world.take_out("web1")
    node = world.nodes["web1"]
    node.self_checked, node.own_check = True, UNHEALTHY
    ready = Change("ready", find_nodes(world.application, ("web1",)))
    with pytest.raises(StepTimeout, match=UNHEALTHY):
        await apply(world.application, ready, world.control, world.clock, world.bus)
    node.faults.always["state"] = Fault(Unreachable("web1", "no route"))
    after = await apply(world.application, ready, world.control, world.clock, world.bus)
    assert all(server.in_rotation for server in after)
    assert "whether that finds it healthy is unknown" in world.events(NodeNote)[-1].text


@pytest.mark.virtual_time
async def test_the_plan_says_what_is_unhealthy_now() -> None:
    world = World()
    node = world.nodes["web1"]
    node.self_checked, node.own_check = True, UNHEALTHY
    plan = await world.plan()
    text = f"is not healthy now: running, {UNHEALTHY}"
    assert Finding(Severity.WARNING, "web1", text) in plan.findings
