"""An empty work log, for sessions that only display something."""

from pathlib import Path

from backends.protocols import Clock
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import FileLock
from orchestrator.session.work_log import WorkLog


def blank_work_log(clock: Clock, bus: EventBus) -> WorkLog:
    return WorkLog(
        Path("/nonexistent/journal.db"),
        365,
        "shop",
        clock,
        bus,
        Actor("ann@here"),
        lambda: FileLock.of(Path("/nonexistent"), "shop"),
    )
