"""Faults of a service discovery that follows HAProxy: what could not be read back never counts as done."""

from dataclasses import replace

import pytest

from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.model import AdminState
from orchestrator.engine.manual_change import Change, apply
from orchestrator.errors import StepFailed
from orchestrator.events.events import NodeFailed, NodeNote, RolloutEnded
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World
from tests.support.fake_registration import FakeRegistration

MAINT = [AdminState.MAINT] * 2


def registered(world: World, *, gate_on_checks: bool = False) -> FakeRegistration:
    """From now on web1 is in a registry."""
    registration = FakeRegistration(gate_on_checks=gate_on_checks)
    nodes = tuple(
        replace(node, registration=registration) if node.name == "web1" else node
        for node in world.application.nodes
    )
    world.application = replace(world.application, nodes=nodes)
    return registration


def failure(world: World) -> tuple[str, str]:
    """The step, and why."""
    [failed] = world.events(NodeFailed)
    assert failed.node == "web1"
    return failed.step, failed.error


def out(ended: RolloutEnded) -> tuple[list[str], list[str]]:
    """Where web1 is out, and the commands that put it back."""
    [found] = ended.out_of_rotation
    assert (found.node, found.intentional) == ("web1", False)
    return found.servers, found.command_texts


@pytest.mark.virtual_time
async def test_it_is_out_before_the_service_is_stopped_and_back_after_the_last_load_balancer() -> None:
    world = World()
    registration = registered(world)
    reasons: list[tuple[str, str, list[AdminState]]] = []
    world.nodes["web1"].on_asked = lambda what: reasons.append(
        (what, registration.reason, world.admin("web1"))
    )
    plan = await world.plan()
    assert [command.command for command in plan.node("web1").commands if "maint -" in command.command] == [
        "maint -enable",
        "maint -disable",
    ]
    assert (await world.carry_out(plan)).result == "healthy"
    assert ("stop", "rollout", MAINT) in reasons
    assert registration.asked == ["leave", "come back"]
    assert registration.reason == ""


@pytest.mark.virtual_time
async def test_a_lost_answer_is_looked_at_and_not_repeated() -> None:
    world = World()
    registration = registered(world)
    for what in ("leave", "come back"):
        registration.faults.add(what, UnknownOutcome("web1", "connection lost"), executed=True)
    assert (await world.upgrade()).result == "healthy"
    assert registration.asked == ["leave", "come back"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["deaf", "refused"])
async def test_one_that_cannot_be_taken_out_is_not_stopped(how: str) -> None:
    world = World()
    registration = registered(world)
    registration.deaf = how == "deaf"
    if how == "refused":
        registration.faults.always["leave"] = Fault(Refused("web1", "no such service"))
    ended = await world.upgrade()
    assert ended.put_back == ["web1"]
    step, why = failure(world)
    assert step == "drain"
    assert "not in maintenance yet" in why if how == "deaf" else "no such service" in why
    assert "stop" not in world.nodes["web1"].asked


@pytest.mark.virtual_time
async def test_one_that_does_not_come_back_there_is_no_success() -> None:
    world = World()
    registration = registered(world)
    registration.faults.always["come back"] = Fault(Refused("web1", "agent is gone"))
    ended = await world.upgrade()
    assert ended.result == "degraded"
    step, why = failure(world)
    assert step == "verify"
    assert why.startswith("it is back in HAProxy, but it is unknown whether it is back in Consul")
    assert world.admin("web1") == [AdminState.READY] * 2, "it is healthy, and its capacity counts"
    where, commands = out(ended)
    assert "Consul: maintenance" in where
    assert commands[0] == "rolldeck ready shop web1"
    assert "web1: maint -disable" in commands


@pytest.mark.virtual_time
async def test_a_registry_that_is_silent_at_the_end_is_named() -> None:
    world = World(balancer_unreachable_timeout=5)
    registration = registered(world)
    world.nodes["web1"].sick = frozenset({"2.0"})
    silent = Fault(Unreachable("consul", "no answer"))
    world.nodes["web1"].on_asked = lambda what: (
        registration.faults.always.update(look=silent) if what == "start" else None
    )
    ended = await world.upgrade()
    assert "Consul: unknown" in out(ended)[0]
    assert ended.unreachable_balancers == ["consul: no answer"]
    assert world.admin("web1") == MAINT


