"""Drain: the guard, the sessions, the deadline, then maintenance."""

import asyncio
import re
from functools import partial

import pytest

from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.model import AdminState
from orchestrator.engine.steps.drain import drain
from orchestrator.errors import Aborted, StepFailed, StepTimeout
from orchestrator.events.actor import Actor
from orchestrator.events.events import NodeNote, Waiting
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World


def reasons(world: World) -> list[str]:
    return [wait.reason for wait in world.events(Waiting)]


def notes(world: World) -> str:
    return "\n".join(note.text for note in world.events(NodeNote))


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.virtual_time
async def test_drains_everywhere_then_maintenance() -> None:
    world = World()
    assert await drain(world.context()) == "no sessions left"
    assert [line for _, line in world.balancers["lb2"].sent] == [
        "set server shop/web1 state drain",
        "set server shop/web1 state maint",
    ]
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_in_maintenance_already_sends_nothing_but_lets_its_sessions_end() -> None:
    world = World()
    world.take_out("web1")
    assert await drain(world.context()) is None
    world.server("web1").leaving = [now() + 4]
    assert await drain(world.context()) is None
    assert now() == pytest.approx(4, abs=0.5)
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_waits_for_sessions_and_queue_on_every_instance() -> None:
    world = World()
    world.server("web1", "lb2").leaving = [now() + 20, now() + 30]
    world.server("web1", "lb2").queue = 1
    world.at(25, lambda: setattr(world.server("web1", "lb2"), "queue", 0))
    assert await drain(world.context()) == "no sessions left"
    assert now() == pytest.approx(30, rel=0.1)
    assert reasons(world)[0] == "sessions: 3 on lb2"


@pytest.mark.virtual_time
async def test_clients_with_a_cookie_are_moved_by_maintenance_at_the_deadline() -> None:
    world = World(drain_timeout=60)
    world.server("web1").sticky = 2
    assert await drain(world.context()) == "forced to maintenance at the deadline"
    assert now() == pytest.approx(60.5, abs=0.2)
    assert "not within 60 s; last seen: sessions: 2 on lb1" in notes(world)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("on_remaining_sessions", "detail", "shut"),
    [
        ("proceed", "forced to maintenance, 1 session left", False),
        ("shutdown", "forced to maintenance at the deadline", True),
        ("fail", None, False),
    ],
)
async def test_what_remains_in_maintenance_is_the_policys_choice(
    on_remaining_sessions: str, detail: str | None, shut: bool
) -> None:
    world = World(drain_timeout=5, maint_grace_period=5, on_remaining_sessions=on_remaining_sessions)
    world.server("web1").leaving = [now() + 3600]
    if detail is None:
        with pytest.raises(StepFailed, match="last seen: sessions: 1 on lb1"):
            await drain(world.context())
    else:
        assert await drain(world.context()) == detail
    assert ("shutdown sessions server shop/web1" in world.sent()) is shut
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_a_pause_stops_the_deadline() -> None:
    world = World(drain_timeout=60)
    world.server("web1").leaving = [now() + 1000]
    world.at(30, lambda: world.control.pause(Actor("ann")))
    world.at(990, lambda: world.control.resume(Actor("ann")))
    assert await drain(world.context()) == "no sessions left"
    assert now() == pytest.approx(1000, abs=2)


@pytest.mark.virtual_time
async def test_the_guard_waits_for_capacity_and_then_goes_on() -> None:
    world = World(nodes=2, min_available=1)
    world.server("web2", "lb2").set_state("maint")
    world.at(30, lambda: world.server("web2", "lb2").set_state("ready"))
    assert await drain(world.context()) == "no sessions left"
    assert reasons(world)[0] == "shop on lb2: in rotation 1 → 0, floor 1"
    # "UP 1/3" is not UP: full health takes two more checks.
    assert world.balancers["lb1"].sent[0][0] > 31


