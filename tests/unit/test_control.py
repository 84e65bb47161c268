"""The reins: pause, answer, abort, in any order and at any time."""

import asyncio

import pytest

from orchestrator.bus import Bus
from orchestrator.control import ABORT, GO, RETRY, SKIP, Control
from orchestrator.errors import Aborted
from orchestrator.events import AbortRequested, Answered, AnyEvent, Asked, Paused, Resumed
from tests.unit.virtual_time import VirtualClock, run


def reins() -> tuple[Control, list[AnyEvent]]:
    clock = VirtualClock()
    bus = Bus(clock)
    told: list[AnyEvent] = []
    bus.subscribe(lambda record: told.append(record.event))
    return Control(clock, bus), told


def test_the_time_spent_paused_is_no_time_worked() -> None:
    async def scenario() -> None:
        control, told = reins()
        await asyncio.sleep(10)
        control.pause("ann", "lunch")
        control.pause("bob")  # it is paused already
        assert control.paused
        await asyncio.sleep(3600)
        assert control.worked() == pytest.approx(10)
        control.resume("ann")
        control.resume("ann")
        await asyncio.sleep(5)
        assert control.worked() == pytest.approx(15)
        assert told == [Paused(who="ann", why="lunch"), Resumed(who="ann", seconds=3600.0)]

    run(scenario())


def test_a_checkpoint_waits_for_resume() -> None:
    async def scenario() -> None:
        control, _ = reins()
        await control.checkpoint()  # not paused: at once
        control.pause("ann")
        asyncio.get_running_loop().call_later(60, control.resume, "ann")
        await control.checkpoint()
        assert asyncio.get_running_loop().time() == pytest.approx(60)

    run(scenario())


def test_abort_ends_a_pause_and_every_wait() -> None:
    async def scenario() -> None:
        control, told = reins()
        control.pause("ann")
        asyncio.get_running_loop().call_later(1, control.abort, "bob", "fire")
        with pytest.raises(Aborted, match="aborted by bob: fire"):
            await control.checkpoint()
        assert not control.paused
        control.pause("ann")  # too late
        assert not control.paused
        assert told[-1] == AbortRequested(who="bob", why="fire", at_once=False)

    run(scenario())


def test_a_question_waits_for_one_of_its_choices() -> None:
    async def scenario() -> None:
        control, told = reins()
        asked = asyncio.create_task(control.ask("web1", "go?", (GO, SKIP, ABORT)))
        await asyncio.sleep(100)
        (question,) = control.questions
        assert (question.subject, question.text, control.undecided) == ("web1", "go?", False)
        with pytest.raises(ValueError, match="'retry' is not one of go, skip, abort"):
            control.answer(question.id, RETRY, "ann")
        with pytest.raises(ValueError, match="no open question 'q9'"):
            control.answer("q9", GO, "ann")
        control.answer(question.id, SKIP, "ann")
        with pytest.raises(ValueError, match="no open question"):  # somebody was quicker
            control.answer(question.id, GO, "bob")
        assert await asked == (SKIP, "ann")
        assert [type(each) for each in told] == [Asked, Answered]
        assert control.questions == ()

    run(scenario())


def test_a_failure_is_undecided_until_somebody_has_decided() -> None:
    async def scenario() -> None:
        control, _ = reins()
        waiting = asyncio.create_task(control.wait_until(lambda: not control.undecided))
        with control.deciding("web1"):
            with control.deciding("web2"):
                assert control.undecided
            assert control.undecided
            await asyncio.sleep(10)
            assert not waiting.done()
        await waiting
        assert not control.undecided

    run(scenario())


def test_the_answer_abort_aborts_the_rollout() -> None:
    async def scenario() -> None:
        control, _ = reins()
        asked = asyncio.create_task(control.ask("web1", "go?", (GO, ABORT)))
        other = asyncio.create_task(control.ask("web2", "go?", (GO, ABORT)))
        await asyncio.sleep(0)
        control.answer(control.questions[0].id, ABORT, "ann")
        results = await asyncio.gather(asked, other, return_exceptions=True)
        assert [str(each) for each in results] == ["aborted by ann: at web1"] * 2
        assert control.aborting
        assert control.questions == ()

    run(scenario())


def test_the_second_abort_is_at_once_and_keeps_the_first_reason() -> None:
    async def scenario() -> None:
        control, told = reins()
        cancelled: list[bool] = []
        control.on_abort_at_once(lambda: cancelled.append(True))
        control.abort("ann", "first")
        assert cancelled == []
        control.abort("bob", "second")
        assert cancelled == [True]
        assert [each.at_once for each in told if isinstance(each, AbortRequested)] == [False, True]
        with pytest.raises(Aborted, match="aborted by ann: first"):
            control.raise_if_aborting()

    run(scenario())


def test_an_abort_may_be_at_once_the_first_time() -> None:
    async def scenario() -> None:
        control, _ = reins()
        cancelled: list[bool] = []
        control.on_abort_at_once(lambda: cancelled.append(True))
        control.abort("ann", at_once=True)
        assert cancelled == [True]

    run(scenario())


def test_a_halt_stops_new_drains_and_nothing_else() -> None:
    async def scenario() -> None:
        control, _ = reins()
        control.halt("web1 failed")
        control.halt("web2 failed")
        control.raise_if_aborting()
        await control.checkpoint()
        with pytest.raises(Aborted, match="web1 failed"):
            control.raise_if_no_drain()
        assert control.halted == "web1 failed"

    run(scenario())
