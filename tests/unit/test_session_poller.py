"""Sessions are read only while somebody looks, seldom, never twice at once, and no load balancer waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backends.errors import Unreachable
from backends.model import Level, ServerRef, Sessions
from orchestrator.live.poller import SESSIONS_INTERVAL_S, Poller, SessionPoller, select_with_sessions
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World

WEB1 = (ServerRef("lb1", "shop", "web1"), ServerRef("lb2", "shop", "web1"))


@asynccontextmanager
async def reading(world: World) -> AsyncIterator[SessionPoller]:
    in_flight = SessionPoller(world.balancer_group, world.clock)
    in_flight.select(WEB1)
    task = asyncio.create_task(in_flight.run())
    yield in_flight
    assert not task.done(), "it never ends by itself"
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.virtual_time
async def test_each_load_balancer_is_read() -> None:
    world = World()
    world.server("web1").sticky = 3
    async with reading(world) as in_flight:
        await asyncio.sleep(0.5)
        first, second = (in_flight.latest[ref] for ref in WEB1)
        assert first.sessions is not None
        assert (first.sessions.total, [client.age for client in first.sessions.oldest]) == (3, [3, 2, 1])
        assert second.sessions == Sessions(0, ())
        assert (first.failing, first.read_at) == ("", 0)


@pytest.mark.virtual_time
async def test_one_that_hangs_delays_nobody_and_is_never_asked_twice_at_once() -> None:
    world = World()
    world.server("web1").sticky = 3
    async with reading(world) as in_flight:
        await asyncio.sleep(0.5)
        hung = world.balancers["lb1"]
        running = most = 0
        read = hung.sessions

        async def sessions(backend: str, server: str, limit: int) -> Sessions:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(30)
            running -= 1
            return await read(backend, server, limit)

        hung.sessions = sessions  # type: ignore[method-assign]
        asked = []
        for _ in range(10):
            await asyncio.sleep(SESSIONS_INTERVAL_S)
            asked.append(in_flight.latest[WEB1[1]].read_at)
        assert most == 1
        assert len(set(asked)) == len(asked)
        assert in_flight.latest[WEB1[0]].read_at == 0  # the last that is known stays, with its age


@pytest.mark.virtual_time
async def test_what_fails_is_said_and_goes_away_by_itself() -> None:
    world = World()
    world.server("web1").sticky = 3
    async with reading(world) as in_flight:
        await asyncio.sleep(0.5)
        faults = world.balancers["lb1"].faults
        for error in (Unreachable("lb1", "connection refused"), ZeroDivisionError("ours")):
            faults.always["sessions"] = Fault(error)
            await asyncio.sleep(SESSIONS_INTERVAL_S)
            seen = in_flight.latest[WEB1[0]]
            assert str(error).removeprefix("lb1: ") in seen.failing
            assert seen.sessions is not None
            assert not in_flight.latest[WEB1[1]].failing
            faults.always.clear()
            await asyncio.sleep(SESSIONS_INTERVAL_S)
            assert not in_flight.latest[WEB1[0]].failing


@pytest.mark.virtual_time
async def test_too_low_a_level_is_said_in_words_and_nothing_old_is_kept() -> None:
    world = World()
    world.server("web1").sticky = 3
    async with reading(world) as in_flight:
        await asyncio.sleep(0.5)
        world.balancers["lb1"].level = Level.USER
        await asyncio.sleep(SESSIONS_INTERVAL_S)
        seen = in_flight.latest[WEB1[0]]
        assert (seen.sessions, seen.denied) == (None, True)
        assert "Permission denied" in seen.failing


@pytest.mark.virtual_time
async def test_only_what_has_sessions_is_worth_a_read() -> None:
    world = World()
    watch = Poller(world.balancer_group, world.clock)
    task = asyncio.create_task(watch.run())
    names = [("shop", "web1"), ("shop", "nobody")]
    await asyncio.sleep(0.5)
    assert select_with_sessions(watch.view, names) == ()
    world.server("web1", "lb2").sticky = 1
    await asyncio.sleep(1)
    assert select_with_sessions(watch.view, names) == WEB1[1:]
    world.balancers["lb1"].level = Level.USER  # asked all the same, so that its words are shown
    await asyncio.sleep(1)
    assert select_with_sessions(watch.view, names) == WEB1
    task.cancel()
    await asyncio.wait([task])
