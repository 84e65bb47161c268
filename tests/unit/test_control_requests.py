"""Control requests in Consul are carried out once, for the rollout that they name, if their sender may."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from backends.consul.client import Pair
from backends.consul.signing import Signer
from backends.secrets import Secret
from orchestrator.engine.control import RolloutControl
from orchestrator.events import events
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.remote.control_requests import MAX_NAMED_REFUSALS, ControlRequest, ControlRequests
from tests.support import forged
from tests.support.virtual_time import VirtualClock

if TYPE_CHECKING:
    from orchestrator.events.events import AnyEvent

FENCE = 7
SIGNER = Signer(Secret("0123456789abcdef"), "rolldeck/shop")


class Desk:
    """A rollout that takes requests."""

    def __init__(self, signer: Signer | None = None) -> None:
        clock = VirtualClock()
        self.bus = EventBus(clock)
        self.control = RolloutControl(clock, self.bus)
        self.events: list[AnyEvent] = []
        self.bus.subscribe(lambda record: self.events.append(record.event))
        self.requests = ControlRequests(FENCE, self.control, signer)
        self.bus.subscribe(self.requests.watch)
        self.keys = 0

    def put(self, value: bytes, key: str = "") -> None:
        self.keys += 1
        self.requests.take(Pair(key or f"requests/{self.keys}", value, self.keys, 0, ""))

    def ask(self, what: Any, who: str = "ann@far", **changes: Any) -> bytes:
        """As `rolldeck control` does; returns what stood in the key."""
        request = ControlRequest(what=what, who=who, fence=FENCE, nonce=f"{self.keys:016x}", at=time.time())
        value = msgspec.json.encode(msgspec.structs.replace(request, **changes))
        signer = self.requests._signer
        value = signer.sign("request", value) if signer is not None else value
        self.put(value)
        return value

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, events.NodeNote)]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("signer", "proof"), [(None, "not verified"), (SIGNER, "signed with our key")])
async def test_an_event_says_that_it_came_through_consul_and_who_vouches_for_that(
    signer: Signer | None, proof: str
) -> None:
    desk = Desk(signer)
    desk.ask("pause", uid=1000, credential="ED25519 SHA256:abc")
    [paused] = desk.events
    assert isinstance(paused, events.Paused)
    assert (paused.who, paused.via, paused.uid) == ("ann@far", "consul", -1)
    assert paused.credential == f"{proof}, uid 1000, ED25519 SHA256:abc"


@pytest.mark.virtual_time
async def test_no_forged_one_is_carried_out_and_each_is_named_up_to_a_limit() -> None:
    desk = Desk()
    values = list(forged.requests(FENCE))
    assert len(values) > MAX_NAMED_REFUSALS
    for _, value in values:
        desk.put(value)
    assert len(desk.notes) == len(desk.events) == MAX_NAMED_REFUSALS
    assert all("key requests/" in note and len(note) < 500 for note in desk.notes)
    assert desk.notes[-1].endswith("further requests are not listed")


@pytest.mark.virtual_time
@pytest.mark.parametrize("signer", [None, SIGNER])
async def test_what_was_meant_for_another_rollout_is_left_alone(signer: Signer | None) -> None:
    """It was on its way as that one ended, or as this one began."""
    desk = Desk(signer)
    desk.ask("abort", fence=FENCE - 1)
    assert not desk.control.aborting
    assert "for another rollout (fence 6, not 7)" in desk.notes[0]


@pytest.mark.virtual_time
@pytest.mark.parametrize("signer", [None, SIGNER])
async def test_the_same_request_is_taken_once_whatever_its_key(signer: Signer | None) -> None:
    desk = Desk(signer)
    value = desk.ask("pause")
    desk.ask("resume")
    desk.put(value)
    assert not desk.control.paused
    assert "ann@far has sent it before" in desk.notes[0]
    desk.requests.take(Pair("requests/1", value, 1, 0, ""))  # the very key, which could not be deleted
    assert len(desk.notes) == 1


@pytest.mark.virtual_time
async def test_two_who_abort_in_the_same_moment_do_not_end_it_at_once() -> None:
    desk = Desk()
    at_once: list[str] = []
    desk.control.on_immediate_abort(lambda: at_once.append("at once"))
    desk.ask("abort", "ann@far")
    desk.ask("abort", "bob@there")
    await asyncio.sleep(1.9)
    desk.ask("abort", "ann@far")
    assert not at_once
    assert [note.split(" ")[0] for note in desk.notes] == ["bob@there", "ann@far"]
    await asyncio.sleep(0.2)  # two seconds after the first one was taken: that is meant
    desk.ask("abort", "bob@there")
    assert at_once


@pytest.mark.virtual_time
async def test_nor_does_one_through_consul_just_after_one_at_the_terminal() -> None:
    desk = Desk()
    desk.control.abort(Actor("me@here", "terminal"))
    desk.ask("abort")
    aborts = [event for event in desk.events if isinstance(event, events.AbortRequested)]
    assert [abort.immediate for abort in aborts] == [False]


@pytest.mark.virtual_time
async def test_with_a_key_only_what_is_signed_with_it_is_taken() -> None:
    desk = Desk(SIGNER)
    request = ControlRequest(what="abort", who="eve@far", fence=FENCE, nonce="f" * 16, at=time.time())
    value = msgspec.json.encode(request)
    desk.put(value)
    desk.put(Signer(Secret("another key, as long"), "rolldeck/shop").sign("request", value))
    desk.put(Signer(SIGNER.key, "rolldeck/bank").sign("request", value))
    desk.put(SIGNER.sign("publication", value))
    assert not desk.control.aborting
    assert "it is not signed" in desk.notes[0]
    assert all("its signature is not that of our key" in note for note in desk.notes[1:])
    desk.put(SIGNER.sign("request", value))
    assert desk.control.aborting


@pytest.mark.virtual_time
async def test_what_was_signed_too_long_ago_is_refused_and_clocks_may_differ_a_little() -> None:
    desk = Desk(SIGNER)
    desk.ask("abort", at=time.time() - 400)
    desk.ask("abort", at=time.time() + 400)
    assert not desk.control.aborting
    assert ["ago by our clock" in note or "in 4" in note for note in desk.notes] == [True, True]
    desk.ask("pause", at=time.time() - 200)
    assert desk.control.paused
