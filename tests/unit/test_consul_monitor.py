"""A rollout pauses once in an outage of Consul, and what a human wants goes before that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from backends.errors import Unreachable
from orchestrator.background import Activity
from orchestrator.engine.control import RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import Paused, Record, Resumed
from orchestrator.session.consul import CHECK_INTERVAL_S, ConsulMonitor
from tests.support.virtual_time import VirtualClock

if TYPE_CHECKING:
    from backends.consul.client import Consul


class Silent:
    """A Consul that answers, or does not."""

    down = False

    async def leader(self) -> str:
        if self.down:
            raise Unreachable("consul", "no answer")
        return "here"


class Desk:
    """A rollout that is watched with."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.bus = EventBus(self.clock)
        self.told: list[str] = []
        self.bus.subscribe(self._tell)
        self.control = RolloutControl(self.clock, self.bus)
        self.consul = Silent()
        self.watch = ConsulMonitor(
            cast("Consul", self.consul), self.clock, Activity(self.control, is_rolling=True)
        )

    def _tell(self, record: Record) -> None:
        if isinstance(record.event, Paused | Resumed):
            self.told.append(f"{type(record.event).__name__} {record.event.who}")

    async def look(self, *, down: bool) -> None:
        """Let it look some times."""
        self.consul.down = down
        await self.clock.sleep(3 * CHECK_INTERVAL_S)


@asynccontextmanager
async def watching() -> AsyncIterator[Desk]:
    """A rollout while its monitor runs."""
    desk = Desk()
    task = asyncio.create_task(desk.watch.run())
    yield desk
    assert not task.done(), "a monitor never ends by itself"
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.virtual_time
async def test_it_pauses_and_goes_on_by_itself() -> None:
    async with watching() as desk:
        await desk.look(down=False)
        await desk.look(down=True)
        assert desk.control.paused
        await desk.look(down=False)
        assert not desk.control.paused
    assert desk.told == ["Paused Rolldeck", "Resumed Rolldeck, as Consul answers again"]


@pytest.mark.virtual_time
async def test_whoever_lets_it_go_on_decides_for_the_rest_of_the_outage() -> None:
    async with watching() as desk:
        await desk.look(down=True)
        desk.control.resume(Actor("me"))
        await desk.look(down=True)
        assert not desk.control.paused
        desk.control.pause(Actor("me"))
        await desk.look(down=False)
        assert desk.control.paused, "it is mine"
        desk.control.resume(Actor("me"))
        await desk.look(down=True)
        assert desk.control.paused, "another outage"


@pytest.mark.virtual_time
async def test_what_a_human_wants_paused_stays_so() -> None:
    async with watching() as desk:
        await desk.look(down=True)
        desk.control.pause(Actor("me"))  # too, while it is
        await desk.look(down=False)
        assert desk.control.paused
        desk.control.resume(Actor("me"))
        desk.control.pause(Actor("me"))
        await desk.look(down=True)
        await desk.look(down=False)
        assert desk.control.paused


@pytest.mark.virtual_time
async def test_a_journal_that_cannot_be_written_does_not_end_the_looks() -> None:
    async with watching() as desk:

        def full(_: Record) -> None:
            raise OSError("no space left")

        unsubscribe = desk.bus.subscribe(full)
        await desk.look(down=True)
        assert desk.control.paused
        unsubscribe()
        await desk.look(down=False)
        assert not desk.control.paused
        assert desk.watch.status().state == "live"
