"""A rollout as others are to see it: its head and what happened, small enough for one key of a store."""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from orchestrator import events
from orchestrator.events import SCHEMA, AnyEvent, Record
from orchestrator.journal.store import Kind

MOST = 400_000  # bytes; Consul takes 512 kB
LONGEST = 2_000  # characters of one text; the journal of whoever works has all of it

# Commands and replies stay in the journal of whoever works; of what is waited for only the last word counts.
_PRIVATE = (events.Sending, events.Sent)
_DISPENSABLE = (events.Noted, events.HookFired, events.Prefetched, events.Traffic)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout is, and what somebody else needs to finish it."""

    kind: Kind
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: float  # seconds since 1970
    plan: dict[str, Any]  # as far as `resume` needs it
    fence: int = 0  # of the lock under which it is carried out

    @property
    def who(self) -> str:
        return f"{self.operator} (process {self.pid} on {self.host})"


def head_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """Of a plan as it stands in the journal, without commands and findings."""
    return {
        "batches": plan["batches"],
        "nodes": [{"node": each["node"], "wanted": each["wanted"]} for each in plan["nodes"]],
        "policy": {"serial": plan["policy"]["serial"]},
        "places": plan.get("places", {}),
        "findings": [],
    }


class _Line(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    at: float
    event: AnyEvent


class _Whole(msgspec.Struct, frozen=True, kw_only=True):
    schema: int
    head: Head
    lines: list[_Line]


def pack(head: Head, records: Sequence[Record]) -> bytes:
    """The value of the key. What would be too long loses what can be spared, then all but the essence."""
    packed = b""
    for spare in ((), _DISPENSABLE, (*_DISPENSABLE, events.StepDone, events.BatchStarted)):
        kept = [
            each for each in _without_old_waits(records) if not isinstance(each.event, (*_PRIVATE, *spare))
        ]
        lines = [_Line(each.seq, each.at, _cut(each.event)) for each in kept]
        packed = zlib.compress(msgspec.json.encode(_Whole(schema=SCHEMA, head=head, lines=lines)))
        if len(packed) <= MOST:
            break
    return packed


def _cut(event: AnyEvent) -> AnyEvent:
    """Without what would keep all the rest from being published: a reason may have any length."""
    texts = {name: getattr(event, name) for name in event.__struct_fields__}
    long = {k: f"{v[:LONGEST]}…" for k, v in texts.items() if isinstance(v, str) and len(v) > LONGEST}
    return msgspec.structs.replace(event, **long) if long else event


def unpack(value: bytes) -> tuple[Head, list[Record]]:
    """The other way.

    Raises:
        ValueError: it is no such value, or from a newer Rolldeck.
    """
    try:
        unzipped = zlib.decompressobj().decompress(value, 64 * 1024 * 1024)  # whoever wrote it is not trusted
        whole = msgspec.json.decode(unzipped, type=_Whole)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"cannot be understood: {error}") from None
    if whole.schema != SCHEMA:
        raise ValueError(f"is of schema {whole.schema}, and this Rolldeck reads {SCHEMA}")
    return whole.head, [Record(each.seq, each.at, each.event) for each in whole.lines]


def _without_old_waits(records: Sequence[Record]) -> list[Record]:
    last: dict[str, int] = {}
    for each in records:
        if isinstance(each.event, events.Waiting):
            last[each.event.node] = each.seq
    return [
        each
        for each in records
        if not isinstance(each.event, events.Waiting) or last[each.event.node] == each.seq
    ]
