"""Sessions that outlast the deadline are closed at a pace: how fast, which ones, and what interrupts it."""

import asyncio

import pytest

from backends.errors import PermissionDenied, Refused, UnknownOutcome
from backends.model import SessionList
from orchestrator.engine.steps.drain import drain
from orchestrator.errors import Aborted
from orchestrator.events.actor import Actor
from orchestrator.events.drains import Drained
from orchestrator.events.events import NodeNote, Waiting
from orchestrator.planning.application import Policy
from tests.support.fake_fleet import World


def paced_world(pace: int = 4) -> World:
    return World(on_remaining_sessions="pace", drain_timeout=5, maint_grace_period=2, pace_per_second=pace)


def closings(world: World, name: str = "lb1") -> list[tuple[float, int]]:
    """When how many sessions were closed."""
    sent = world.balancers[name].sent
    return [
        (at, command.count("shutdown session ")) for at, command in sent if "shutdown session " in command
    ]


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.virtual_time
async def test_so_many_per_second_until_the_last_is_gone() -> None:
    world = paced_world()
    world.server("web1").leaving = [now() + 1e6] * 30
    assert await drain(world.context()) == "forced to maintenance at the deadline"
    sent = closings(world)
    assert sum(count for _, count in sent) == 30
    assert 7 == pytest.approx(sent[0][0], abs=0.5), "not before the deadline and the grace period"
    assert sent[-1][0] - sent[0][0] == pytest.approx(30 / 4 - 1, abs=1.5)
    assert max(count for _, count in sent) <= 8
    assert any("closed 30 sessions, 4 per second" in note.text for note in world.events(NodeNote))
    assert any(wait.reason.endswith("sessions, 4 per second") for wait in world.events(Waiting))
    (drained,) = world.events(Drained)
    assert drained.left[-1] == 30, "what was closed did not end by itself"


@pytest.mark.virtual_time
async def test_the_oldest_come_first_and_only_those_of_the_node() -> None:
    world = paced_world(1)
    old, young, other = world.server("web1"), world.server("web1", "lb2"), world.server("web2")
    for server in (old, young, other):
        server.leaving = [now() + 1e6] * 3
    old.older_by = 1_000
    await drain(world.context())
    assert sum(count for _, count in closings(world)) == 3
    assert sum(count for _, count in closings(world, "lb2")) == 3
    assert closings(world)[-1][0] < closings(world, "lb2")[0][0]
    assert other.sessions == 3


@pytest.mark.virtual_time
async def test_those_that_end_by_themselves_are_not_missed() -> None:
    world = paced_world()
    world.server("web1").leaving = [now() + 7 + 0.5 * number for number in range(20)]
    assert await drain(world.context()) == "forced to maintenance at the deadline"
    assert sum(count for _, count in closings(world)) < 20


@pytest.mark.virtual_time
async def test_a_pause_closes_nothing() -> None:
    world = paced_world()
    world.server("web1").leaving = [now() + 1e6] * 20
    world.at(8.5, lambda: world.control.pause(Actor("ann")))
    world.at(500, lambda: world.control.resume(Actor("ann")))
    await drain(world.context())
    assert not [at for at, _ in closings(world) if 8.5 < at < 500]
    assert max(count for _, count in closings(world)) <= 8, "no storm after the pause"
    assert now() < 520


@pytest.mark.virtual_time
async def test_an_abort_leaves_the_others_alone() -> None:
    world = paced_world()
    server = world.server("web1")
    server.leaving = [now() + 1e6] * 40
    world.at(9, lambda: world.control.abort(Actor("ann")))
    with pytest.raises(Aborted):
        await drain(world.context())
    assert 25 <= server.sessions < 40


@pytest.mark.virtual_time
async def test_refusals_of_sessions_that_have_ended_and_lost_answers_do_not_stop_it() -> None:
    world = paced_world()
    world.server("web1").leaving = [now() + 1e6] * 10
    faults = world.balancers["lb1"].faults

    def break_next() -> None:
        faults.add("write", Refused("lb1", "No such session"), executed=True)
        faults.add("write", UnknownOutcome("lb1", "lost"), executed=True)

    world.at(6.9, break_next)
    assert await drain(world.context()) == "forced to maintenance at the deadline"


@pytest.mark.virtual_time
async def test_without_the_right_it_fails_at_once() -> None:
    world = paced_world()
    world.server("web1").leaving = [now() + 1e6] * 10
    denied = PermissionDenied("lb1", "Permission denied")
    world.at(6.9, lambda: world.balancers["lb1"].faults.add("write", denied))
    with pytest.raises(PermissionDenied):
        await drain(world.context())


@pytest.mark.virtual_time
async def test_what_is_not_in_the_list_is_left_to_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a HAProxy with very many sessions, of which only the first are read."""
    world = paced_world()
    world.server("web1").leaving = [now() + 1e6] * 4

    async def cut(servers: object) -> SessionList:
        return SessionList((), complete=False)

    monkeypatch.setattr(world.balancers["lb1"], "list_sessions", cut)
    assert await drain(world.context()) == "forced to maintenance, 4 sessions left"
    assert closings(world) == []
    assert any("the stop will cut them" in note.text for note in world.events(NodeNote))


def test_the_pace_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="pace_per_second: found 0, expected at least 1"):
        Policy(pace_per_second=0)
