"""A rollout is published while it runs: in time, all of it, and so that the next one can be published too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from backends.consul.client import Pair
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.rollout_context import Published
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.remote.control_requests import ControlRequest
from orchestrator.remote.payload import unpack
from orchestrator.remote.publisher import RolloutPublisher
from orchestrator.remote.takeover import PublishedPlan, PublishedPolicy, RolloutHeader
from tests.support.virtual_time import VirtualClock

HEAD = RolloutHeader(
    kind="upgrade",
    application="shop",
    version="2",
    operator="me",
    host="here",
    pid=1,
    began=0.0,
    fence=3,
    plan=PublishedPlan(batches=[], nodes=[], policy=PublishedPolicy(serial=1)),
)
KEY = "rolldeck/shop/rollout"
ON_TIME = 1.0  # virtual seconds, as agreed


class FakeConsul:
    """One key, with the session that has it.

    Attributes:
        seconds: that it takes to answer.
        refusing: how many more times it says no.
        seen: when each note was there for others first.
        held: by which session.
    """

    def __init__(self, seconds: float = 0.0, refusing: int = 0) -> None:
        self.seconds = seconds
        self.refusing = refusing
        self.seen: dict[str, float] = {}
        self.held = ""

    async def put(self, key: str, value: bytes, *, acquire: str = "", release: str = "") -> bool:
        assert key == KEY
        await asyncio.sleep(self.seconds)
        if self.refusing:
            self.refusing -= 1
            return False
        if release and self.held != release:
            return False
        self.held = acquire
        for record in unpack(value)[1]:
            assert isinstance(record.event, NodeNote)
            self.seen.setdefault(record.event.text, asyncio.get_running_loop().time())
        return True

    async def delete(self, key: str, *, recurse: bool = False) -> None:
        pass

    async def list(self, prefix: str, index: int = 0, wait: float = 0) -> tuple[int, list[Pair]]:
        await asyncio.sleep(wait)
        return 1, []


async def publish(consul: Any, work: Callable[[EventBus, Published], Awaitable[None]]) -> dict[str, float]:
    """Work with a publisher; returns when each note was emitted."""
    clock = VirtualClock()
    bus = EventBus(clock)
    emitted: dict[str, float] = {}

    def keep(record: Any) -> None:
        emitted[record.event.text] = clock.monotonic()

    bus.subscribe(keep)
    control = RolloutControl(clock, bus, interactive=False)
    async with RolloutPublisher(
        consul, "rolldeck", HEAD, lambda: "ours", bus, control
    ).working() as published:
        await work(bus, published)
    return emitted


def late(consul: FakeConsul, emitted: dict[str, float]) -> list[str]:
    assert consul.seen.keys() == emitted.keys()
    return [text for text, at in emitted.items() if consul.seen[text] - at > ON_TIME]


@pytest.mark.virtual_time
async def test_every_event_is_there_within_a_second_alone_or_in_a_crowd() -> None:
    async def work(bus: EventBus, _: Published) -> None:
        for number in range(300):
            bus.emit(NodeNote(node="", text=f"{number}"))
            await asyncio.sleep((0.0, 0.01, 0.05, 0.19, 0.2, 0.21, 3.0)[number % 7])

    consul = FakeConsul()
    emitted = await publish(consul, work)
    assert len(emitted) == 300
    assert late(consul, emitted) == []


@pytest.mark.virtual_time
async def test_what_happens_during_a_publication_comes_with_the_next_one() -> None:
    async def work(bus: EventBus, _: Published) -> None:
        bus.emit(NodeNote(node="", text="before"))
        await asyncio.sleep(0.15)
        bus.emit(NodeNote(node="", text="meanwhile"))
        await asyncio.sleep(10)
        assert consul.seen.keys() == {"before", "meanwhile"}, "nothing else has happened since"

    consul = FakeConsul(seconds=0.3)

    assert late(consul, await publish(consul, work)) == []


@pytest.mark.virtual_time
async def test_after_a_no_it_is_tried_again_soon() -> None:
    """As it is when the session before had the key at its end."""

    async def work(bus: EventBus, published: Published) -> None:
        bus.emit(NodeNote(node="", text="begun"))
        await published()
        bus.emit(NodeNote(node="", text="worked"))
        await asyncio.sleep(5)

    consul = FakeConsul(refusing=2)
    assert late(consul, await publish(consul, work)) == []


@pytest.mark.virtual_time
async def test_the_last_event_is_there_and_the_key_is_given_back_at_the_end() -> None:
    async def work(bus: EventBus, _: Published) -> None:
        await asyncio.sleep(1)
        assert consul.held == "ours"
        bus.emit(NodeNote(node="", text="ended"))

    consul = FakeConsul()

    assert late(consul, await publish(consul, work)) == []
    assert consul.held == ""


@pytest.mark.virtual_time
async def test_requests_are_taken_again_after_a_defect_and_it_is_said() -> None:
    class Failing(FakeConsul):
        """Twice as nobody has expected; then there is a request."""

        failures = 2
        deleted: list[str]

        async def list(self, prefix: str, index: int = 0, wait: float = 0) -> tuple[int, list[Pair]]:
            if self.failures:
                self.failures -= 1
                raise KeyError("what nobody has thought of")
            await asyncio.sleep(0.1)
            request = ControlRequest(what="pause", who="ann@far", fence=3, nonce="0" * 16, at=1.0)
            return 1, [] if "one" in self.deleted else [Pair("one", msgspec.json.encode(request), 1, 0, "")]

        async def delete(self, key: str, *, recurse: bool = False) -> None:
            self.deleted.append(key)

        async def put(self, *_: Any, **__: Any) -> bool:
            return True

    notes: list[str] = []

    consul = Failing()
    consul.deleted = []
    clock = VirtualClock()
    bus = EventBus(clock)
    control = RolloutControl(clock, bus)
    async with RolloutPublisher(consul, "rolldeck", HEAD, lambda: "ours", bus, control).working():  # type: ignore[arg-type]
        bus.subscribe(lambda record: notes.append(getattr(record.event, "text", "")))
        await asyncio.sleep(5)
        assert control.paused
    assert "one" in consul.deleted
    assert notes[0] == (
        "internal error: taking requests from Consul failed and is restarted:"
        " KeyError: 'what nobody has thought of'"
    )
