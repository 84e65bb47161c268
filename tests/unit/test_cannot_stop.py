"""A service manager that would do nothing when it is asked to stop is found before the node is drained."""

import pytest

from backends.model import Activity
from orchestrator.events import NodeFailed
from orchestrator.plan import Severity
from tests.unit.fakes import World
from tests.unit.virtual_time import run


@pytest.mark.parametrize("activity", [Activity.STOPPED, Activity.FAILED])
def test_a_stopped_service_whose_port_is_open_is_an_error_in_preflight(activity: Activity) -> None:
    async def scenario() -> None:
        world = World()
        world.nodes["web2"].activity = activity
        plan = await world.plan()
        (error,) = plan.errors
        assert (error.severity, error.subject) == (Severity.ERROR, "web2")
        assert "the port is open" in error.text

    run(scenario())


def test_a_stopped_service_whose_port_is_closed_is_none() -> None:
    async def scenario() -> None:
        world = World()
        world.nodes["web2"].activity = Activity.STOPPED
        world.nodes["web2"].port_open = False
        assert not (await world.plan()).errors

    run(scenario())


def test_since_the_plan_it_keeps_its_node_in_rotation() -> None:
    async def scenario() -> None:
        world = World()
        plan = await world.plan()
        world.nodes["web1"].activity = Activity.STOPPED
        ended = await world.carry_out(plan)
        assert (ended.held, world.sent("web1")) == (["web1"], [])
        (failed,) = world.events(NodeFailed)
        assert "the port is open" in failed.error
        assert "left in rotation" in failed.error

    run(scenario())
