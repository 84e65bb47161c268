"""An entry of the journal as a value, and its events in their stored form: bytes of JSON with a schema.

`JOURNAL_SCHEMA` says what the events in a journal look like; `--json` has `SCHEMA` of
`orchestrator.events.json`. Fields are only ever added within a schema. When a field is renamed, or becomes
one that is required, `JOURNAL_SCHEMA` grows by one, and `orchestrator.journal.migrations` gets a function
that turns an event of an earlier schema into one of the new. A row stays in the file as it was written: its
hash covers these bytes.

What is read here may have been written by a later Rolldeck, by a damaged disk or by somebody with an editor.
A row that cannot be read becomes an `Unreadable` event in its place, so that the others can still be read.
An entry that cannot be read has the kind `UNKNOWN`.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from backends.model import AdminState
from backends.text import shorten
from orchestrator.events.events import (
    AnyEvent,
    ManualChangeFinished,
    NodeStarted,
    Record,
    RolloutEnded,
    Unreadable,
)
from orchestrator.events.json import to_fields
from orchestrator.events.operator_commands import OperatorCommandFinished
from orchestrator.journal.migrations import UPCASTERS, Fields, Upcaster, upcast

JOURNAL_SCHEMA = 2  # of the rows that this Rolldeck writes

MAX_ROW_CHARS = 2_000  # characters that are kept of a row that cannot be read
LATEST = 32_503_680_000  # the year 3000 in seconds since 1970: what a clock can show

Kind = Literal["upgrade", "rollback", "change", "command"]
NO_ROLLOUTS = ("change", "command")
"""The kinds of manual changes, and of what operators run beside rollouts."""
UNKNOWN = "unknown"  # the kind of an entry that cannot be read
MAX_PROBLEM_CHARS = 300  # characters of why an entry cannot be read

COLUMNS = (
    "id, kind, application, version, operator, host, pid, began, ended, result, reason, follows, plan,"
    " plan_hash"
)
_PROCESS = "process"  # key of the process in the column `plan`
Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]


def event_name(event: AnyEvent | type[AnyEvent]) -> str:
    """Return the name of an event, such as "node_started"."""
    return str(event.__struct_config__.tag)


EVENT_NAMES = frozenset(event_name(kind) for kind in get_args(AnyEvent))
UNREADABLE_NAME = event_name(Unreadable)


def encode_row(record: Record) -> bytes:
    """Return a record as it is written: one flat JSON object, without a newline."""
    head = {"schema": JOURNAL_SCHEMA, "seq": record.seq, "at": round(record.at, 3)}
    return msgspec.json.encode(head | to_fields(record.event))


def decode_row(seq: object, at: object, text: bytes, before: Record | None = None) -> Record:
    """Return the record of a row, whatever the file contains.

    Args:
        seq: its number, from 1.
        at: its time, seconds since 1970.
        text: the event in JSON.
        before: the record before it: a row without a number or a time has those of that one.
    """
    event = decode_event(text)
    if type(seq) is not int:
        event = _make_unreadable(text, f"its number is {seq!r:.100}")
    if type(at) not in (int, float) or not 0 <= float(at) <= LATEST:  # type: ignore[arg-type] # not narrowed by `in`
        event = _make_unreadable(text, f"its time is {at!r:.100}")
        at = before.at if before is not None else 0.0
    number = seq if isinstance(seq, int) else before.seq if before is not None else 0
    return Record(number, float(at), event)  # type: ignore[arg-type] # likewise


def decode_event(
    text: bytes, upcasters: Mapping[str, Sequence[Upcaster]] = UPCASTERS, newest: int = JOURNAL_SCHEMA
) -> AnyEvent:
    """Return the event of a row; an `Unreadable` for a row that has none."""
    try:
        schema = _SCHEMA_DECODER.decode(text).schema
        if not 1 <= schema <= newest:
            raise ValueError(f"it has schema {schema}, and this Rolldeck reads 1 to {newest}")
        if schema == newest:
            return _check_event(_EVENT_DECODER.decode(text))
        fields = upcast(msgspec.json.decode(text, type=Fields), schema, upcasters)
        event: AnyEvent = msgspec.convert(fields, AnyEvent)
        return _check_event(event)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError) as error:
        return _make_unreadable(text, str(error))
    except RecursionError:
        return _make_unreadable(text, "it is nested too deeply")


class _RowSchema(msgspec.Struct, frozen=True):
    schema: int = 1


# Made once: `msgspec.json.decode` looks at all types of events anew for each row.
_SCHEMA_DECODER = msgspec.json.Decoder(_RowSchema)
_EVENT_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def _check_event(event: AnyEvent) -> AnyEvent:
    """Return the event. Raises ValueError for values that its types allow but no server can have."""
    if isinstance(event, NodeStarted):
        for original in event.originals:
            AdminState(original.admin)
    return event


def _make_unreadable(text: bytes, problem: str) -> Unreadable:
    try:
        kind = msgspec.json.decode(text, type=_EventName).event
    except (msgspec.MsgspecError, ValueError, RecursionError):
        kind = ""
    return Unreadable(
        kind=shorten(kind, 100),
        problem=shorten(problem, 300),
        text=shorten(text.decode(errors="replace"), MAX_ROW_CHARS),
    )


class _EventName(msgspec.Struct, frozen=True):
    event: str = ""


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """The types that `COLUMNS` must have: SQLite itself accepts any value in each of them."""

    id: int
    kind: Kind
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: Time
    ended: Time | None
    result: str
    reason: str
    follows: int | None
    plan: str
    plan_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHeader:
    """The header of an entry: what is known when it begins.

    Attributes:
        version: empty where there is no rollout.
        began: seconds since 1970; a takeover recognizes the entry of another machine by it.
        plan: as `rolldeck plan --json` shows it.
        follows: the entry that this one resumes or rolls back.
        process: the identity of the process, see `backends.local_processes`; empty for one elsewhere.
    """

    kind: Kind
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: float
    plan: Mapping[str, Any]
    follows: int | None = None
    process: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: one rollout, one manual change, or one command that an operator ran beside rollouts.

    Attributes:
        ended: seconds since 1970; None while it runs, and forever if its process was killed.
        result: how it ended; empty without an end.
        follows: the entry that this one resumes or rolls back.
        plan: as `rolldeck plan --json` shows it; empty where there is no valid one.
        intact: the plan is the one that was written: its hash is right.
        problem: why it cannot be read, in words, such as a kind that only a later Rolldeck knows; then it has
            the kind "unknown", and what could be read of the rest. Empty for all others.
        process: the identity of its process; empty where Rolldeck 0.2 did not record it.
    """

    id: int
    kind: Kind | Literal["unknown"]
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: float
    ended: float | None
    result: str
    reason: str
    follows: int | None
    plan: dict[str, Any]
    intact: bool
    problem: str = ""
    process: str = ""

    @property
    def is_taken_over(self) -> bool:
        """Whether another machine has published it: of its commands it has only each `command_started`."""
        return "fence" in self.plan  # written there by a takeover only; others record it as an event


