"""Confirming and aborting a rollout, in every state that it can be in."""

import asyncio
from collections.abc import Callable

import pytest

from backends.errors import Busy
from orchestrator.events.actor import Actor
from orchestrator.events.events import DecisionMade, DecisionRequested, NodeSkipped, StepDone
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World, answer, steps


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("confirm", "questions"),
    [("node", ["web1", "web2"]), ("batch", ["batch 1", "batch 2"]), ("step", ["web1"] * 5 + ["web2"] * 5)],
)
async def test_everything_that_is_to_be_confirmed_is_asked(confirm: str, questions: list[str]) -> None:
    world = World(nodes=2, confirm=confirm, interactive=True)
    ended = await world.during(answer(world, "continue", times=len(questions)))
    assert ended.result == "healthy"
    assert [decision.subject for decision in world.events(DecisionRequested)] == questions
    assert [decision.who for decision in world.events(DecisionMade)] == ["ann"] * len(questions)


@pytest.mark.virtual_time
@pytest.mark.parametrize("confirm", ["node", "batch", "step"])
async def test_a_node_that_is_skipped_is_untouched(confirm: str) -> None:
    world = World(nodes=2, confirm=confirm, interactive=True)

    async def decide() -> None:
        await answer(world, "skip")
        await answer(world, "continue", times=5 if confirm == "step" else 1)

    ended = await world.during(decide())
    assert (ended.result, ended.skipped, ended.upgraded) == ("degraded", ["web1"], ["web2"])
    assert world.events(NodeSkipped) == [NodeSkipped(node="web1", who="ann")]
    assert world.sent("web1") == []
    assert world.nodes["web1"].asked == []


@pytest.mark.virtual_time
async def test_a_go_while_paused_starts_nothing_yet() -> None:
    world = World(nodes=1, min_available=0, confirm="step", interactive=True)

    async def decide() -> None:
        await answer(world, "continue", times=1)
        question = await world.question()
        world.control.pause(Actor("ann"))
        world.control.answer(question, "continue", Actor("ann"))
        await asyncio.sleep(600)
        assert steps(world, "web1") == ["drain"]
        world.control.resume(Actor("ann"))
        await answer(world, "continue", times=3)

    assert (await world.during(decide())).result == "healthy"


@pytest.mark.virtual_time
@pytest.mark.parametrize("confirm", ["node", "batch", "step"])
async def test_abort_is_accepted_while_a_question_is_open(confirm: str) -> None:
    world = World(nodes=2, confirm=confirm, interactive=True)

    async def stop() -> None:
        await world.question()
        world.control.abort(Actor("ann"), "no")

    ended = await world.during(stop())
    assert (ended.result, ended.reason) == ("aborted", "aborted by ann: no")
    assert ended.pending == ["web1", "web2"]
    assert not world.touched()


STEP_MARKS: list[tuple[str, Callable[[World], object]]] = [
    ("drain", lambda world: setattr(world.server("web1"), "sticky", 1)),
    ("stop", lambda world: setattr(world.nodes["web1"], "linger", 20.0)),
    ("start", lambda world: setattr(world.nodes["web1"], "start_delay", 20.0)),
    ("verify", lambda world: setattr(world.server("web1"), "inter", 20.0)),
]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("step", "slow"), STEP_MARKS, ids=[step for step, _ in STEP_MARKS])
@pytest.mark.parametrize("paused", [False, True])
async def test_the_first_abort_ends_after_the_running_step(
    step: str, slow: Callable[[World], object], paused: bool
) -> None:
    world = World(drain_timeout=20)
    slow(world)

    async def stop() -> None:
        await world.until(lambda: step in steps(world, "web1"))
        await asyncio.sleep(3)
        if paused:
            world.control.pause(Actor("bob"))
        world.control.abort(Actor("ann"))

    ended = await world.during(stop())
    assert steps(world, "web1")[-1] == step
    assert [step.step for step in world.events(StepDone)][-1] == step
    assert ended.result == "aborted"
    assert ended.interrupted == ([] if step == "verify" else ["web1"])
    assert ended.pending == ["web2", "web3"]
    assert [entry.node for entry in ended.out_of_rotation] == ([] if step == "verify" else ["web1"])
    if step != "verify":
        assert ended.out_of_rotation[0].command_texts[0] == "rolldeck ready shop web1"
        assert ended.out_of_rotation[0].stopped is (step == "stop")


def keep_manager_busy(world: World) -> None:
    world.nodes["web1"].faults.always["stop"] = Fault(Busy("web1", "start pending"))


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("step", "slow"),
    [*STEP_MARKS, ("stop", keep_manager_busy)],
    ids=[*(step for step, _ in STEP_MARKS), "stop that is not accepted"],
)
async def test_the_second_abort_is_at_once(step: str, slow: Callable[[World], object]) -> None:
    world = World(drain_timeout=20)
    slow(world)

    async def stop() -> None:
        await world.until(lambda: step in steps(world, "web1"))
        await asyncio.sleep(1)
        world.control.abort(Actor("ann"))
        await asyncio.sleep(1)
        world.control.abort(Actor("ann"))

    began = world.clock.monotonic()
    ended = await world.during(stop())
    assert world.clock.monotonic() - began < 12
    assert (ended.result, ended.interrupted) == ("aborted", ["web1"])
    assert [entry.node for entry in ended.out_of_rotation] == ["web1"]
    assert not [done for done in world.events(StepDone) if done.step == step]
