"""A rollout pauses once in an outage of Consul, and what a human wants goes before that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from backends.errors import Unreachable
from orchestrator.background import Activity
from orchestrator.engine.control import RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import Paused, Record, Resumed
from orchestrator.session.consul import CHECK_INTERVAL_S, ConsulMonitor
from tests.support.virtual_time import VirtualClock, run

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


def scenario(play: Callable[[Desk, RolloutControl], Awaitable[None]]) -> Desk:
    """Play it while the watch goes on."""
    seen: list[Desk] = []

    async def go() -> None:
        desk = Desk()
        seen.append(desk)
        task = asyncio.create_task(desk.watch.run())
        await play(desk, desk.control)
        assert not task.done()
        task.cancel()

    run(go())
    return seen[0]


def test_it_pauses_and_goes_on_by_itself() -> None:
    async def play(desk: Desk, control: RolloutControl) -> None:
        await desk.look(down=False)
        await desk.look(down=True)
        assert control.paused
        await desk.look(down=False)
        assert not control.paused

    assert scenario(play).told == ["Paused Rolldeck", "Resumed Rolldeck, as Consul answers again"]


def test_whoever_lets_it_go_on_decides_for_the_rest_of_the_outage() -> None:
    async def play(desk: Desk, control: RolloutControl) -> None:
        await desk.look(down=True)
        control.resume(Actor("me"))
        await desk.look(down=True)
        assert not control.paused
        control.pause(Actor("me"))
        await desk.look(down=False)
        assert control.paused, "it is mine"
        control.resume(Actor("me"))
        await desk.look(down=True)
        assert control.paused, "another outage"

    scenario(play)


def test_what_a_human_wants_paused_stays_so() -> None:
    async def play(desk: Desk, control: RolloutControl) -> None:
        await desk.look(down=True)
        control.pause(Actor("me"))  # too, while it is
        await desk.look(down=False)
        assert control.paused
        control.resume(Actor("me"))
        control.pause(Actor("me"))
        await desk.look(down=True)
        await desk.look(down=False)
        assert control.paused

    scenario(play)


def test_a_journal_that_cannot_be_written_does_not_end_the_looks() -> None:
    async def play(desk: Desk, control: RolloutControl) -> None:
        def full(_: Record) -> None:
            raise OSError("no space left")

        unsubscribe = desk.bus.subscribe(full)
        await desk.look(down=True)
        assert control.paused
        unsubscribe()
        await desk.look(down=False)
        assert not control.paused
        assert desk.watch.status().state == "live"

    scenario(play)
