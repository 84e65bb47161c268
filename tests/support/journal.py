"""An empty work log, for sessions that only display something."""

from pathlib import Path

from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import FileLock
from orchestrator.session.work_log import WorkLog

NOWHERE = Path("/proc/nonexistent")  # not even root can make it


def blank_work_log(bus: EventBus, folder: Path = NOWHERE) -> WorkLog:
    return WorkLog(
        folder / "journal.db",
        365,
        "shop",
        bus,
        Actor("ann@here"),
        lambda: FileLock.of(folder, "shop"),
    )
