"""A node that somebody puts back during its rollout is noticed, and no automatic end puts it back."""

import asyncio

import pytest

from backends.model import AdminState
from orchestrator.events.actor import Actor
from orchestrator.events.events import (
    NodeNote,
    NodeUpgraded,
    Paused,
    Resumed,
    StepDone,
    StepStarted,
    Waiting,
)
from tests.support.fake_fleet import World
from tests.unit.world_events import act_at_step


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", ["drain", "stop", "install", "start", "verify"])
async def test_a_reload_in_any_step_is_undone_before_anything_goes_on(step: str) -> None:
    world = World(3, 2, drain_timeout=30)
    world.server("web3", "lb1").set_state("maint")  # a human's
    act_at_step(world, StepStarted, step, lambda: world.at(0.01, world.balancers["lb1"].reload))
    ended = await world.upgrade()
    assert (ended.result, ended.upgraded) == ("healthy", ["web1", "web2", "web3"])
    assert world.admin("web3") == [AdminState.MAINT, AdminState.READY]
    [noted] = [note.text for note in world.events(NodeNote) if "was reloaded" in note.text]
    assert noted.startswith("lb1 was reloaded; restored: ")
    assert "set server shop/web3 state maint" in noted
    assert [(event.who, event.via) for event in world.events(Paused)] == [("Rolldeck", "rolldeck")]
    assert [(event.who, event.via) for event in world.events(Resumed)] == [("Rolldeck", "rolldeck")]


@pytest.mark.virtual_time
async def test_what_somebody_else_does_to_an_upgraded_node_is_named_once_and_not_fought() -> None:
    world = World(3, 2, min_available=0)

    async def interfere() -> None:
        await world.until(lambda: [event.node for event in world.events(NodeUpgraded)] == ["web1"])
        world.server("web1", "lb2").set_state("maint")

    ended = await world.during(interfere())
    assert ended.result == "degraded"  # not everything is back in rotation
    assert world.admin("web1") == [AdminState.READY, AdminState.MAINT]
    told = [note.text for note in world.events(NodeNote) if "somebody set" in note.text]
    assert told == [
        "somebody set shop/web1 on lb2 to maint, weight 1; this rollout wants it as it was before"
    ]


@pytest.mark.virtual_time
async def test_a_service_is_not_stopped_under_a_node_that_somebody_put_back() -> None:
    world = World(3, 2)

    def put_back() -> None:
        world.control.pause(Actor("me"))
        world.at(60, lambda: world.server("web1", "lb2").set_state("ready"))
        world.at(90, lambda: world.control.resume(Actor("me")))

    act_at_step(world, StepDone, "drain", put_back)
    ended = await world.upgrade()
    assert ended.put_back == ["web1"]  # it was never stopped, and still serves its old version
    assert world.admin("web1") == [AdminState.READY] * 2
    assert world.nodes["web1"].asked == []


@pytest.mark.virtual_time
async def test_inherited_maintenance_is_not_relied_on() -> None:
    world = World(3, 1)
    other = world.balancers["lb1"].add("other", "db", world.nodes["web3"])
    other.set_state("maint")
    world.server("web1").track_target = other
    during: list[AdminState] = []

    def ends() -> None:
        other.set_state("ready")
        during.extend(world.admin("web1"))

    act_at_step(world, StepStarted, "stop", ends)
    await world.upgrade()
    assert during == [AdminState.MAINT]


@pytest.mark.virtual_time
async def test_the_agent_that_a_failed_rollout_left_off_is_on_again_after_ready() -> None:
    world = World(3, 2)
    for server in world.servers("web1"):
        server.agent_configured = True
    world.take_out("web1")
    ended = await world.upgrade(force_ready=["web1"])
    assert ended.result == "healthy"
    assert [server.agent for server in world.servers("web1")] == [True, True]


@pytest.mark.virtual_time
async def test_the_bake_does_not_end_on_a_bad_look() -> None:
    world = World(2, 1, bake_time=1.0)
    node = world.nodes["web1"]
    looks: list[bool] = []

    async def sick() -> None:
        await world.until(lambda: any(wait.reason == "baking" for wait in world.events(Waiting)) or looks)
        await asyncio.sleep(0.45)
        node.flaps = [False, False, True, True]
        await world.until(lambda: world.events(NodeUpgraded))
        looks.extend(node.flaps)

    ended = await world.during(sick())
    assert ended.result == "healthy"
    assert len(looks) <= 1  # it went on until a good one
