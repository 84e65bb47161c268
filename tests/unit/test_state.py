"""The state of a rollout, at any moment, is computed from its events alone."""

from functools import cache

import msgspec
import pytest

from backends.errors import Refused
from orchestrator.events.actor import Actor
from orchestrator.events.base import Event
from orchestrator.events.events import (
    AbortRequested,
    BatchStarted,
    DecisionRequested,
    NodeFailed,
    NodeSkipped,
    NodeUpgraded,
    Paused,
    Record,
    Resumed,
    RolloutStarted,
    StepDone,
    StepStarted,
    Waiting,
)
from orchestrator.events.spans import StepTimes
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.events.steps import STEPS
from orchestrator.journal.entries import decode_event, encode_row
from tests.support.fake_fleet import World, answer
from tests.support.virtual_time import run

STARTED = RolloutStarted(
    application="shop",
    version="2.0",
    nodes=["web1", "web2", "web3"],
    batches=[["web1"], ["web2"]],
    operator="ann",
)


def folded(*events: Event) -> RolloutState:
    return RolloutState.of(
        Record(number, 1000.0 + number, event)  # type: ignore[arg-type]
        for number, event in enumerate(events, 1)
    )


def test_before_the_first_event() -> None:
    state = RolloutState()
    assert (state.phase, state.total, state.done) == ("planned", 0, 0)
    assert state.eta() is None


def test_a_node_without_work_is_excluded() -> None:
    state = folded(STARTED)
    assert [node.state for node in state.nodes.values()] == [
        NodeState.PENDING,
        NodeState.PENDING,
        NodeState.EXCLUDED,
    ]
    assert (state.phase, state.total) == ("progressing", 2)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([StepStarted(node="web1", step="drain")], "draining"),
        (
            [
                StepStarted(node="web1", step="drain"),
                StepDone(node="web1", step="drain", changed=True, detail="", duration_s=1),
            ],
            NodeState.DRAINED,
        ),
        ([StepStarted(node="web1", step="install")], "installing"),
        (
            [
                StepStarted(node="web1", step="verify"),
                Waiting(node="web1", step="verify", reason="baking", remaining_s=4, baking=True),
            ],
            NodeState.BAKING,
        ),
        ([NodeSkipped(node="web1", who="ann")], NodeState.SKIPPED),
        ([NodeFailed(node="web1", step="stop", error="no")], NodeState.FAILED),
        ([NodeUpgraded(node="web1", duration_s=9)], NodeState.UPGRADED),
    ],
)
def test_what_a_node_is_doing(events: list[Event], expected: NodeState) -> None:
    assert folded(STARTED, *events).nodes["web1"].state is expected


def test_a_reason_has_a_deadline_until_the_step_is_done() -> None:
    begun = [
        StepStarted(node="web1", step="drain"),
        Waiting(node="web1", step="drain", reason="sessions: 3 on lb1", remaining_s=42),
    ]
    waiting = folded(STARTED, *begun).nodes["web1"]
    assert (waiting.reason, waiting.deadline) == ("sessions: 3 on lb1", 1003.0 + 42)
    done = StepDone(node="web1", step="drain", changed=False, detail="was so", duration_s=2.5)
    over = folded(STARTED, *begun, done).nodes["web1"]
    assert (over.reason, over.deadline) == ("", None)
    assert (over.steps["drain"].seconds, over.steps["drain"].result) == (2.5, "same")


def test_the_phase_says_who_and_why() -> None:
    assert folded(STARTED, Paused(who="ann", why="lunch")).phase_text == "paused by ann: lunch"
    assert folded(STARTED, Paused(who="ann", why=""), Resumed(who="ann", duration_s=1)).phase == "progressing"
    asked = DecisionRequested(question="q1", subject="web1", text="?", choices=["continue"])
    aborting = folded(STARTED, asked, AbortRequested(who="bob", why="", immediate=False))
    said = "aborting, requested by bob; again cuts the running step short"
    assert (aborting.phase_text, aborting.questions) == (said, {})
    at_once = folded(STARTED, asked, AbortRequested(who="bob", why="", immediate=True))
    assert at_once.phase_text == "aborting at once, requested by bob"