@pytest.mark.virtual_time
@pytest.mark.parametrize("reason", ["ann looks for a leak", "by hand"])
async def test_what_somebody_has_set_there_stays_and_is_told(reason: str) -> None:
    world = World()
    registration = registered(world)
    registration.reason = reason
    plan = await world.plan()
    assert not [command for command in plan.node("web1").commands if "maint -" in command.command]
    assert (await world.carry_out(plan)).result == "healthy"
    assert (registration.asked, registration.reason) == ([], reason)
    told = [note.text for note in world.events(NodeNote) if note.node == "web1"]
    assert told == [f"is in maintenance in Consul, and is left there: {reason}"]


@pytest.mark.virtual_time
async def test_its_checks_are_waited_for_and_one_that_does_not_have_it_does_not_pass() -> None:
    world = World(verify_timeout=30)
    registration = registered(world, gate_on_checks=True)
    registration.failing_checks = ("port is critical",)
    world.at(8, lambda: setattr(registration, "failing_checks", ()))
    assert (await world.upgrade()).result == "healthy"
    registration.exists = False
    world.nodes["web1"].installed = "1.0"
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    assert "it is not registered in Consul" in failure(world)[1]
    assert world.admin("web1") == MAINT


@pytest.mark.virtual_time
async def test_one_that_is_not_registered_after_its_start_is_waited_for_and_never_taken_for_back() -> None:
    world = World(balancer_unreachable_timeout=20)
    registration = registered(world)
    node = world.nodes["web1"]
    node.on_asked = lambda what: setattr(registration, "exists", what != "stop")
    world.at(12, lambda: setattr(registration, "exists", True))
    assert (await world.upgrade()).result == "healthy"
    assert registration.reason == ""
    node.installed = "1.0"
    node.on_asked = lambda what: setattr(registration, "exists", False)
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    assert "it is not registered in Consul" in world.events(NodeFailed)[-1].error


@pytest.mark.virtual_time
async def test_a_registry_that_is_silent_keeps_a_node_in_rotation() -> None:
    world = World(balancer_unreachable_timeout=5)
    registration = registered(world)
    plan = await world.plan()
    registration.faults.always["look"] = Fault(Unreachable("consul", "no answer"))
    ended = await world.carry_out(plan)
    assert (ended.failed, ended.held, ended.out_of_rotation) == ([], ["web1"], [])
    assert ended.reason == "held: web1"
    step, why = failure(world)
    assert (step, why) == ("drain", "Consul to answer: not within 5 s; last seen: consul: no answer")
    assert world.sent("web1") == []


async def by_hand(world: World, action: str) -> None:
    node = next(node for node in world.application.nodes if node.name == "web1")
    change = Change("ready" if action == "ready" else "maint", (node,))
    await apply(world.application, change, world.control, world.clock, world.bus)


@pytest.mark.virtual_time
async def test_by_hand_it_goes_along_and_what_a_rollout_has_set_is_somebodys_from_then_on() -> None:
    world = World()
    registration = registered(world)
    registration.reason = "rollout"
    await by_hand(world, "maint")
    assert registration.reason == "by hand"
    assert (await world.upgrade()).result == "healthy"
    assert (registration.reason, world.admin("web1")) == ("by hand", MAINT)
    await by_hand(world, "ready")
    assert (registration.reason, world.admin("web1")) == ("", [AdminState.READY] * 2)


@pytest.mark.virtual_time
async def test_a_ready_that_fails_leaves_it_out_by_hand() -> None:
    world = World(verify_timeout=3, min_healthy=1)
    registration = registered(world)
    await by_hand(world, "maint")
    world.nodes["web1"].healthy = False
    with pytest.raises(StepFailed):
        await by_hand(world, "ready")
    assert (registration.reason, world.admin("web1")) == ("by hand", MAINT)


@pytest.mark.virtual_time
async def test_by_hand_a_silent_registry_is_said_with_what_haproxy_has() -> None:
    world = World(balancer_unreachable_timeout=5)
    registration = registered(world)
    registration.faults.always["look"] = Fault(Unreachable("consul", "no answer"))
    with pytest.raises(StepFailed, match="done on every HAProxy, but not elsewhere: Consul to answer"):
        await by_hand(world, "maint")
    assert world.admin("web1") == MAINT
    with pytest.raises(
        StepFailed, match="it is back in HAProxy, but it is unknown whether it is back in Consul"
    ):
        await by_hand(world, "ready")
    assert world.admin("web1") == [AdminState.READY] * 2
