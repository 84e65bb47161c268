"""Operator controls: pause, answer, abort, in any order and at any time."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from orchestrator.engine.control import ABORT, CONTINUE, RETRY, SKIP, RolloutControl
from orchestrator.errors import Aborted, JournalError
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import (
    AbortRequested,
    AnyEvent,
    DecisionMade,
    DecisionRequested,
    Paused,
    Record,
    Resumed,
)
from tests.support.virtual_time import VirtualClock


def rollout_control() -> tuple[RolloutControl, list[AnyEvent]]:
    clock = VirtualClock()
    bus = EventBus(clock)
    told: list[AnyEvent] = []
    bus.subscribe(lambda record: told.append(record.event))
    return RolloutControl(clock, bus), told


@pytest.mark.virtual_time
async def test_the_time_spent_paused_is_no_time_worked() -> None:
    control, told = rollout_control()
    await asyncio.sleep(10)
    control.pause(Actor("ann"), "lunch")
    control.pause(Actor("bob"))  # it is paused already
    assert control.paused
    await asyncio.sleep(3600)
    assert control.elapsed_excluding_pauses() == pytest.approx(10)
    control.resume(Actor("ann"))
    control.resume(Actor("ann"))
    await asyncio.sleep(5)
    assert control.elapsed_excluding_pauses() == pytest.approx(15)
    assert told == [Paused(who="ann", why="lunch"), Resumed(who="ann", duration_s=3600.0)]


@pytest.mark.virtual_time
async def test_a_checkpoint_waits_for_resume() -> None:
    control, _ = rollout_control()
    await control.checkpoint()  # not paused: at once
    control.pause(Actor("ann"))
    asyncio.get_running_loop().call_later(60, control.resume, Actor("ann"))
    await control.checkpoint()
    assert asyncio.get_running_loop().time() == pytest.approx(60)


@pytest.mark.virtual_time
async def test_abort_ends_a_pause_and_every_wait() -> None:
    control, told = rollout_control()
    control.pause(Actor("ann"))
    asyncio.get_running_loop().call_later(1, control.abort, Actor("bob"), "fire")
    with pytest.raises(Aborted, match="aborted by bob: fire"):
        await control.checkpoint()
    assert not control.paused
    control.pause(Actor("ann"))  # too late
    assert not control.paused
    assert told[-1] == AbortRequested(who="bob", why="fire", immediate=False)


@pytest.mark.virtual_time
async def test_a_question_waits_for_one_of_its_choices() -> None:
    control, told = rollout_control()
    asked = asyncio.create_task(control.request_decision("web1", "go?", (CONTINUE, SKIP, ABORT)))
    await asyncio.sleep(100)
    (question,) = control.questions
    assert (question.subject, question.text, control.has_open_failure) == ("web1", "go?", False)
    with pytest.raises(ValueError, match="'retry' is not one of continue, skip, abort"):
        control.answer(question.id, RETRY, Actor("ann"))
    with pytest.raises(ValueError, match="no open question 'q9'"):
        control.answer("q9", CONTINUE, Actor("ann"))
    control.answer(question.id, SKIP, Actor("ann"))
    with pytest.raises(ValueError, match="no open question"):  # somebody was quicker
        control.answer(question.id, CONTINUE, Actor("bob"))
    assert await asked == (SKIP, Actor("ann"))
    assert [type(event) for event in told] == [DecisionRequested, DecisionMade]
    assert control.questions == ()


@pytest.mark.virtual_time
async def test_a_failure_is_undecided_until_somebody_has_decided() -> None:
    control, _ = rollout_control()
    waiting = asyncio.create_task(control.wait_until(lambda: not control.has_open_failure))
    with control.hold_new_drains("web1"):
        with control.hold_new_drains("web2"):
            assert control.has_open_failure
        assert control.has_open_failure
        await asyncio.sleep(10)
        assert not waiting.done()
    await waiting
    assert not control.has_open_failure


@pytest.mark.virtual_time
async def test_the_answer_abort_aborts_the_rollout() -> None:
    control, _ = rollout_control()
    asked = asyncio.create_task(control.request_decision("web1", "go?", (CONTINUE, ABORT)))
    other = asyncio.create_task(control.request_decision("web2", "go?", (CONTINUE, ABORT)))
    await asyncio.sleep(0)
    control.answer(control.questions[0].id, ABORT, Actor("ann"))
    results = await asyncio.gather(asked, other, return_exceptions=True)
    assert [str(result) for result in results] == ["aborted by ann: at web1"] * 2
    assert control.aborting
    assert control.questions == ()


@pytest.mark.virtual_time
async def test_the_second_abort_is_at_once_and_keeps_the_first_reason() -> None:
    control, told = rollout_control()
    cancelled: list[bool] = []
    control.on_immediate_abort(lambda: cancelled.append(True))
    control.abort(Actor("ann"), "first")
    assert cancelled == []
    control.abort(Actor("bob"), "second")
    assert cancelled == [True]
    assert [event.immediate for event in told if isinstance(event, AbortRequested)] == [False, True]
    with pytest.raises(Aborted, match="aborted by ann: first"):
        control.raise_if_aborting()


@pytest.mark.virtual_time
async def test_an_abort_may_be_at_once_the_first_time() -> None:
    control, _ = rollout_control()
    cancelled: list[bool] = []
    control.on_immediate_abort(lambda: cancelled.append(True))
    control.abort(Actor("ann"), immediate=True)
    assert cancelled == [True]


FULL_DISK = JournalError(Path("journal.db"), "database or disk is full")
DEFECT = KeyError("web1")  # of whoever reads the events


def fail_all_events(control: RolloutControl, error: Exception) -> None:
    """Let a reader of the events, such as the journal, fail from now on."""

    def refuse(_: Record) -> None:
        raise error

    control._bus.subscribe(refuse, first=True)


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [FULL_DISK, DEFECT])
async def test_what_an_operator_does_and_nobody_can_see_ends_the_rollout(error: Exception) -> None:
    """Nobody would see it, but it is no reason to wait for ever."""
    control, _ = rollout_control()
    asked = asyncio.create_task(control.request_decision("web1", "go?", (CONTINUE, ABORT)))
    await asyncio.sleep(0)
    fail_all_events(control, error)
    control.answer(control.questions[0].id, CONTINUE, Actor("ann"))
    with pytest.raises(type(error), match=r"disk is full|web1"):
        await asked
    cut, _ = rollout_control()
    fail_all_events(cut, error)
    with cut.wait_cuts.offer("web1", "drain", "enough"):
        cut.wait_cuts.request("enough", Actor("ann"))
    with pytest.raises(type(error), match=r"disk is full|web1"):
        await cut.checkpoint()


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [FULL_DISK, DEFECT])
async def test_an_abort_is_accepted_though_nobody_can_see_it(error: Exception) -> None:
    control, _ = rollout_control()
    cancelled: list[bool] = []
    control.on_immediate_abort(lambda: cancelled.append(True))
    control.pause(Actor("ann"))
    paused = asyncio.create_task(control.checkpoint())
    await asyncio.sleep(0)
    fail_all_events(control, error)
    control.abort(Actor("ann"), "fire")
    with pytest.raises(Aborted, match="aborted by ann: fire"):
        await paused
    control.abort(Actor("ann"))
    assert cancelled == [True]


@pytest.mark.virtual_time
async def test_a_halt_stops_new_drains_and_nothing_else() -> None:
    control, _ = rollout_control()
    control.stop_new_drains("web1 failed")
    control.stop_new_drains("web2 failed")
    control.raise_if_aborting()
    await control.checkpoint()
    with pytest.raises(Aborted, match="web1 failed"):
        control.raise_if_drains_stopped()
    assert control.stop_reason == "web1 failed"


@pytest.mark.virtual_time
async def test_each_event_says_who_did_it_and_from_where() -> None:
    control, told = rollout_control()
    ann = Actor("ann@ops", "console", 1000, "ssh-ed25519 SHA256:abc")
    asked = asyncio.create_task(control.request_decision("web1", "go?", (CONTINUE, SKIP, ABORT)))
    await asyncio.sleep(0)
    control.pause(ann, "lunch")
    control.resume(ann)
    control.answer(control.questions[0].id, CONTINUE, ann)
    await asked
    control.abort(Actor("eve@there", "consul"))
    origin = {"via": "console", "uid": 1000, "credential": "ssh-ed25519 SHA256:abc"}
    for event in told[1:4]:
        assert isinstance(event, Paused | Resumed | DecisionMade)
        assert event.who == "ann@ops"
        assert msgspec.to_builtins(event).items() >= origin.items()
    aborted = told[-1]
    assert isinstance(aborted, AbortRequested)
    assert (aborted.who, aborted.via, aborted.uid, aborted.credential) == ("eve@there", "consul", -1, "")


def test_an_event_from_before_origins_were_recorded_says_that_they_are_not_known() -> None:
    old = msgspec.json.decode(b'{"event":"paused","who":"ann","why":"lunch"}', type=AnyEvent)
    assert old == Paused(who="ann", why="lunch", via="", uid=-1, credential="")