@pytest.mark.virtual_time
async def test_capacity_that_does_not_come_back_is_a_failure_and_nothing_was_sent() -> None:
    world = World(nodes=2, min_available=2, capacity_timeout=20)
    with pytest.raises(StepTimeout, match=re.escape("in rotation 2 → 1, floor 2")):
        await drain(world.context())
    assert now() == pytest.approx(20, abs=0.1)
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_an_abort_while_it_waits_for_capacity_touches_nothing() -> None:
    world = World(nodes=2, min_available=2)
    world.at(5, lambda: world.control.abort(Actor("ann")))
    with pytest.raises(Aborted):
        await drain(world.context())
    assert now() == pytest.approx(5, abs=0.5)
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_a_failure_elsewhere_while_it_waits_for_capacity_touches_nothing() -> None:
    world = World(nodes=2, min_available=2)
    world.at(5, lambda: world.control.stop_new_drains("web2 failed"))
    with pytest.raises(Aborted, match="web2 failed"):
        await drain(world.context())
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_capacity_that_comes_back_while_paused_drains_nothing_yet() -> None:
    world = World(nodes=2, min_available=1)
    world.take_out("web2")
    world.at(5, lambda: world.control.pause(Actor("ann")))
    for server in world.servers("web2"):
        world.at(10, partial(server.set_state, "ready"))
    world.at(500, lambda: world.control.resume(Actor("ann")))
    await drain(world.context())
    assert world.balancers["lb1"].sent[0][0] >= 500


@pytest.mark.virtual_time
async def test_capacity_that_comes_back_while_a_failure_is_undecided_drains_nothing_yet() -> None:
    world = World(nodes=2, min_available=1)
    world.take_out("web2")

    async def undecided() -> None:
        with world.control.hold_new_drains("web3"):
            for server in world.servers("web2"):
                world.at(10, partial(server.set_state, "ready"))
            await asyncio.sleep(500)

    async with asyncio.TaskGroup() as group:
        group.create_task(undecided())
        group.create_task(drain(world.context()))
    assert world.balancers["lb1"].sent[0][0] >= 500


@pytest.mark.virtual_time
async def test_a_failure_during_the_very_look_still_stops_the_drain() -> None:
    world = World()
    context = world.context()
    world.balancers["lb2"].faults.always["snapshot"] = Fault(None, seconds=2)
    world.at(3, lambda: world.control.stop_new_drains("web2 failed"))  # the guard's own look is under way
    with pytest.raises(Aborted):
        await drain(context)
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_agents_are_switched_off_before_the_drain() -> None:
    """One that answers "ready" would put the server back in rotation, out of maintenance too."""

    world = World()
    for server in world.servers("web1"):
        server.agent_configured = server.agent = True
        server.agent_says = "ready"
    await drain(world.context())
    assert [line for _, line in world.balancers["lb1"].sent] == [
        "disable agent shop/web1",
        "set server shop/web1 state drain",
        "set server shop/web1 state maint",
    ]
    await asyncio.sleep(10)
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
async def test_an_agent_is_silenced_in_maintenance_too() -> None:
    world = World()
    world.take_out("web1")
    world.server("web1").agent_configured = world.server("web1").agent = True
    await drain(world.context())
    assert world.sent() == ["disable agent shop/web1"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_is_looked_at(executed: bool) -> None:
    world = World()
    lost = UnknownOutcome("lb2", "cut off")
    world.balancers["lb2"].faults.add("write", lost, executed=executed)
    if executed:
        assert await drain(world.context()) == "no sessions left"
        assert len(world.sent()) == 4
    else:
        with pytest.raises(Refused, match="lb2"):
            await drain(world.context())
        assert world.admin("web1") == [AdminState.DRAIN, AdminState.READY]


@pytest.mark.virtual_time
async def test_an_instance_that_stays_unreachable_is_a_failure() -> None:
    world = World(capacity_timeout=20, balancer_unreachable_timeout=20)
    context = world.context()
    world.balancers["lb2"].down = True
    with pytest.raises(StepTimeout, match="lb2: connection refused"):
        await drain(context)
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_an_instance_that_is_silent_for_a_moment_is_asked_again() -> None:
    world = World()
    world.balancers["lb2"].faults.add("snapshot", Unreachable("lb2", "timed out"), seconds=2, times=2)
    assert await drain(world.context()) == "no sessions left"
    assert world.admin("web1") == [AdminState.MAINT] * 2
