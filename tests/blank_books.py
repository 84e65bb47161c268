"""Books in which nothing stands, for sessions that only show something."""

from pathlib import Path

from backends.base import Clock
from console.books import Books
from orchestrator.actor import Actor
from orchestrator.bus import Bus
from orchestrator.lock import LocalLock


def blank_books(clock: Clock, bus: Bus) -> Books:
    return Books(
        Path("/nonexistent/journal.db"),
        365,
        "shop",
        clock,
        bus,
        Actor("ann@here"),
        lambda: LocalLock.of(Path("/nonexistent"), "shop"),
    )
