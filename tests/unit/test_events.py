"""The bus and the line of JSON of each event."""

import json

import msgspec
import pytest

from backends import command
from orchestrator.errors import Fenced
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import (
    CommandFinished,
    CommandSending,
    NodeNote,
    Record,
    RolloutEnded,
    StepDone,
)
from orchestrator.events.json import encode, event_fields
from tests.support.fake_fleet import World
from tests.support.virtual_time import EPOCH, VirtualClock


def note(text: str) -> NodeNote:
    return NodeNote(node="web1", text=text)


@pytest.mark.virtual_time
async def test_every_reader_gets_every_event_in_order() -> None:
    bus = EventBus(VirtualClock())
    first: list[Record] = []
    second: list[Record] = []
    bus.subscribe(first.append)
    leave = bus.subscribe(second.append)
    bus.emit(note("a"))
    leave()
    bus.emit(note("b"))
    assert first == [Record(1, EPOCH, note("a")), Record(2, EPOCH, note("b"))]
    assert second == first[:1]


@pytest.mark.virtual_time
async def test_a_reader_that_cannot_read_stops_whoever_emits() -> None:
    bus = EventBus(VirtualClock())

    def full(record: Record) -> None:
        raise OSError("No space left on device")

    bus.subscribe(full)
    with pytest.raises(OSError, match="No space left"):
        bus.emit(note("a"))


@pytest.mark.virtual_time
async def test_a_command_belongs_to_the_turn_in_which_it_was_sent() -> None:
    bus = EventBus(VirtualClock())
    told: list[Record] = []
    bus.subscribe(told.append)
    finished = command.CommandFinished("lb1", "show info", "ok", True, 0.123456)
    with bus.commands_of("web1", "drain"):
        bus.record(finished)
        with bus.commands_of("web1", "stop"):
            bus.record(finished)
    bus.record(finished)
    events = [record.event for record in told if isinstance(record.event, CommandFinished)]
    assert [(event.node, event.step) for event in events] == [("web1", "drain"), ("web1", "stop"), ("", "")]
    assert events[0].duration_s == 0.1235


@pytest.mark.virtual_time
async def test_a_command_that_is_not_allowed_is_not_told_as_one_that_leaves() -> None:
    bus = EventBus(VirtualClock())
    told: list[Record] = []
    bus.subscribe(told.append)

    def no() -> None:
        raise Fenced("the lock is gone")

    bus.record(command.CommandSending("lb1", "set server shop/web1 state drain"))
    bus.before_send.append(no)
    with pytest.raises(Fenced):
        bus.record(command.CommandSending("lb1", "set server shop/web1 state maint"))
    # The reply of a command that was sent before may still come.
    bus.record(command.CommandFinished("lb1", "set server shop/web1 state drain", "", True, 0.1))
    assert [type(record.event) for record in told] == [CommandSending, CommandFinished]


def test_a_line_is_flat_and_says_what_it_is() -> None:
    event = StepDone(node="web1", step="stop", changed=True, detail="port closed", duration_s=1.5)
    assert json.loads(encode(event_fields(Record(7, 1.23456, event)))) == {
        "schema": 2,
        "seq": 7,
        "time": "1970-01-01T00:00:01.235Z",
        "event": "step_done",
        "node": "web1",
        "step": "stop",
        "changed": True,
        "detail": "port closed",
        "duration_s": 1.5,
        "answer_wait_s": 0.0,
    }


@pytest.mark.virtual_time
async def test_whatever_happens_is_one_line_that_can_be_read_back() -> None:
    """Control characters of the other side stay inside their string."""
    world = World(nodes=2, bake_time=1)
    world.bus.emit(note("\x1b[31m\nroot # \u2028"))
    await world.upgrade()
    records = world.records
    assert isinstance(records[-1].event, RolloutEnded)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    for record in records:
        line = encode(event_fields(record))
        assert b"\n" not in line
        assert b"\x1b" not in line
        fields = msgspec.json.decode(line)
        kept = {key: value for key, value in fields.items() if key not in ("schema", "seq", "time")}
        assert msgspec.convert(kept, type(record.event)) == record.event
