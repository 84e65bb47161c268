"""What a rollout does because of the verdict "hold" or a suspicion: the judge says what the test wants."""

import asyncio
from dataclasses import replace

import pytest

from orchestrator.canary.settings import CanarySettings
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.events.events import (
    DecisionRequested,
    NodeNote,
    Waiting,
)
from orchestrator.events.judgement import VerdictChanged
from tests.support.fake_fleet import World, answer
from tests.support.scripted_judge import REASON, ScriptedJudge, say
from tests.unit.world_events import once_baking


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedJudge.install(monkeypatch)


@pytest.mark.virtual_time
async def test_a_hold_stops_new_drains_when_no_operator_is_there() -> None:
    world = World(bake_time=2, capacity_timeout=5)
    once_baking(world, "web1", lambda: say("hold", cause="old version"))
    ended = await world.upgrade()
    assert (ended.result, ended.upgraded, ended.pending) == ("degraded", ["web1"], ["web2", "web3"])
    assert ended.reason == f"verdict hold: {REASON}"
    assert not world.sent("web2")
    assert ended.out_of_rotation == []


@pytest.mark.virtual_time
async def test_a_hold_that_ends_by_itself_stops_nothing() -> None:
    world = World(bake_time=2, capacity_timeout=30)

    def hold() -> None:
        say("hold", cause="slow")
        world.at(10, lambda: say("good"))

    once_baking(world, "web1", hold)
    ended = await world.upgrade()
    assert ended.result == "healthy"


@pytest.mark.virtual_time
async def test_a_suspicion_is_waited_for() -> None:
    world = World(bake_time=2, capacity_timeout=5)

    def suspect() -> None:
        ScriptedJudge.suspected = "web1 looks slower: 2.3× its peers"
        world.at(100, lambda: setattr(ScriptedJudge, "suspected", ""))

    once_baking(world, "web1", suspect)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert asyncio.get_running_loop().time() > 100
    assert any(event.reason == "web1 looks slower: 2.3× its peers" for event in world.events(Waiting))
    [note] = [event.text for event in world.events(NodeNote) if "looks slower" in event.text]
    assert note.endswith(": waiting until this is proven, or over")


@pytest.mark.virtual_time
async def test_a_rollback_waits_for_no_suspicion() -> None:
    world = World(bake_time=2)
    ScriptedJudge.suspected = "web1 looks slower: 2.3× its peers"
    context = RolloutContext(kind="rollback")
    assert (await world.carry_out(await world.plan("1.0"), context)).result == "healthy"
    assert asyncio.get_running_loop().time() < 100


@pytest.mark.virtual_time
async def test_an_operator_is_asked_once_about_each_cause_of_a_hold() -> None:
    world = World(bake_time=2, interactive=True)
    once_baking(world, "web1", lambda: say("hold", cause="slow"))
    once_baking(world, "web2", lambda: say("hold", cause="old version"))
    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(world.upgrade())
        group.create_task(answer(world, "continue", "verdict", times=2))
    assert rollout.result().result == "healthy"
    asked = world.events(DecisionRequested)
    assert [(event.kind, event.choices) for event in asked] == [("verdict", ["continue", "abort"])] * 2
    assert REASON in asked[0].text


@pytest.mark.virtual_time
async def test_an_operator_who_accepts_slowness_does_not_wait_for_its_next_suspicion() -> None:
    world = World(bake_time=2, interactive=True)

    once_baking(world, "web1", lambda: say("hold", cause="slow"))
    once_baking(world, "web2", lambda: setattr(ScriptedJudge, "suspected", "web2 looks slower"))
    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(world.upgrade())
        group.create_task(answer(world, "continue", "verdict"))
    assert rollout.result().result == "healthy"
    assert asyncio.get_running_loop().time() < 100


@pytest.mark.virtual_time
async def test_nobody_is_asked_about_slowness_that_is_to_hold() -> None:
    world = World(bake_time=2, capacity_timeout=5, interactive=True)
    world.application = replace(world.application, canary=CanarySettings(on_slow="hold"))
    once_baking(world, "web1", lambda: say("hold", cause="slow"))
    ended = await world.upgrade()
    assert (ended.result, ended.upgraded, ended.pending) == ("degraded", ["web1"], ["web2", "web3"])
    assert not world.events(DecisionRequested)


@pytest.mark.virtual_time
async def test_an_operator_may_end_a_rollout_that_is_held() -> None:
    world = World(bake_time=2, interactive=True)
    once_baking(world, "web1", lambda: say("hold", cause="slow"))
    ended = await world.during(answer(world, "abort", "verdict"))
    assert (ended.result, ended.upgraded) == ("aborted", ["web1"])


@pytest.mark.virtual_time
async def test_a_load_balancer_of_which_nothing_is_known_holds() -> None:
    world = World(bake_time=2, capacity_timeout=5)
    once_baking(world, "web1", lambda: setattr(world.balancers["lb2"], "down", True))
    ended = await world.upgrade()
    assert ended.result == "degraded"
    assert any(event.state == "hold" and "lb2" in event.reason for event in world.events(VerdictChanged))


@pytest.mark.virtual_time
async def test_a_rollback_is_not_held_up() -> None:
    world = World(bake_time=1)
    say("hold", cause="old version")
    context = RolloutContext(kind="rollback")
    plan = await world.plan()
    assert (await world.carry_out(plan, context)).result == "healthy"
