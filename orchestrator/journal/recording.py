"""The recording of a piece of work: an entry of the journal that every event is written into."""

import contextlib
from collections.abc import Iterator

from orchestrator.errors import JournalError
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import Record
from orchestrator.journal.entries import EntryHeader
from orchestrator.journal.store import Journal


@contextlib.contextmanager
def recording(journal: Journal, bus: EventBus, header: EntryHeader) -> Iterator[int]:
    """Begin an entry, write every event into it, and end it with the last one. Yields its id.

    Args:
        journal: is written.
        bus: carries the events.
        header: of the entry.

    Raises:
        JournalError: the entry cannot be written; nothing has been done then. Later, `EventBus.emit`
            raises it.
    """
    entry = journal.begin(header)

    def keep(record: Record) -> None:
        bus.journal_head = journal.record(entry, header.kind, record)

    bus.journal_head = journal.head(entry)
    unsubscribe = bus.subscribe(keep, first=True)  # what anybody was shown is on the disk
    try:
        yield entry
    finally:
        unsubscribe()
        bus.journal_head = ""
        with contextlib.suppress(JournalError):  # what was written remains; the next entry seals it
            journal.seal(entry)


@contextlib.contextmanager
def appending(journal: Journal, bus: EventBus, entry: int) -> Iterator[None]:
    """Write every event within into an entry that has ended, and seal it again.

    Raises:
        JournalError: see `recording`.
    """

    def keep(record: Record) -> None:
        bus.journal_head = journal.append(entry, record)

    unsubscribe = bus.subscribe(keep, first=True)
    try:
        yield
    finally:
        unsubscribe()
        bus.journal_head = ""
        with contextlib.suppress(JournalError):
            journal.seal(entry)
