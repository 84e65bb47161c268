"""Verify: the bake, what ends it, and what it counts."""

import asyncio
import re

import pytest

from backends.errors import Unreachable
from orchestrator.engine.steps.verify import verify
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.events.actor import Actor
from orchestrator.events.events import Waiting
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World
from tests.unit.test_steps_verify import now, upgraded
from tests.unit.world_events import until_baking


@pytest.mark.virtual_time
@pytest.mark.parametrize(("allowed", "fails"), [(0, True), (1, True), (60, False)])
async def test_new_responses_5xx_while_it_bakes_are_counted(allowed: int, fails: bool) -> None:
    world = World(bake_time=20, max_5xx=allowed)
    for server in world.servers("web1"):
        server.errors_5xx = 1000  # from before
    context, _ = await upgraded(world)
    for server in world.servers("web1"):
        server.gives_5xx = True
    if fails:
        with pytest.raises(
            StepFailed, match=rf"clients saw \d+ errors? \(\d+ answered with 5xx\) .*, allowed {allowed}"
        ):
            await verify(context)
    else:
        assert await verify(context) == "in rotation"


@pytest.mark.virtual_time
async def test_a_reload_while_it_bakes_makes_no_negative_count() -> None:
    world = World(bake_time=30)
    for server in world.servers("web1"):
        server.errors_5xx = 1000

    async def spoil() -> None:
        await until_baking(world)
        for server in world.servers("web1"):
            server.errors_5xx = 0  # as after a reload with a state file
        await asyncio.sleep(5)
        world.server("web1").errors_5xx = 1

    context, _ = await upgraded(world)
    beside = asyncio.create_task(spoil())
    with pytest.raises(StepFailed, match="saw 1 error "):
        await verify(context)
    await beside


@pytest.mark.virtual_time
@pytest.mark.parametrize("what", ["own health", "rotation"])
async def test_what_is_lost_while_it_bakes_is_a_failure(what: str) -> None:
    world = World(bake_time=60)
    context, node = await upgraded(world)

    async def spoil() -> None:
        await until_baking(world)
        if what == "rotation":
            world.server("web1", "lb2").set_state("drain")
        else:
            node.flaps = [False] * 100  # its own health only; HAProxy sees nothing

    beside = asyncio.create_task(spoil())
    with pytest.raises(StepFailed, match="own health failed" if what == "own health" else "DRAIN on lb2"):
        await verify(context)
    await beside


@pytest.mark.virtual_time
async def test_one_lost_check_while_it_bakes_is_looked_at_further() -> None:
    world = World(bake_time=10)
    context, _ = await upgraded(world)

    async def lose() -> None:
        await until_baking(world)
        world.server("web1", "lb2").health -= 1

    beside = asyncio.create_task(lose())
    assert await verify(context) == "in rotation"
    await beside
    assert any(
        event.reason == "failed a health check of HAProxy: UP 2/3 on lb2" for event in world.events(Waiting)
    )


@pytest.mark.virtual_time
async def test_one_that_stays_half_lost_is_no_end_of_the_bake() -> None:
    world = World(bake_time=10, balancer_unreachable_timeout=30)
    context, _ = await upgraded(world)

    async def lose() -> None:
        await until_baking(world)
        world.server("web1", "lb2").inter = 10_000  # the next check is far away
        await asyncio.sleep(1.5)
        world.server("web1", "lb2").health -= 1

    beside = asyncio.create_task(lose())
    with pytest.raises(StepTimeout, match=r"end of bake: .*failed a health check of HAProxy: UP 2/3 on lb2"):
        await verify(context)
    await beside


@pytest.mark.virtual_time
async def test_a_lost_check_with_bad_own_health_fails_the_bake_at_once() -> None:
    world = World(bake_time=60)
    context, node = await upgraded(world)
    lost: list[float] = []

    async def lose() -> None:
        await until_baking(world)
        for server in world.servers("web1"):
            server.inter = 10_000
        await asyncio.sleep(1.5)
        lost.append(now())
        node.healthy = False
        world.server("web1", "lb2").health -= 1

    beside = asyncio.create_task(lose())
    with pytest.raises(
        StepFailed, match=re.escape("failed a health check of HAProxy: UP 2/3 on lb2; own health: 503")
    ):
        await verify(context)
    await beside
    assert now() - lost[0] < 0.6  # one bad look of its own is enough then, and three would take longer


@pytest.mark.virtual_time
async def test_responses_5xx_are_counted_while_a_check_is_lost() -> None:
    world = World(bake_time=60)
    context, _ = await upgraded(world)

    async def lose() -> None:
        await until_baking(world)
        server = world.server("web1", "lb2")
        server.inter = 10_000
        await asyncio.sleep(1.5)
        server.health -= 1
        server.errors_5xx += 1

    beside = asyncio.create_task(lose())
    with pytest.raises(StepFailed, match="clients saw 1 error "):
        await verify(context)
    await beside


@pytest.mark.virtual_time
async def test_a_pause_stops_the_bake() -> None:
    world = World(bake_time=10)
    context, _ = await upgraded(world)
    world.at(6, lambda: world.control.pause(Actor("ann")))
    world.at(500, lambda: world.control.resume(Actor("ann")))
    await verify(context)
    assert now() > 504


@pytest.mark.virtual_time
async def test_an_instance_that_dies_while_it_bakes_never_passes() -> None:
    world = World(bake_time=5, verify_timeout=30)
    context, _ = await upgraded(world)

    async def spoil() -> None:
        await until_baking(world)
        gone = Unreachable("lb2", "connection refused")
        world.balancers["lb2"].faults.always["snapshot"] = Fault(gone)

    beside = asyncio.create_task(spoil())
    with pytest.raises(StepTimeout, match=r"end of bake: .*lb2: connection refused"):
        await verify(context)
    await beside
