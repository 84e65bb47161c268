"""The commands of a plan are those that would be sent, and none that would do harm."""

import pytest

from backends.model import Admin
from orchestrator.planning.plan import Plan
from tests.support.fake_fleet import World


def commands(plan: Plan, name: str, step: str) -> list[str]:
    return [
        f"{command.target}: {command.command}" for command in plan.node(name).commands if command.step == step
    ]


@pytest.mark.virtual_time
async def test_of_a_node_in_rotation() -> None:
    plan = await World(nodes=2, instances=2).plan()
    assert commands(plan, "web1", "drain") == [
        "lb1: set server shop/web1 state drain",
        "lb2: set server shop/web1 state drain",
        "lb1: set server shop/web1 state maint",
        "lb2: set server shop/web1 state maint",
    ]
    assert commands(plan, "web1", "verify") == [
        "lb1: set server shop/web1 state drain; set server shop/web1 health down",
        "lb2: set server shop/web1 state drain; set server shop/web1 health down",
        "lb1: set server shop/web1 state ready",
        "lb2: set server shop/web1 state ready",
    ]


@pytest.mark.virtual_time
async def test_a_server_without_checks_is_never_set_down() -> None:
    world = World(nodes=2, instances=1)
    world.server("web1").has_checks = False
    plan = await world.plan()
    assert commands(plan, "web1", "verify") == ["lb1: set server shop/web1 state ready"]
    await world.upgrade()
    assert not [command for command in world.sent("web1") if "health down" in command]


@pytest.mark.virtual_time
async def test_a_server_in_maintenance_is_not_taken_out_and_not_put_back() -> None:
    world = World(nodes=2, instances=1)
    world.server("web1").admin = Admin.FORCED_MAINT
    plan = await world.plan()
    assert commands(plan, "web1", "drain") == []
    assert commands(plan, "web1", "verify") == []
