"""A rollout of another machine: what is needed to finish it, and how it is written into this journal.

It is written as a whole, or not at all.
"""

import itertools
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from backends.untrusted import MAX_NAME_CHARS, Count, Name, Number, ProcessId, Time
from orchestrator.errors import JournalError
from orchestrator.events.events import Record
from orchestrator.events.text import event_fields
from orchestrator.journal.entries import Entry, EntryHeader
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES

MAX_NODES = 20_000

_Nodes = Annotated[list[Name], msgspec.Meta(max_length=MAX_NODES)]
_Size = Number | Annotated[str, msgspec.Meta(max_length=16)]  # as in `Policy.serial`


class Endpoint(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where a node is, and nothing of how commands reach it: others may have written it."""

    address: Annotated[str, msgspec.Meta(max_length=255)]
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    ssh: Annotated[str, msgspec.Meta(max_length=255)]


class PublishedNode(msgspec.Struct, kw_only=True, frozen=True):
    """A node of a plan."""

    node: Name
    wanted: Annotated[str, msgspec.Meta(max_length=128)]  # the version it is to have


class PublishedPolicy(msgspec.Struct, kw_only=True, frozen=True):
    """Of how it is carried out, what is not as the configuration says at the next attempt."""

    serial: _Size | Annotated[list[_Size], msgspec.Meta(min_length=1, max_length=1_000)]


class PublishedPlan(msgspec.Struct, kw_only=True, frozen=True):
    """A plan as far as `resume` needs it; in the journal it reads as a part of a whole one."""

    batches: Annotated[list[_Nodes], msgspec.Meta(max_length=MAX_NODES)]
    nodes: Annotated[list[PublishedNode], msgspec.Meta(max_length=MAX_NODES)]
    policy: PublishedPolicy
    places: Annotated[dict[Name, Endpoint], msgspec.Meta(max_length=MAX_NODES)] = {}
    findings: Annotated[list[str], msgspec.Meta(max_length=0)] = []


class RolloutHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout is, and what somebody else needs to finish it."""

    kind: Literal["upgrade", "rollback"]
    application: Name
    version: Name
    operator: Name
    host: Name
    pid: ProcessId
    began: Time
    plan: PublishedPlan
    fence: Count = 0  # of the lock under which it is carried out

    @classmethod
    def of(cls, entry: EntryHeader, fence: int) -> "RolloutHeader":
        """Of a rollout, not of a change by hand, as it begins; `fence` is that of its lock."""
        if entry.kind == "change":
            raise TypeError("a manual change cannot be taken over")
        return cls(
            kind=entry.kind,
            application=entry.application,
            version=entry.version[:MAX_NAME_CHARS],  # it may be those of many nodes
            operator=entry.operator,
            host=entry.host,
            pid=entry.pid,
            began=entry.began,
            plan=published_plan(entry.plan),
            fence=fence,
        )

    @property
    def who(self) -> str:
        return f"{self.operator} (process {self.pid} on {self.host})"


def published_plan(plan: Mapping[str, Any]) -> PublishedPlan:
    """Of a plan as it stands in the journal, without commands and findings."""
    return PublishedPlan(
        batches=[list(batch) for batch in plan["batches"]],
        nodes=[PublishedNode(node=node["node"], wanted=node["wanted"]) for node in plan["nodes"]],
        policy=PublishedPolicy(serial=plan["policy"]["serial"]),
        places=dict(plan.get("places", {})),
    )


def adopt(journal: Journal, header: RolloutHeader, records: Sequence[Record]) -> bool:
    """Write all of it in one transaction, once only.

    Earlier versions wrote event by event: what a kill or a full disk has left of that, and has no hashes
    therefore, is replaced by the whole and keeps its number.

    Args:
        journal: is written.
        header: of the rollout.
        records: its events, in their order.

    Returns:
        Whether it was new here, or only half of it was there.

    Raises:
        JournalError: it cannot be written, or its events have no order; the journal is as it was.
    """
    for before, after in itertools.pairwise(record.seq for record in records):
        if after <= before:
            problem = f"found event {after} after event {before}, expected rising numbers"
            raise JournalError(journal.path, f"the published rollout is not taken over: {problem}")
    with journal.transaction():
        there = find(journal, header, records)
        if there is not None and not there.half:
            return False
        half = there.entry if there is not None else None
        if half is not None:
            journal.discard(half)
        entry_header = EntryHeader(
            kind=header.kind,
            application=header.application,
            version=header.version,
            operator=header.operator,
            host=header.host,
            pid=header.pid,
            began=header.began,
            plan=msgspec.to_builtins(header.plan) | {"fence": header.fence},
        )
        number = journal.begin(entry_header, half)
        for record in records:
            journal.record(number, header.kind, record)
        journal.seal(number)
    return True


@dataclass(frozen=True, slots=True)
class Found:
    """A rollout that stands in the journal already.

    Attributes:
        entry: its number there.
        half: it is only the beginning of it, as an earlier version has left it.
    """

    entry: int
    half: bool


def find(journal: Journal, header: RolloutHeader, records: Sequence[Record]) -> Found | None:
    """Where a rollout stands in the journal; None where it does not. Raises JournalError."""
    for entry in journal.entries(header.application, limit=MAX_ENTRIES):
        if (entry.host, entry.pid, entry.began) == (header.host, header.pid, header.began):
            return Found(entry.id, _half(journal, entry, records))
    return None


def _half(journal: Journal, entry: Entry, records: Sequence[Record]) -> bool:
    """Whether an entry is the beginning of these events, as an earlier version has left it."""
    if journal.head(entry.id) or entry.ended is not None or entry.host == socket.gethostname():
        return False
    there = list(journal.records(entry.id))
    beginning = zip(there, records, strict=False)
    return len(there) < len(records) and all(
        event_fields(one) == event_fields(other) for one, other in beginning
    )
