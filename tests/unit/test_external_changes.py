"""Who set a server otherwise than the rollout wants it: never the rollout itself, always somebody else."""

import asyncio

import pytest

from orchestrator.events.events import (
    ManualChangeStarted,
    NodeFailed,
    NodeNote,
    NodeUpgraded,
    Record,
    StepDone,
    StepStarted,
    Waiting,
)
from tests.support.fake_fleet import World
from tests.unit.world_events import act_once


def told(world: World) -> list[str]:
    return [event.text for event in world.events(NodeNote) if "set shop/" in event.text]


@pytest.mark.virtual_time
@pytest.mark.parametrize("seconds", [0.3, 1.5, 3.0, 7.0])
@pytest.mark.parametrize("slow", ["write", "snapshot"])
async def test_a_load_balancer_that_is_slow_makes_nobody_of_us(seconds: float, slow: str) -> None:
    """Each command, or each look, takes longer than the time between two looks."""
    world = World(2, 2, balancer_unreachable_timeout=60)
    world.balancers["lb2"].faults.add(slow, None, seconds=seconds, times=60)
    ended = await world.upgrade()
    assert ended.result == "healthy"
    assert told(world) == []


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", ["drain", "stop", "install", "start", "verify"])
@pytest.mark.parametrize("state", ["ready", "maint", "drain"])
async def test_somebody_is_told_at_whatever_moment(step: str, state: str) -> None:
    """Right after our own command was read back, long before the next look."""
    world = World(2, 2, drain_timeout=30)
    for server in world.servers("web1"):
        server.leaving = [5.0]  # a drain that lasts

    def interfere() -> None:
        world.at(0.001, lambda: world.server("web1", "lb2").set_state(state))

    act_once(world, lambda record: _in(record, step), interfere)
    await world.upgrade()
    wanted = "drain" if step in ("drain", "verify") else "maint"
    # The step that looks next may fail because of it before anything else is said.
    failed = [event.error for event in world.events(NodeFailed) if "somebody" in event.error]
    others = [text for text in [*told(world), *failed] if "shop/web1 on lb2" in text]
    assert bool(others) == (state != wanted)
    assert not [text for text in told(world) if "shop/web1 on lb1" in text or "web2" in text]


def _in(record: Record, step: str) -> bool:
    event = record.event
    if step == "drain":
        return isinstance(event, Waiting) and event.reason.startswith("sessions:")
    return isinstance(event, StepStarted) and (event.node, event.step) == ("web1", step)


@pytest.mark.virtual_time
async def test_what_is_wanted_back_on_request_was_set_by_nobody_meanwhile() -> None:
    world = World(3, 2, min_available=0)
    world.take_out("web3")
    ended = await world.upgrade(force_ready={"web3"})
    assert ended.result == "healthy"
    assert told(world) == []


@pytest.mark.virtual_time
async def test_a_change_by_hand_has_the_name_of_who_made_it() -> None:
    world = World(3, 2, min_available=0)

    def by_hand() -> None:
        began = ManualChangeStarted(action="maint", nodes=["web3"], weight=0, override=[], operator="ann@ops")
        world.bus.emit(began)
        world.take_out("web3")

    act_once(world, lambda record: isinstance(record.event, StepDone), by_hand)
    await world.upgrade()
    texts = told(world)
    assert texts
    assert all(text.startswith("a manual change by ann@ops set shop/web3 on lb") for text in texts)


@pytest.mark.virtual_time
async def test_an_agent_check_that_says_another_weight_each_second_is_told_once() -> None:
    world = World(2, 1, min_available=0, bake_time=10)
    server = world.server("web2")
    server.agent_configured = server.agent = True

    async def weigh() -> None:
        weight = 10
        while not world.events(NodeUpgraded):
            weight += 1
            server.weight = weight
            await asyncio.sleep(1)

    await world.during(weigh())
    texts = [text for text in told(world) if "since the plan" not in text]
    assert len(texts) == 1
    assert texts[0].startswith("somebody, or its agent check, set shop/web2 on lb1 to ready, weight ")
