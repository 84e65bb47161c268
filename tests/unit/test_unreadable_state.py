"""A state that cannot be read never counts as good, and a node that was touched is named even then."""

import pytest

from orchestrator.events.events import RolloutEnded, StepStarted
from tests.support.fake_fleet import World


async def from_step(world: World, step: str, *balancers: str) -> RolloutEnded:
    """An upgrade in which these load balancers die when this step of web1 begins."""

    async def die() -> None:
        await world.until(lambda: any(started.step == step for started in world.events(StepStarted)))
        for name in balancers:
            world.balancers[name].down = True

    return await world.during(die())


@pytest.mark.virtual_time
async def test_a_touched_node_is_named_when_no_load_balancer_can_be_read() -> None:
    ended = await from_step(World(3, 2, balancer_unreachable_timeout=5), "start", "lb1", "lb2")
    assert len(ended.unreachable_balancers) == 2
    [out] = ended.out_of_rotation
    assert (out.node, out.intentional) == ("web1", False)
    assert out.servers == ["shop/web1 on lb1: unknown", "shop/web1 on lb2: unknown"]
    assert out.command_texts == [
        "rolldeck ready shop web1",
        "lb1: set server shop/web1 state ready   (once it is healthy)",
        "lb2: set server shop/web1 state ready   (once it is healthy)",
    ]
    assert out.rollback_command == "rolldeck upgrade shop 1.0 --limit web1 --force-ready web1"


@pytest.mark.virtual_time
async def test_the_commands_for_the_dead_load_balancer_are_named_too() -> None:
    world = World(3, 2, balancer_unreachable_timeout=5)
    server = world.server("web1", "lb2")
    server.agent_configured = server.agent = True
    ended = await from_step(world, "start", "lb2")
    [out] = ended.out_of_rotation
    assert out.servers == ["shop/web1 on lb1: maint (MAINT)", "shop/web1 on lb2: unknown"]
    assert out.command_texts[-2:] == [
        "lb2: set server shop/web1 state ready   (once it is healthy)",
        "lb2: enable agent shop/web1",
    ]


@pytest.mark.virtual_time
async def test_nodes_that_are_done_are_not_said_to_be_out() -> None:
    world = World(2, 2, balancer_unreachable_timeout=5)

    async def die() -> None:
        await world.until(lambda: any(step.node == "web2" for step in world.events(StepStarted)))
        world.balancers["lb2"].down = True

    ended = await world.during(die())
    assert ended.upgraded == ["web1"]
    assert [entry.node for entry in ended.out_of_rotation] == ["web2"]


@pytest.mark.virtual_time
async def test_the_word_of_an_old_worker_does_not_count() -> None:
    world = World(2, 1, balancer_unreachable_timeout=5, verify_timeout=5)

    async def reload() -> None:
        await world.until(lambda: any(step.step == "verify" for step in world.events(StepStarted)))
        world.balancers["lb1"].stopping = True

    ended = await world.during(reload())
    assert ended.result == "degraded"
    assert ended.upgraded == []
