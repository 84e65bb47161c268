"""The payload of a published rollout: its header and its events, small enough for one key of Consul.

Anybody may have written the value that is read: `read_publication` accepts only what Rolldeck writes.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from backends.untrusted import Count, Number, Time, check_amounts, decode
from orchestrator.events import events
from orchestrator.events.drains import Drained
from orchestrator.events.events import AnyEvent, Record
from orchestrator.events.judgement import Measured, VerdictChanged
from orchestrator.events.verdict_text import RepeatedVerdicts
from orchestrator.journal.entries import JOURNAL_SCHEMA
from orchestrator.journal.migrations import upcast
from orchestrator.remote.checks import check_header, check_record, with_own_commands
from orchestrator.remote.takeover import RolloutHeader

MAX_PAYLOAD_BYTES = 400_000  # bytes; Consul takes 512 kB
MAX_UNPACKED_BYTES = 16_000_000  # bytes, when it is written and when it is read
MAX_TEXT_CHARS = 2_000  # characters of one text; the publisher's own journal has all of it

# Commands, replies and service logs stay in the publisher's journal; of each wait only the last event counts,
# and of measurements the last evidence, without the servers.
_UNPUBLISHED_EVENTS = (events.CommandSending, events.CommandFinished, events.ServiceLog)
_DROPPABLE_EVENTS = (Drained, events.NodeNote, events.HookFired, events.Prefetched, events.Traffic)
_REPLACED_EVENTS = (events.Waiting, Measured)

_Hash = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]


class _PublishedEvent(msgspec.Struct, frozen=True, array_like=True):
    seq: Number
    at: Time
    event: AnyEvent


class _PublishedState(msgspec.Struct, frozen=True, kw_only=True):
    schema: Count
    header: RolloutHeader = msgspec.field(name="head")
    lines: list[_PublishedEvent]
    number: Count = 0
    at: Time = 0.0
    journal_head: _Hash = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """The published state of a rollout.

    Attributes:
        number: it grows with each state of one rollout.
        at: when it was published, by the clock there; 0 if unknown.
        journal_head: of its journal as it was then, for `rolldeck history verify --head` on that machine.
    """

    header: RolloutHeader
    records: list[Record]
    number: int = 0
    at: float = 0.0
    journal_head: str = ""


def pack(
    header: RolloutHeader, records: Sequence[Record], number: int = 0, at: float = 0.0, journal_head: str = ""
) -> bytes:
    """Return the value of the key. If it is too long, droppable events are left out, then more.

    Args:
        header: see `Publication`, as for the other arguments.
        records: all events so far.
        number: of the publication.
        at: when, seconds since 1970.
        journal_head: of the journal of the machine that publishes it.
    """
    packed = b""
    current = _drop_replaced(records)
    for spare in (
        (),
        _DROPPABLE_EVENTS,
        (*_DROPPABLE_EVENTS, events.StepDone, events.BatchStarted, Measured),
    ):
        kept = [
            record
            for record in (_drop_repeated_verdicts(current) if spare else current)
            if not isinstance(record.event, (*_UNPUBLISHED_EVENTS, *spare))
        ]
        lines = [_PublishedEvent(record.seq, record.at, _shorten_event(record.event)) for record in kept]
        whole = msgspec.json.encode(
            _PublishedState(
                schema=JOURNAL_SCHEMA,
                header=header,
                lines=lines,
                number=number,
                at=at,
                journal_head=journal_head,
            )
        )
        packed = zlib.compress(whole)
        if len(packed) <= MAX_PAYLOAD_BYTES and len(whole) <= MAX_UNPACKED_BYTES:
            break
    return packed


def _shorten_event(event: AnyEvent) -> AnyEvent:
    """Shorten the texts of an event that is too large, so that it does not prevent publication."""
    if isinstance(event, Measured):
        event = msgspec.structs.replace(event, servers=[])
    try:
        check_amounts(event)
    except ValueError:
        return msgspec.convert(_shorten_texts(msgspec.to_builtins(event)), type(event))
    return event


def _shorten_texts(value: Any) -> Any:
    match value:
        case str() if len(value) > MAX_TEXT_CHARS:
            return f"{value[:MAX_TEXT_CHARS]}…"
        case list():
            return [_shorten_texts(part) for part in value]
        case dict():
            return {key: _shorten_texts(part) for key, part in value.items()}
        case _:
            return value


def unpack(value: bytes) -> tuple[RolloutHeader, list[Record]]:
    """Return the header and the records of a value; see `read_publication`."""
    found = read_publication(value)
    return found.header, found.records


def read_publication(value: bytes, known: Mapping[int, Record] | None = None) -> Publication:
    """Return what `pack` has packed.

    Args:
        value: of the key.
        known: records that have been read and checked already, by number.

    Raises:
        ValueError: it is no such value, or from a newer Rolldeck.
    """
    whole = decode(_upcast(_unzip(value)), _PublishedState)
    header = whole.header
    names = check_header(header)
    records = []
    last = 0
    for line in whole.lines:
        if line.seq <= last:
            raise ValueError(f"event {line.seq} comes after event {last}")
        last = line.seq
        record = Record(line.seq, line.at, line.event)
        if known is None or known.get(last) != record:
            check_record(header, names, record)
        records.append(record)
    own = with_own_commands(header, records)
    return Publication(header, own, whole.number, whole.at, whole.journal_head)


def _unzip(value: bytes) -> bytes:
    """Decompress a value, which may be made to have gigabytes. Raises ValueError."""
    if len(value) > 2 * MAX_PAYLOAD_BYTES:
        raise ValueError(f"has {len(value)} bytes, expected at most {2 * MAX_PAYLOAD_BYTES}")
    unpacking = zlib.decompressobj()
    try:
        unzipped = unpacking.decompress(value, MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise ValueError(f"cannot be understood: {error}") from None
    if unpacking.unconsumed_tail:
        raise ValueError(
            f"cannot be understood: it has more than {MAX_UNPACKED_BYTES} bytes when it is unpacked"
        )
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("cannot be understood: it does not end where it should")
    return unzipped


class _Schema(msgspec.Struct, frozen=True):
    schema: Count


def _upcast(unzipped: bytes) -> bytes:
    """Return what an earlier Rolldeck has published, with its events as they are called today.

    Raises:
        ValueError: it is no such value, or from a newer Rolldeck.
    """
    schema = decode(unzipped, _Schema).schema
    if schema == JOURNAL_SCHEMA:
        return unzipped
    if not 1 <= schema < JOURNAL_SCHEMA:
        raise ValueError(f"is of schema {schema}, and this Rolldeck reads 1 to {JOURNAL_SCHEMA}")
    whole = decode(unzipped, dict[str, Any])
    try:
        lines = [[seq, at, upcast(event, schema)] for seq, at, event in whole["lines"]]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ValueError(f"cannot be understood: it is not what schema {schema} was") from None
    return msgspec.json.encode(whole | {"schema": JOURNAL_SCHEMA, "lines": lines})


def _drop_replaced(records: Sequence[Record]) -> list[Record]:
    """Leave out what a later event of the same kind and node replaces."""
    last: dict[tuple[type, str], int] = {}
    for record in records:
        if isinstance(record.event, _REPLACED_EVENTS):
            last[_replaced_key(record)] = record.seq
    return [
        record
        for record in records
        if not isinstance(record.event, _REPLACED_EVENTS) or last[_replaced_key(record)] == record.seq
    ]


def _replaced_key(record: Record) -> tuple[type, str]:
    return type(record.event), getattr(record.event, "node", "")


def _drop_repeated_verdicts(records: Sequence[Record]) -> list[Record]:
    """Keep changes of the verdict, and the last one: the curves on other machines become coarse."""
    repeats = RepeatedVerdicts()
    last = next((record for record in reversed(records) if isinstance(record.event, VerdictChanged)), None)
    return [record for record in records if not repeats.has(record.event) or record is last]
