"""The takeover of another machine's rollout: what finishing it requires, and its import into this journal.

The rollout is imported as a whole or not at all.
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
from orchestrator.events.json import event_fields
from orchestrator.journal.entries import Entry, EntryHeader
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES

MAX_NODES = 20_000

_Nodes = Annotated[list[Name], msgspec.Meta(max_length=MAX_NODES)]
_Size = Number | Annotated[str, msgspec.Meta(max_length=16)]  # as in `Policy.serial`


class Endpoint(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The address of a node. It has no setting for commands, since others may have written it."""

    address: Annotated[str, msgspec.Meta(max_length=255)]
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    ssh: Annotated[str, msgspec.Meta(max_length=255)]


class PublishedNode(msgspec.Struct, kw_only=True, frozen=True):
    """A node of a plan."""

    node: Name
    wanted: Annotated[str, msgspec.Meta(max_length=128)]  # the target version


class PublishedPolicy(msgspec.Struct, kw_only=True, frozen=True):
    """The part of the policy that a takeover keeps; the rest comes from the configuration there."""

    serial: _Size | Annotated[list[_Size], msgspec.Meta(min_length=1, max_length=1_000)]


class PublishedPlan(msgspec.Struct, kw_only=True, frozen=True):
    """A plan as far as `resume` needs it; in the journal it looks like a part of a whole plan."""

    batches: Annotated[list[_Nodes], msgspec.Meta(max_length=MAX_NODES)]
    nodes: Annotated[list[PublishedNode], msgspec.Meta(max_length=MAX_NODES)]
    policy: PublishedPolicy
    places: Annotated[dict[Name, Endpoint], msgspec.Meta(max_length=MAX_NODES)] = {}
    findings: Annotated[list[str], msgspec.Meta(max_length=0)] = []


class RolloutHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a rollout: what identifies it, and what another machine needs to finish it."""

    kind: Literal["upgrade", "rollback"]
    application: Name
    version: Name
    operator: Name
    host: Name
    pid: ProcessId
    began: Time
    plan: PublishedPlan
    fence: Count = 0  # fencing token of its lock

    @classmethod
    def of(cls, entry: EntryHeader, fence: int) -> "RolloutHeader":
        """Return the header of a rollout as it begins."""
        if entry.kind == "change" or entry.kind == "command":
            raise TypeError(f"an entry of kind {entry.kind} cannot be taken over")
        return cls(
            kind=entry.kind,
            application=entry.application,
            version=entry.version[:MAX_NAME_CHARS],  # it may be those of many nodes
            operator=entry.operator,
            host=entry.host,
            pid=entry.pid,
            began=entry.began,
            plan=make_published_plan(entry.plan),
            fence=fence,
        )

    @property
    def who(self) -> str:
        return f"{self.operator} (process {self.pid} on {self.host})"


def make_published_plan(plan: Mapping[str, Any]) -> PublishedPlan:
    """Return the plan of an entry of the journal, without commands and findings."""
    return PublishedPlan(
        batches=[list(batch) for batch in plan["batches"]],
        nodes=[PublishedNode(node=node["node"], wanted=node["wanted"]) for node in plan["nodes"]],
        policy=PublishedPolicy(serial=plan["policy"]["serial"]),
        places=dict(plan.get("places", {})),
    )


def import_rollout(journal: Journal, header: RolloutHeader, records: Sequence[Record]) -> bool:
    """Write a rollout into the journal in one transaction, if it is not there yet.

    Earlier versions wrote event by event, without hashes: what a kill or a full disk has left of that is
    replaced by the whole rollout, under the same number.

    Args:
        journal: is written.
        header: of the rollout.
        records: its events, in their order.

    Returns:
        Whether anything was written: it was not there, or only half of it.

    Raises:
        JournalError: it cannot be written, or its events are not in order; the journal is as it was.
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
    """A rollout that is in the journal already.

    Attributes:
        entry: its number there.
        half: whether it is only a beginning, as an earlier version has left it.
    """

    entry: int
    half: bool


def find(journal: Journal, header: RolloutHeader, records: Sequence[Record]) -> Found | None:
    """Return where a rollout is in the journal; None if it is not there. Raises JournalError."""
    for entry in journal.entries(header.application, limit=MAX_ENTRIES):
        if (entry.host, entry.pid, entry.began) == (header.host, header.pid, header.began):
            return Found(entry.id, _is_half(journal, entry, records))
    return None


def _is_half(journal: Journal, entry: Entry, records: Sequence[Record]) -> bool:
    """Return whether an entry is only the beginning of these events, as an earlier version has left it."""
    if journal.head(entry.id) or entry.ended is not None or entry.host == socket.gethostname():
        return False
    there = list(journal.records(entry.id))
    beginning = zip(there, records, strict=False)
    return len(there) < len(records) and all(
        event_fields(one) == event_fields(other) for one, other in beginning
    )
