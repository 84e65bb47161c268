"""A failed node: taken out wherever the floor allows it, or put back where its service was not stopped."""

from dataclasses import replace
from typing import Any

import pytest

from backends.errors import PermissionDenied, RolldeckError, Unreachable
from backends.model import AdminState
from orchestrator.engine.desired_state import DesiredState
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps.quarantine import quarantine, restore_untouched
from orchestrator.events.events import NodeNote
from orchestrator.planning.plan import PlannedNode
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World
from tests.support.fake_registration import FakeRegistration
from tests.unit.tracking import follow, ref

MAINT, READY = AdminState.MAINT, AdminState.READY
ACTIVE_DRAINED = [AdminState.DRAIN] * 2


def notes(world: World) -> list[str]:
    return [event.text for event in world.events(NodeNote)]


def context_of(world: World, **changes: Any) -> StepContext:
    found = replace(world.context(), **changes)
    found.desired_states.originals.update(found.originals)
    return found


@pytest.mark.virtual_time
async def test_a_failed_node_is_taken_out_everywhere() -> None:
    world = World(3, 2)
    context = context_of(world)
    await quarantine(context)
    assert world.admin("web1") == [MAINT, MAINT]
    assert notes(world) == []
    assert {context.desired_states.desired(one) for one in context.refs} == {DesiredState.MAINT}
    assert not world.sent("web2")


@pytest.mark.virtual_time
async def test_it_stays_in_rotation_only_where_the_floor_needs_it() -> None:
    world = World(2, 2)
    world.server("web2", "lb1").set_state("maint")
    context = context_of(world)
    await quarantine(context)
    assert world.admin("web1") == [READY, MAINT]
    (note,) = notes(world)
    assert note.startswith("left in rotation although it failed, because of the floor: shop on lb1: ")
    assert context.desired_states.desired(ref("shop/web1")) is DesiredState.ORIGINAL


@pytest.mark.virtual_time
async def test_others_that_are_not_proven_yet_are_better_than_one_that_is_known_to_fail() -> None:
    """As right after a reload: they carry traffic, and none of them counts as in rotation."""
    world = World(2, 1)
    world.balancers["lb1"].reload()
    assert not world.server("web2").seen().in_rotation
    assert world.server("web2").seen().receives_traffic
    await quarantine(context_of(world))
    assert world.admin("web1") == [MAINT]


@pytest.mark.virtual_time
async def test_a_load_balancer_that_does_not_answer_keeps_it_in_rotation_on_no_other() -> None:
    world = World(3, 3, balancer_unreachable_timeout=5)
    world.balancers["lb1"].down = True
    with pytest.raises(RolldeckError, match="lb1"):
        await quarantine(context_of(world))
    assert world.admin("web1") == [READY, MAINT, MAINT]


@pytest.mark.virtual_time
async def test_one_that_refuses_at_once_does_not_end_the_work_on_a_slow_one() -> None:
    world = World(3, 2)
    world.balancers["lb1"].faults.always["write"] = Fault(PermissionDenied("lb1", "level user"))
    world.balancers["lb2"].faults.add("write", None, seconds=3)
    with pytest.raises(PermissionDenied):
        await quarantine(context_of(world))
    assert world.admin("web1") == [READY, MAINT]


@pytest.mark.virtual_time
async def test_its_agent_is_silenced_first() -> None:
    """An agent that says "ready" would undo it."""
    world = World(3, 1)
    server = world.server("web1")
    server.agent_configured = server.agent = True
    await quarantine(context_of(world))
    assert world.sent("web1") == ["disable agent shop/web1", "set server shop/web1 state maint"]


@pytest.mark.virtual_time
async def test_the_floor_of_its_followers_is_kept_too() -> None:
    world = World(3, 1)
    follow(world, "other/o1", "shop/web1")
    await quarantine(context_of(world))
    assert world.admin("web1") == [READY]
    (note,) = notes(world)
    assert "other on lb1: in rotation 1 → 0, floor 1; other/o1 follows shop/web1" in note


@pytest.mark.virtual_time
async def test_followers_that_go_with_it_are_remembered() -> None:
    world = World(3, 1)
    follow(world, "other/o1", "shop/web1")
    follow(world, "other/o2", "shop/web2")
    context = context_of(world)
    await quarantine(context)
    assert world.admin("web1") == [MAINT]
    assert context.followers == {ref("other/o1")}


@pytest.mark.virtual_time
@pytest.mark.parametrize("everywhere", [True, False])
async def test_it_is_out_in_service_discovery_only_where_it_is_out_everywhere(everywhere: bool) -> None:
    world = World(2, 2)
    registration = FakeRegistration()
    if not everywhere:
        world.server("web2", "lb1").set_state("maint")
    context = context_of(world)
    await quarantine(replace(context, node=replace(context.node, registration=registration)))
    assert bool(registration.reason) is everywhere


# -- back with its old version --------------------------------------------------------------------


def planned(**changes: Any) -> PlannedNode:
    node = PlannedNode("web1", (), {}, "1.0", "1.0", ("drain", "stop", "verify"), "")
    return replace(node, **changes)


async def drained(**changes: Any) -> tuple[World, StepContext]:
    world = World(3, 2, verify_timeout=20)
    context = context_of(world, **changes)
    context.set_desired(DesiredState.DRAIN)
    world.take_out("web1", "drain")
    return world, context


@pytest.mark.virtual_time
async def test_a_node_whose_service_was_not_stopped_goes_back_as_it_was() -> None:
    world, context = await drained()
    assert await restore_untouched(context, planned())
    assert world.admin("web1") == [READY, READY]
    assert notes(world) == []


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("of_context", "of_plan"),
    [
        ({"stop_sent": True}, {}),
        ({}, {"unfinished_rollout": 7}),
        ({}, {"force_ready": True}),
        ({}, {"steps": ("verify",)}),
    ],
)
async def test_a_node_that_was_not_serving_before_is_not_put_in_rotation(
    of_context: dict[str, Any], of_plan: dict[str, Any]
) -> None:
    world, context = await drained(**of_context)
    assert not await restore_untouched(context, planned(**of_plan))
    assert world.admin("web1") == ACTIVE_DRAINED
    assert not world.sent()


@pytest.mark.virtual_time
async def test_a_node_that_is_not_healthy_is_not_put_back() -> None:
    world, context = await drained()
    world.nodes["web1"].healthy = False
    assert not await restore_untouched(context, planned())
    assert not world.sent()
    world.nodes["web1"].faults.add("health", Unreachable("web1", "no route to host"))
    assert not await restore_untouched(context, planned())
    assert notes(world) == ["was not put back: no route to host"]


@pytest.mark.virtual_time
async def test_another_version_than_the_plan_saw_is_not_put_back_and_goes_to_maintenance() -> None:
    world, context = await drained()
    world.nodes["web1"].running = "6.6"
    assert not await restore_untouched(context, planned())
    assert world.admin("web1") == [MAINT, MAINT]
    (note,) = notes(world)
    assert note.startswith("could not be put back: ")


@pytest.mark.virtual_time
async def test_servers_that_somebody_has_drained_meanwhile_stay_drained() -> None:
    world = World(3, 2)
    context = context_of(world)
    world.server("web1", "lb2").set_state("drain")
    assert await restore_untouched(context, planned())
    assert world.admin("web1") == [READY, AdminState.DRAIN]
    assert notes(world) == ["somebody has drained shop/web1 on lb2 meanwhile: it is left drained"]
