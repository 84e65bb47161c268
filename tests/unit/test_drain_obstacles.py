"""A service manager that would do nothing when it is asked to stop is found before the node is drained.

So is own health that fails on every node already, and no health check at all.
"""

import asyncio
from dataclasses import replace

import pytest

from backends.node_state import Activity, ServiceState
from orchestrator.engine.steps.drain import check_reachable
from orchestrator.events.events import NodeFailed
from orchestrator.planning.findings import Severity
from orchestrator.preflight.preflight import preflight
from tests.support.fake_fleet import World
from tests.support.fake_node import FakeService


@pytest.mark.virtual_time
@pytest.mark.parametrize("activity", [Activity.STOPPED, Activity.FAILED])
async def test_a_stopped_service_whose_port_is_open_is_an_error_in_preflight(activity: Activity) -> None:
    world = World()
    world.nodes["web2"].activity = activity
    plan = await world.plan()
    (error,) = plan.errors
    assert (error.severity, error.subject) == (Severity.ERROR, "web2")
    assert "the port is open" in error.text


@pytest.mark.virtual_time
async def test_a_stopped_service_whose_port_is_closed_is_none() -> None:
    world = World()
    world.nodes["web2"].activity = Activity.STOPPED
    world.nodes["web2"].port_open = False
    assert not (await world.plan()).errors


@pytest.mark.virtual_time
async def test_since_the_plan_it_keeps_its_node_in_rotation() -> None:
    world = World()
    plan = await world.plan()
    world.nodes["web1"].activity = Activity.STOPPED
    ended = await world.carry_out(plan)
    assert (ended.held, world.sent("web1")) == (["web1"], [])
    (failed,) = world.events(NodeFailed)
    assert "the port is open" in failed.error
    assert "left in rotation" in failed.error


@pytest.mark.virtual_time
async def test_all_that_is_looked_at_before_a_drain_is_asked_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each look is a program on the node. Here each waits until the other one has begun."""

    world = World()
    context = world.context()
    both_asked = asyncio.Barrier(2)

    async def state(_: FakeService) -> ServiceState:
        await both_asked.wait()
        return ServiceState(Activity.RUNNING, 1, "running")

    async def obstacles(_: FakeService) -> tuple[str, ...]:
        await both_asked.wait()
        return ()

    monkeypatch.setattr(FakeService, "state", state)
    monkeypatch.setattr(FakeService, "obstacles", obstacles)
    await check_reachable(context)


@pytest.mark.virtual_time
async def test_own_health_that_fails_on_every_node_in_rotation_is_an_error() -> None:
    world = World()
    for node in world.nodes.values():
        node.sick = frozenset({"1.0"})
    plan = await world.plan()
    (error,) = plan.errors
    assert error.subject == "web1, web2, web3"
    assert "the first node would certainly fail verify" in error.text


@pytest.mark.virtual_time
async def test_own_health_that_fails_on_one_node_is_a_warning() -> None:
    world = World()
    world.nodes["web1"].sick = frozenset({"1.0"})
    plan = await world.plan()
    assert not plan.errors
    (warning,) = [finding for finding in plan.findings if "is not healthy now" in finding.text]
    assert (warning.severity, warning.subject) == (Severity.WARNING, "web1")


@pytest.mark.virtual_time
async def test_a_node_that_is_out_and_ill_may_be_cured_by_the_upgrade() -> None:
    world = World(nodes=1, min_available=0)
    world.nodes["web1"].sick = frozenset({"1.0"})
    world.take_out("web1")
    assert not (await world.plan(force_ready=["web1"])).errors


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("required", "more"), [(True, " and HAProxy's own checks pass, if there are any"), (False, "")]
)
async def test_no_health_check_at_all_is_a_warning(required: bool, more: str) -> None:
    world = World(require_haproxy_checks=required)
    world.application = replace(world.application, has_health_check=False)
    for version in ("2.0", None):
        plan = await preflight(world.application, version)
        [warning] = plan.findings
        assert (warning.severity, warning.subject) == (Severity.WARNING, "shop")
        assert warning.text == (
            "no health check is configured: a version counts as healthy as soon as its port is open"
            f"{more} (see [apps.shop.health])"
        )