class Summary(msgspec.Struct, frozen=True, array_like=True):
    """What tells entries apart, without their plans, which may be large."""

    id: int
    kind: str
    application: str
    host: str


def read_summaries(rows: Sequence[tuple[Any, ...]]) -> list[Summary]:
    """Return what can be read of these rows."""
    found = []
    for row in rows:
        with contextlib.suppress(msgspec.ValidationError):
            found.append(msgspec.convert(row, Summary))
    return found


def read_entry(columns: tuple[Any, ...]) -> Entry:
    """Return the entry of a row with `COLUMNS`, whatever they contain."""
    try:
        row, problem = msgspec.convert(columns, _Row), ""
    except msgspec.ValidationError as error:
        row, problem = _salvage_row(columns), shorten(str(error), MAX_PROBLEM_CHARS)
    *fields, plan, written = msgspec.structs.astuple(row)
    if problem:
        fields[1] = UNKNOWN
    try:
        decoded = msgspec.json.decode(plan, type=dict[str, Any])  # of any content: what uses it looks
    except (msgspec.MsgspecError, ValueError, RecursionError):
        decoded = {}
    process = decoded.pop(_PROCESS, "")
    process = process if isinstance(process, str) else ""
    return Entry(*fields, decoded, plan_hash(plan) == written, problem, process)  # type: ignore[call-arg] # a field for each column


def _salvage_row(columns: tuple[Any, ...]) -> _Row:
    """Return what can be read of a row whose columns have values that they should not have."""

    def convert(value: Any, kind: Any, instead: Any) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return instead

    kinds = zip(_Row.__struct_fields__, columns, strict=True)
    instead = {"id": 0, "pid": 0, "began": 0.0, "ended": None, "follows": None}
    types = get_type_hints(_Row, include_extras=True)
    return _Row(*(convert(value, types[name], instead.get(name, "")) for name, value in kinds))


def encode_plan_column(header: EntryHeader) -> str:
    """Return the text of the column `plan`.

    The identity of the process is in it, too: the hash of the plan covers it, and the table stays as it is,
    so that an earlier Rolldeck does not refuse the file.
    """
    process = {_PROCESS: header.process} if header.process else {}
    return json.dumps({**header.plan, **process}, sort_keys=True)


def plan_hash(plan: str) -> str:
    """Return the hash that is stored with a plan and shows whether somebody has changed it."""
    return hashlib.sha256(plan.encode()).hexdigest()


def ending(kind: str, event: AnyEvent) -> tuple[str, str] | None:
    """Return the result and the reason with which an event ends an entry of this kind; None if it does not.

    A manual change during a rollout is written into the entry of the rollout, and does not end that.
    """
    match event:
        case RolloutEnded(result=result, reason=reason) if kind not in NO_ROLLOUTS:
            return result, reason
        case ManualChangeFinished(error=error) if kind == "change":
            return ("degraded" if error else "healthy"), error
        case OperatorCommandFinished(error=error) if kind == "command":
            return ("degraded" if error else "healthy"), error
        case _:
            return None