def test_the_time_left_is_told_from_the_nodes_that_are_done() -> None:
    state = folded(
        STARTED,
        BatchStarted(number=1, nodes=["web1"]),
        *turn("web1"),
        BatchStarted(number=2, nodes=["web2"]),
    )
    assert (state.batch, state.done) == (2, 1)
    assert state.eta() == StepTimes(working=9.0, waiting=11.0)  # 60 s for a human's decision are not in it
    begun = [
        StepStarted(node="web2", step="drain"),
        StepDone(node="web2", step="drain", changed=True, detail="", duration_s=9),
    ]
    later = folded(STARTED, *turn("web1"), *begun).eta()
    assert later is not None
    assert later.seconds == pytest.approx(20 * 4 / 5)


def test_a_pause_while_a_node_bakes_is_neither_work_nor_waiting() -> None:
    moments: list[tuple[float, Event]] = [
        (0, STARTED),
        (0, StepStarted(node="web1", step="verify")),
        (4, Waiting(node="web1", step="verify", reason="baking", remaining_s=16, baking=True)),
        (10, Paused(who="ann", why="")),
        (40, Resumed(who="ann", duration_s=30)),
        (50, StepDone(node="web1", step="verify", changed=True, detail="", duration_s=20)),
        (50, NodeUpgraded(node="web1", duration_s=20)),
    ]
    records = [Record(seq, 1000 + at, event) for seq, (at, event) in enumerate(moments, 1)]  # type: ignore[arg-type]
    assert RolloutState.of(records).nodes["web1"].times == StepTimes(working=4.0, waiting=16.0)


def turn(node: str) -> list[Event]:
    """A whole turn: 10 s of draining, 9 s of work, and 1 s of baking at the end of the last step."""
    events: list[Event] = []
    for step, seconds in zip(STEPS, (10, 1, 2, 3, 4), strict=True):
        events.append(StepStarted(node=node, step=step))
        if step == "verify":
            events.append(Waiting(node=node, step=step, reason="baking", remaining_s=2, baking=True))
        events.append(StepDone(node=node, step=step, changed=True, detail="", duration_s=seconds))
    return [*events, NodeUpgraded(node=node, duration_s=80)]


def test_the_versions_before_are_one_or_several_or_unknown() -> None:
    def before(**versions: str) -> str:
        return folded(msgspec.structs.replace(STARTED, before=versions)).versions_before()

    assert before() == ""
    assert before(web1="1.4", web2="1.4", web3="0.9") == "1.4"  # web3 has nothing to do
    assert before(web1="1.4", web2="1.3") == "several"


async def _healthy() -> list[Record]:
    world = World(nodes=3, serial=2)
    await world.upgrade()
    return world.records


async def _failing() -> list[Record]:
    world = World(nodes=3)
    world.nodes["web2"].sick = frozenset({"2.0"})
    await world.upgrade()
    return world.records


async def _decided() -> list[Record]:
    world = World(nodes=3, interactive=True, confirm="node")
    world.nodes["web2"].faults.add("stop", Refused("web2", "no"), times=2)

    async def decide() -> None:
        await answer(world, "continue", times=2)
        await answer(world, "retry")
        world.control.pause(Actor("ann"), "?")
        world.control.resume(Actor("ann"))
        await answer(world, "skip")
        await world.question()
        world.control.abort(Actor("ann"), "enough")
        world.control.abort(Actor("ann"), "enough!")

    await world.during(decide())
    return world.records


STREAMS = {"healthy": _healthy, "failing": _failing, "decided": _decided}


@cache
def stream(name: str) -> list[Record]:
    return run(STREAMS[name]())


@pytest.mark.parametrize("name", STREAMS)
def test_any_prefix_of_a_real_stream_can_be_shown(name: str) -> None:
    records = stream(name)
    step_by_step = RolloutState()
    for count, record in enumerate(records, 1):
        step_by_step.apply(record)
        assert RolloutState.of(records[:count]) == step_by_step
        assert step_by_step.done <= step_by_step.total
        left = step_by_step.eta()
        assert left is None or (left.working >= 0 and left.waiting >= 0)
    ended = step_by_step.ended
    assert ended is not None
    assert step_by_step.phase == ended.result
    shown = {node.name for node in step_by_step.nodes.values() if node.state is NodeState.UPGRADED}
    assert shown == set(ended.upgraded)


@pytest.mark.parametrize("name", STREAMS)
def test_a_journal_that_is_read_back_gives_the_same_state(name: str) -> None:
    read = []
    for record in stream(name):
        read.append(Record(record.seq, record.at, decode_event(encode_row(record))))
    from_journal, live = RolloutState.of(read), RolloutState.of(stream(name))
    assert {key: node.state for key, node in from_journal.nodes.items()} == {
        key: node.state for key, node in live.nodes.items()
    }
    assert (from_journal.ended, from_journal.phase) == (live.ended, live.phase)
