"""Stop: asked, port closed AND process gone, whatever the manager says."""

import pytest

from backends.errors import Busy, PermissionDenied, Refused, UnknownOutcome, Unreachable, UnreadableReply
from backends.node_state import Activity
from orchestrator.engine.steps.stop import stop
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.events.events import NodeNote, Waiting
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World


@pytest.mark.virtual_time
async def test_stopped_is_port_closed_and_process_gone() -> None:
    world = World()
    web1 = world.nodes["web1"]
    web1.linger = 7.0  # the process finishes what is in flight
    assert await stop(world.context()) == "port closed, process gone"
    assert not web1.processes
    assert world.clock.monotonic() > 7
    assert [wait.reason for wait in world.events(Waiting)][-1].startswith("process ")


@pytest.mark.virtual_time
async def test_stopped_already_asks_nothing() -> None:
    world = World()
    await stop(world.context())
    world.nodes["web1"].asked.clear()
    assert await stop(world.context()) is None
    assert world.nodes["web1"].asked == []


@pytest.mark.virtual_time
async def test_a_manager_that_says_stopped_while_all_goes_on_is_not_believed() -> None:
    world = World(stop_timeout=40)
    world.nodes["web1"].ignores_stop = True
    with pytest.raises(StepTimeout, match=r"service to stop: not within 40 s.*port 80 is open, process"):
        await stop(world.context())


@pytest.mark.virtual_time
async def test_a_port_that_closed_alone_is_not_enough() -> None:
    world = World(stop_timeout=40)
    web1 = world.nodes["web1"]
    web1.ignores_stop = True
    world.at(1, lambda: setattr(web1, "port_open", False))
    with pytest.raises(StepTimeout, match=r"last seen: process \d+ is running"):
        await stop(world.context())


@pytest.mark.virtual_time
@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_is_never_blindly_repeated(executed: bool) -> None:
    world = World(stop_timeout=30)
    world.nodes["web1"].faults.add("stop", UnknownOutcome("web1", "connection lost"), executed=executed)
    if executed:
        assert await stop(world.context()) == "port closed, process gone"
        assert world.nodes["web1"].asked == ["stop"]
    else:
        with pytest.raises(StepTimeout):
            await stop(world.context())
        assert world.nodes["web1"].asked == []
    assert "checking the actual state" in world.events(NodeNote)[0].text


@pytest.mark.virtual_time
async def test_what_was_never_started_is_asked_again() -> None:
    world = World()
    world.nodes["web1"].faults.add("stop", Unreachable("web1", "refused"), times=3)
    assert await stop(world.context()) == "port closed, process gone"
    assert world.nodes["web1"].asked == ["stop"]


BUSY = Busy("web1", "monit stop shop: Monit is busy with its service: start pending")


@pytest.mark.virtual_time
async def test_a_manager_that_is_busy_is_asked_again_until_the_deadline() -> None:
    world = World(stop_timeout=60)
    web1 = world.nodes["web1"]
    web1.faults.always["stop"] = Fault(BUSY)
    world.at(50, web1.faults.always.clear)
    assert await stop(world.context()) == "port closed, process gone"
    assert web1.asked == ["stop"]
    assert "start pending" in world.events(Waiting)[0].reason


@pytest.mark.virtual_time
async def test_a_manager_that_stays_busy_is_named_and_was_not_asked() -> None:
    world = World(stop_timeout=60)
    context = world.context()
    world.nodes["web1"].faults.always["stop"] = Fault(BUSY)
    with pytest.raises(
        StepTimeout, match=r"^stop to be accepted: not within 60 s; last seen: .*start pending$"
    ):
        await stop(context)
    assert (world.nodes["web1"].asked, context.stop_sent) == ([], False)


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [Refused("web1", "no such service"), PermissionDenied("web1", "sudo")])
async def test_a_refusal_is_final(error: Refused) -> None:
    world = World()
    world.nodes["web1"].faults.add("stop", error)
    with pytest.raises(StepFailed, match=f"^refused: {error.problem}$"):
        await stop(world.context())


@pytest.mark.virtual_time
@pytest.mark.parametrize("look", ["state", "port", "alive"])
async def test_a_look_that_measures_nothing_is_no_pass(look: str) -> None:
    world = World(stop_timeout=30)
    context = world.context()
    web1 = world.nodes["web1"]

    def blind() -> None:
        web1.faults.always[look] = Fault(UnreadableReply("web1", "no answer"))

    world.at(0.05, blind)
    with pytest.raises(StepTimeout, match="last seen: no answer"):
        await stop(context)
    assert not web1.processes  # it had stopped, but nobody could know


@pytest.mark.virtual_time
async def test_a_restart_behind_our_back_is_seen() -> None:
    """Monit starts a service again when its own script stopped it."""

    world = World(stop_timeout=30)
    web1 = world.nodes["web1"]
    web1.start_delay = 0.1
    web1.linger = 1.0
    world.at(0.5, web1.start)
    with pytest.raises(StepTimeout, match="service is running, port 80 is open"):
        await stop(world.context())
    assert web1.activity is Activity.RUNNING


@pytest.mark.virtual_time
async def test_a_stop_command_without_an_end_does_not_hold_the_step() -> None:
    world = World(stop_timeout=40)
    context = world.context()

    async def hang() -> None:
        await world.clock.sleep(3600)

    context.node.service.stop = hang  # type: ignore[method-assign]
    with pytest.raises(StepTimeout, match=r"service to stop: not within 40 s"):
        await stop(context)
    assert world.clock.monotonic() < 120
    assert any("no end within 40 s" in note.text for note in world.events(NodeNote))
