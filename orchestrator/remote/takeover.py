"""Takes a rollout of another machine into this journal, to be finished here: whole, or not at all."""

import itertools
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from orchestrator.errors import JournalError
from orchestrator.events.events import Record
from orchestrator.events.json import event_fields
from orchestrator.journal.entries import Entry, EntryHeader
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES
from orchestrator.remote.header import RolloutHeader


def adopt(journal: Journal, head: RolloutHeader, records: Sequence[Record]) -> bool:
    """Write all of it in one transaction, once only.

    Earlier versions wrote event by event: what a kill or a full disk has left of that, and has no hashes
    therefore, is replaced by the whole and keeps its number.

    Args:
        journal: is written.
        head: of the rollout.
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
        there = find(journal, head, records)
        if there is not None and not there.half:
            return False
        half = there.entry if there is not None else None
        if half is not None:
            journal.discard(half)
        header = EntryHeader(
            kind=head.kind,
            application=head.application,
            version=head.version,
            operator=head.operator,
            host=head.host,
            pid=head.pid,
            began=head.began,
            plan=msgspec.to_builtins(head.plan) | {"fence": head.fence},
        )
        number = journal.begin(header, half)
        for record in records:
            journal.record(number, head.kind, record)
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


def find(journal: Journal, head: RolloutHeader, records: Sequence[Record]) -> Found | None:
    """Where a rollout stands in the journal; None where it does not. Raises JournalError."""
    for entry in journal.entries(head.application, limit=MAX_ENTRIES):
        if (entry.host, entry.pid, entry.began) == (head.host, head.pid, head.began):
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
