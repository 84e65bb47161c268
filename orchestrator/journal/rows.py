"""An event as it stands in the journal: bytes of JSON with a schema of their own.

`JOURNAL_SCHEMA` says what the events in a journal look like; `--json` has `SCHEMA` of `orchestrator.events`.
Fields are only ever added within a schema. When a field is renamed, or becomes one that must be there,
`JOURNAL_SCHEMA` grows by one, and `orchestrator.journal.migrations` gets a function that turns an event of an
earlier schema into one of the new. A row stays in the file as it was written: its hash covers these bytes.

What is read here may have been written by a later Rolldeck, by a damaged disk or by somebody with an editor.
A row that does not say what it should is an `Unreadable` event, in its place: it keeps nobody from reading
the others.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec

from backends.model import AdminState
from backends.text import shorten
from orchestrator.events.events import AnyEvent, NodeStarted, Record, Unreadable
from orchestrator.events.json import flat
from orchestrator.journal.migrations import UPCASTERS, Fields, Upcaster, upcast

JOURNAL_SCHEMA = 2  # of the rows that this Rolldeck writes

MAX_PROBLEM_CHARS = 2_000  # characters of a row that nobody understands
LATEST = 32_503_680_000  # the year 3000 in seconds since 1970: what a clock can show


def kind_of(event: AnyEvent | type[AnyEvent]) -> str:
    """What an event is called, such as "node_started"."""
    return str(event.__struct_config__.tag)


KINDS = frozenset(kind_of(kind) for kind in get_args(AnyEvent))
UNREADABLE = kind_of(Unreadable)


def encode_row(record: Record) -> bytes:
    """A record as it is written: one flat JSON object, without a newline."""
    head = {"schema": JOURNAL_SCHEMA, "seq": record.seq, "at": round(record.at, 3)}
    return msgspec.json.encode(head | flat(record.event))


def decode_row(seq: object, at: object, text: bytes, before: Record | None = None) -> Record:
    """A row as it stands in the file, whatever that is.

    Args:
        seq: its number, from 1.
        at: its time, seconds since 1970.
        text: the event in JSON.
        before: the record before it: a row without a number or a time has those of that one.
    """
    event = decode_event(text)
    if type(seq) is not int:
        event = _unreadable(text, f"its number is {seq!r:.100}")
    if type(at) not in (int, float) or not 0 <= float(at) <= LATEST:  # type: ignore[arg-type]
        event = _unreadable(text, f"its time is {at!r:.100}")
        at = before.at if before is not None else 0.0
    number = seq if isinstance(seq, int) else before.seq if before is not None else 0
    return Record(number, float(at), event)  # type: ignore[arg-type]


def decode_event(
    text: bytes, upcasters: Mapping[str, Sequence[Upcaster]] = UPCASTERS, newest: int = JOURNAL_SCHEMA
) -> AnyEvent:
    """The event of a row; an `Unreadable` for what is none."""
    try:
        schema = msgspec.json.decode(text, type=_Head).schema
        if not 1 <= schema <= newest:
            raise ValueError(f"it has schema {schema}, and this Rolldeck reads 1 to {newest}")
        if schema == newest:
            return _checked(msgspec.json.decode(text, type=AnyEvent))
        fields = upcast(msgspec.json.decode(text, type=Fields), schema, upcasters)
        event: AnyEvent = msgspec.convert(fields, AnyEvent)
        return _checked(event)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError) as error:
        return _unreadable(text, str(error))
    except RecursionError:
        return _unreadable(text, "it is nested too deeply")


class _Head(msgspec.Struct, frozen=True):
    schema: int = 1


def _checked(event: AnyEvent) -> AnyEvent:
    """Raises ValueError: it has what its types allow, and what no server can have had."""
    if isinstance(event, NodeStarted):
        for original in event.originals:
            AdminState(original.admin)
    return event


def _unreadable(text: bytes, problem: str) -> Unreadable:
    try:
        kind = msgspec.json.decode(text, type=_EventName).event
    except (msgspec.MsgspecError, ValueError, RecursionError):
        kind = ""
    return Unreadable(
        kind=shorten(kind, 100),
        problem=shorten(problem, 300),
        text=shorten(text.decode(errors="replace"), MAX_PROBLEM_CHARS),
    )


class _EventName(msgspec.Struct, frozen=True):
    event: str = ""
