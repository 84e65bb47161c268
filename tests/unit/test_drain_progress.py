"""A drain as it goes on: what is said while it waits, and what later drains learn from it."""

import asyncio

import pytest

from backends.errors import Unreachable
from orchestrator.engine.drain_progress import thin_out
from orchestrator.engine.steps.drain import drain
from orchestrator.events.drains import MAX_POINTS, Drained, describe_drained
from orchestrator.events.events import Waiting
from orchestrator.planning.drain_forecast import Lifetimes
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World


def now() -> float:
    return asyncio.get_running_loop().time()


def reasons(world: World) -> list[str]:
    return list(dict.fromkeys(wait.words for wait in world.events(Waiting)))


@pytest.mark.virtual_time
async def test_the_curve_of_the_drain_is_an_event() -> None:
    world = World()
    world.server("web1").leaving = [now() + 3, now() + 10]
    world.server("web1", "lb2").leaving = [now() + 40]
    context = world.context()
    context.lifetimes = Lifetimes.estimate([5, 10, 20, 30])
    await drain(context)
    (drained,) = world.events(Drained)
    assert len(drained.seconds) == len(drained.left) <= MAX_POINTS
    assert (drained.seconds[0], drained.left[0]) == (0, 3)
    assert drained.left[-1] == 0
    assert drained.seconds[-1] == pytest.approx(40, rel=0.1)
    assert drained.seconds == sorted(drained.seconds)
    assert drained.left == sorted(drained.left, reverse=True)
    assert drained.arrived == 0
    assert drained.expected_s is not None
    assert describe_drained(drained).startswith("3 sessions ended within 4")


@pytest.mark.virtual_time
async def test_a_short_drain_needs_no_look_at_its_sessions_and_one_without_sessions_no_event() -> None:
    world = World()
    world.balancers["lb1"].faults.always["list"] = Fault(AssertionError("nobody should ask"))
    world.server("web1").leaving = [now() + 1]
    await drain(world.context())
    assert reasons(world) == ["sessions: 1 on lb1"]
    await drain(world.context("web2"))
    assert [drained.node for drained in world.events(Drained)] == ["web1"]


@pytest.mark.virtual_time
async def test_a_long_drain_says_how_old_they_are_and_how_long_it_usually_takes() -> None:
    world = World(drain_timeout=300)
    for server in world.servers("web1"):
        server.older_by = 60
        server.leaving = [now() + 5, now() + 100]
    context = world.context()
    context.lifetimes = Lifetimes.estimate([*range(40), 50, 60, 70, 200])
    await drain(context)
    said = [reason for reason in reasons(world) if "oldest" in reason]
    assert said[0].startswith("sessions: 2 on lb1, 2 on lb2; oldest 1:02, usually ")
    assert said[0].endswith(" more")
    assert {wait.reason for wait in world.events(Waiting)} == {
        "sessions: 2 on lb1, 2 on lb2",
        "sessions: 1 on lb1, 1 on lb2",
    }
    assert 5 <= len(said) <= 15, "it is said again every 10 s, and not at each look"


@pytest.mark.virtual_time
async def test_sessions_that_will_not_end_in_time_are_said() -> None:
    world = World(drain_timeout=30)
    world.server("web1").leaving = [now() + 10_000] * 5
    context = world.context()
    context.lifetimes = Lifetimes.estimate([5_000] * 20)
    await drain(context)
    assert any("not over by the deadline with 100% probability" in reason for reason in reasons(world))
    (drained,) = world.events(Drained)
    assert drained.left[-1] == 5
    assert describe_drained(drained) == "5 of 5 sessions left after 40 s"


@pytest.mark.virtual_time
async def test_without_an_answer_only_the_number_is_said() -> None:
    world = World()
    world.server("web1").leaving = [now() + 20]
    world.balancers["lb1"].faults.always["list"] = Fault(Unreachable("lb1", "no answer"))
    await drain(world.context())
    assert reasons(world) == ["sessions: 1 on lb1"]


@pytest.mark.virtual_time
async def test_a_slow_answer_does_not_make_the_drain_longer() -> None:
    world = World()
    world.server("web1").leaving = [now() + 60]
    world.balancers["lb1"].faults.always["list"] = Fault(None, seconds=5)
    await drain(world.context())
    assert reasons(world) == ["sessions: 1 on lb1"]
    assert now() == pytest.approx(60, abs=2)


@pytest.mark.virtual_time
async def test_clients_that_keep_coming_make_a_forecast_void() -> None:
    world = World(drain_timeout=20)
    server = world.server("web1")
    server.sticky = 2
    world.at(5, lambda: setattr(server, "requests", 7))
    context = world.context()
    context.lifetimes = Lifetimes.estimate([1, 2, 3])
    await drain(context)
    assert any(
        reason.endswith("; 7 came since the drain began, as their clients stay with the server")
        for reason in reasons(world)
    )
    (drained,) = world.events(Drained)
    assert drained.arrived == 7


@pytest.mark.virtual_time
async def test_a_node_that_was_in_maintenance_teaches_nothing() -> None:
    world = World()
    world.take_out("web1")
    world.server("web1").leaving = [now() + 4]
    await drain(world.context())
    assert world.events(Drained) == []


def test_points_are_thinned_out_evenly() -> None:
    points = [(float(number), 1_000 - number) for number in range(1_000)]
    found = thin_out(points, MAX_POINTS)
    assert len(found) == MAX_POINTS
    assert (found[0], found[-1]) == (points[0], points[-1])
    assert thin_out(points[:3], MAX_POINTS) == points[:3]
