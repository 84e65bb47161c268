"""One rollout or change while it happens: every event goes into its entry of the journal."""

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

from orchestrator.bus import Bus
from orchestrator.errors import JournalError
from orchestrator.events import Record
from orchestrator.journal.entries import Kind
from orchestrator.journal.store import Journal


@contextlib.contextmanager
def recording(
    journal: Journal,
    bus: Bus,
    at: float,
    *,
    kind: Kind,
    application: str,
    version: str,
    operator: str,
    plan: dict[str, Any],
    follows: int | None = None,
) -> Iterator[int]:
    """Begin an entry, write every event into it, and end it with the last one. Yields its id.

    Args:
        journal: is written.
        bus: carries the events.
        at: when it begins, in seconds since 1970; who takes it over from another machine knows it by that.
        kind, application, version, operator, plan, follows: see `Journal.begin`.

    Raises:
        JournalError: the entry cannot be written; nothing has been done then. Later it comes from
            whoever emits an event.
    """
    entry = journal.begin(
        kind,
        application=application,
        version=version,
        operator=operator,
        host=socket.gethostname(),
        pid=os.getpid(),
        at=at,
        plan=plan,
        follows=follows,
    )

    def keep(record: Record) -> None:
        bus.journal_head = journal.record(entry, kind, record)

    bus.journal_head = journal.head(entry)
    unsubscribe = bus.subscribe(keep, first=True)  # what anybody was shown is on the disk
    try:
        yield entry
    finally:
        unsubscribe()
        bus.journal_head = ""
        with contextlib.suppress(JournalError):  # what was written stands; the next entry seals it
            journal.seal(entry)
