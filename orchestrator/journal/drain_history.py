"""How sessions ended in earlier drains of an application, from which later drains are forecast."""

from orchestrator.events.drains import Drained
from orchestrator.journal.store import Journal
from orchestrator.planning.drain_forecast import ResidualCurve

MAX_ROLLOUTS = 20  # newest ones that are read: a service changes
MAX_DRAINS = 32


def read_earlier_drains(journal: Journal, application: str) -> tuple[ResidualCurve, ...]:
    """Return the curves of the newest drains, except those to which persistence brought new sessions.

    Raises:
        JournalError: it cannot be read.
    """
    found: list[ResidualCurve] = []
    for entry in journal.entries(application, limit=MAX_ROLLOUTS):
        if entry.kind == "change":
            continue
        for record in journal.records(entry.id, "drained"):
            event = record.event
            if isinstance(event, Drained) and not event.arrived and len(event.seconds) == len(event.left):
                found.append(ResidualCurve(tuple(event.seconds), tuple(event.left)))
        if len(found) >= MAX_DRAINS:
            break
    return tuple(found[:MAX_DRAINS])
