"""The time in which nodes and rollouts only wait for an operator's answer is told beside their own."""

import asyncio

import pytest

from backends.errors import Refused
from orchestrator.engine import node_rollout
from orchestrator.engine.control import CONTINUE, RETRY
from orchestrator.engine.step_context import StepContext, run_step
from orchestrator.events.actor import Actor
from orchestrator.events.events import NodeUpgraded, StepDone
from orchestrator.events.state import RolloutState
from orchestrator.events.steps import Step
from orchestrator.events.text import describe
from orchestrator.events.timeline import Timeline
from tests.support.fake_fleet import World
from tests.unit import journals

ANN = Actor("ann")


async def answer_late(world: World, subject: str, choice: str = CONTINUE, wait_s: float = 200) -> None:
    question = await world.question(subject)
    await asyncio.sleep(wait_s)
    world.control.answer(question, choice, ANN)
    await asyncio.sleep(0.01)


def upgraded(world: World) -> dict[str, NodeUpgraded]:
    return {event.node: event for event in world.events(NodeUpgraded)}


@pytest.mark.virtual_time
async def test_each_node_and_the_rollout_tell_their_waits_for_answers() -> None:
    world = World(nodes=2, interactive=True, confirm="step")

    async def answer_all() -> None:
        await answer_late(world, "web1")
        question = await world.question("web1")
        world.control.pause(ANN)
        await asyncio.sleep(1000)  # a pause is no wait
        world.control.resume(ANN)
        world.control.answer(question, CONTINUE, ANN)
        for subject in ["web1"] * 3 + ["web2"] * 5:
            await answer_late(world, subject, wait_s=0.01)

    ended = await world.during(answer_all())
    web1, web2 = upgraded(world)["web1"], upgraded(world)["web2"]
    assert web1.answer_wait_s == pytest.approx(200, abs=1)
    assert web1.duration_s - web1.answer_wait_s == pytest.approx(web2.duration_s, abs=2)
    assert ended.answer_wait_s == pytest.approx(200, abs=1)
    worked = describe(web2).removeprefix("upgraded in ")
    assert describe(web1) == f"upgraded in {worked} (plus 3:20 waiting for an answer)"
    assert describe(ended).endswith("(plus 3:20 waiting for an answer)")
    assert ", 3:20 for answers, paused 16:40" in Timeline.of(world.records).times_text


@pytest.mark.virtual_time
async def test_a_wait_beside_work_is_only_that_of_its_node() -> None:
    world = World(nodes=3, serial=2, interactive=True, max_fail_percentage=100)
    world.nodes["web2"].stop_delay = 40.0  # it works, while web1 waits for a decision
    world.nodes["web1"].faults.add("install", Refused("web1", "no"))

    ended = await world.during(answer_late(world, "web1", RETRY))
    done = upgraded(world)
    assert ended.result == "healthy"
    # What it did before it failed is no part of its time, and so is the wait after that.
    assert done["web1"].answer_wait_s == 0
    assert done["web2"].answer_wait_s == 0
    assert ended.answer_wait_s == pytest.approx(200 - 40 - 10, abs=10)
    assert RolloutState.of(world.records).nodes["web2"].done == done["web2"]


@pytest.mark.virtual_time
async def test_a_wait_within_a_step_is_no_part_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a verdict that holds the next drain: all later nodes would be expected to take as long."""

    async def held(step: Step, context: StepContext) -> str | None:
        if (step, context.node.name) == ("drain", "web1"):
            await context.control.request_decision("web1", "drain it?", (CONTINUE,), "verdict")
        return await run_step(step, context)

    monkeypatch.setattr(node_rollout, "run_step", held)
    world = World(nodes=2, interactive=True)
    await world.during(answer_late(world, "web1"))
    timeline = Timeline.of(world.records)
    assert timeline.duration_of("drain", "web1") < 10
    assert timeline.times_text.endswith("3:20 for answers")
    assert timeline.times.seconds < 60
    drained = next(event for event in world.events(StepDone) if event.step == "drain")
    assert "(plus 3:20 waiting for an answer)" in describe(drained)


@pytest.mark.virtual_time
async def test_a_node_that_cannot_begin_because_of_a_question_waits_for_its_answer() -> None:
    control = World(nodes=1, interactive=True).control
    waits = control.answer_waits

    async def fail() -> None:
        with waits.work("web1"), control.hold_new_drains("web1"):
            await asyncio.sleep(10)  # until the question
            await control.request_decision("web1", "what now?", (RETRY,), "failure")

    async def begin() -> None:
        with waits.work("web2"):
            await asyncio.sleep(1)
            await control.await_decisions("web2")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(begin())
        await asyncio.sleep(110)
        assert waits.total_s == pytest.approx(100)
        control.answer(control.questions[0].id, RETRY, ANN)
    assert (waits.seconds("web1"), waits.seconds("web2")) == pytest.approx((100, 109))
    assert waits.total_s == pytest.approx(100)


def test_events_of_earlier_versions_have_no_waits() -> None:
    assert describe(NodeUpgraded(node="web1", duration_s=633)) == "upgraded in 10:33"
    assert describe(journals.ended("healthy", duration_s=633)) == "ended healthy in 10:33"
