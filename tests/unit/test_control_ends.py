"""What ends a rollout early: an abort or a lost lock, before the first change and after it."""

import asyncio

import pytest

from orchestrator.engine.control import ABORT, CONTINUE, RolloutControl
from orchestrator.errors import Aborted, Locked
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from tests.support.virtual_time import VirtualClock

ANN = Actor("ann")


def rollout_control(forbidden: str = "") -> RolloutControl:
    clock = VirtualClock()
    return RolloutControl(clock, EventBus(clock), forbidden=lambda: forbidden)


async def wait_before_change(control: RolloutControl) -> str:
    """Wait for very long, as the publication of the plan may; nothing was touched yet."""
    with control.before_first_change():
        await asyncio.sleep(3600)
    return "waited"


@pytest.mark.virtual_time
async def test_the_first_abort_ends_a_wait_before_anything_was_touched() -> None:
    control = rollout_control()
    waiting = asyncio.create_task(wait_before_change(control))
    await asyncio.sleep(1)
    control.abort(ANN, "wrong version")
    with pytest.raises(Aborted, match=r"^aborted by ann: wrong version$"):
        await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(1)


@pytest.mark.virtual_time
async def test_a_lost_lock_ends_a_wait_before_anything_was_touched() -> None:
    control = rollout_control()
    waiting = asyncio.create_task(wait_before_change(control))
    await asyncio.sleep(1)
    control.end_immediately("bob has broken the lock")
    with pytest.raises(Locked, match=r"^bob has broken the lock$"):
        await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(1)


@pytest.mark.virtual_time
async def test_an_abort_of_before_the_wait_lets_it_not_begin() -> None:
    control = rollout_control()
    control.abort(ANN)
    with pytest.raises(Aborted, match="aborted by ann"):
        await wait_before_change(control)
    assert asyncio.get_running_loop().time() == pytest.approx(0)


@pytest.mark.virtual_time
async def test_who_cancels_the_wait_from_outside_gets_what_they_asked_for() -> None:
    control = rollout_control()
    waiting = asyncio.create_task(wait_before_change(control))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not control.aborting


@pytest.mark.virtual_time
async def test_an_abort_and_a_cancellation_at_once_are_a_cancellation() -> None:
    """A program that is told to end must end: the abort took back only its own cancellation."""
    control = rollout_control()
    waiting = asyncio.create_task(wait_before_change(control))
    await asyncio.sleep(1)
    control.abort(ANN)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.virtual_time
async def test_once_it_is_over_an_abort_waits_for_the_running_step() -> None:
    control = rollout_control()

    async def work() -> str:
        with control.before_first_change():
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        return "step done"

    working = asyncio.create_task(work())
    await asyncio.sleep(5)
    control.abort(ANN)
    control.abort(ANN)  # nobody has registered what ends the work
    assert await working == "step done"


@pytest.mark.virtual_time
async def test_a_lost_lock_ends_running_work_and_forbids_the_next_node() -> None:
    control = rollout_control()
    ended: list[str] = []
    control.on_immediate_abort(lambda: ended.append(control.forbidden))
    control.end_immediately("the lock was lost")
    assert ended == ["the lock was lost"]
    assert control.stop_reason == "the lock was lost"
    with pytest.raises(Aborted, match="the lock was lost"):
        control.raise_if_drains_stopped()


@pytest.mark.virtual_time
async def test_no_node_is_drained_after_an_abort() -> None:
    control = rollout_control()
    control.raise_if_drains_stopped()
    control.abort(ANN, "fire")
    with pytest.raises(Aborted, match="aborted by ann: fire"):
        control.raise_if_drains_stopped()


@pytest.mark.virtual_time
async def test_an_abort_is_named_before_the_failure_that_stopped_new_drains() -> None:
    control = rollout_control()
    control.stop_new_drains("web1 failed")
    control.abort(ANN, "fire")
    with pytest.raises(Aborted, match="aborted by ann: fire"):
        control.raise_if_drains_stopped()


def test_what_forbids_one_drain_stops_all_that_follow() -> None:
    control = rollout_control("Consul cannot be asked about the lock")
    with pytest.raises(Aborted, match="Consul cannot be asked"):
        control.raise_if_drains_stopped()
    assert control.stop_reason == "Consul cannot be asked about the lock"


@pytest.mark.virtual_time
async def test_the_answer_abort_is_raised_to_the_one_who_asked() -> None:
    control = rollout_control()
    asking = asyncio.create_task(control.request_decision("web1", "go?", (CONTINUE, ABORT)))
    await asyncio.sleep(1)
    control.answer("q1", ABORT, ANN)
    with pytest.raises(Aborted, match="aborted by ann: at web1"):
        await asking


@pytest.mark.virtual_time
async def test_a_wait_that_is_satisfied_ends_with_an_abort_all_the_same() -> None:
    control = rollout_control()
    control.abort(ANN)
    with pytest.raises(Aborted):
        await control.checkpoint()
