"""The reader of the journal that follows the rollouts of other processes, for all applications at once."""

import asyncio
import os
import socket
from pathlib import Path

from backends.local_files import describe_write_obstacle
from backends.protocols import Clock
from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS
from orchestrator.errors import JournalError
from orchestrator.events.actor import Actor
from orchestrator.journal.entries import Summary
from orchestrator.journal.entry_status import is_running
from orchestrator.journal.store import Journal
from orchestrator.local.control_socket import socket_path
from orchestrator.local.rollout import LocalRollout

ACTIVE_INTERVAL_S = 0.1  # between two looks at the journal while a rollout runs
IDLE_INTERVAL_S = 1.0
PROCESS_INTERVAL_S = 1.0  # between two looks at the processes of running rollouts
MAX_RECORDS_AT_ONCE = 2_000  # read before other tasks have their turn
MAX_ENTRIES = 200  # newest entries without an end that are searched for running rollouts at the start


class JournalFollower:
    """Reads what other processes write into the journal, each event once.

    Args:
        path: of the journal.
        clock: the time.
        actor: who sends requests to the rollouts.

    Attributes:
        actor: as it was given.
    """

    def __init__(self, path: Path, clock: Clock, actor: Actor) -> None:
        self._path = path
        self._clock = clock
        self.actor = actor
        self._rollouts: dict[str, LocalRollout] = {}
        self._journal: Journal | None = None
        self._file: tuple[int, int] | None = None  # device and inode of the journal that is open
        self._version = -1  # of its content, when it was read last
        self._newest = 0  # the id of the newest entry that was seen
        self._looked_at = -PROCESS_INTERVAL_S  # when processes were looked at last

    def rollout(self, application: str) -> LocalRollout:
        """Return what follows the rollouts of an application; always the same."""
        found = self._rollouts.get(application)
        if found is None:
            path = socket_path(self._path, application)
            found = self._rollouts[application] = LocalRollout(application, path, self.actor)
            self._version = -1  # it may run already
        return found

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                await self.look()
                active = any(rollout.running for rollout in self._rollouts.values())
                await self._clock.sleep(ACTIVE_INTERVAL_S if active else IDLE_INTERVAL_S)
        finally:
            self.close()

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def look(self) -> None:
        """Read what is new, in parts, so that a long rollout does not stop the screen."""
        try:
            while self._read():  # noqa: ASYNC110 - others have their turn meanwhile
                await asyncio.sleep(0)
        except JournalError as error:
            self._fail(str(error))
        except Exception as error:  # after a defect an old state must not pass for a live one
            self._fail(f"internal error: {error!r}")
        else:
            for rollout in self._rollouts.values():
                rollout.unread = ""
        now = self._clock.monotonic()
        if now - self._looked_at >= PROCESS_INTERVAL_S or self._has_ended():
            self._looked_at = now
            for rollout in self._rollouts.values():
                rollout.look_at_process()
                rollout.blocked = self._describe_obstacle() if rollout.interrupted else ""

    def _describe_obstacle(self) -> str:
        if self._file is None:
            return f"its journal {self._path} is missing"
        return describe_write_obstacle(self._path)

    def _fail(self, problem: str) -> None:
        """Note why nothing is read; the journal is opened again at the next look."""
        self.close()
        for rollout in self._rollouts.values():
            rollout.unread = shorten(problem, MAX_SHOWN_CHARS)

    def _has_ended(self) -> bool:
        """Return whether a process has written an end, so that it matters now whether it goes on."""
        return any(rollout.running and rollout.state.ended is not None for rollout in self._rollouts.values())

    def _read(self) -> bool:
        """Read a part of what is new; returns whether there is more."""
        journal = self._open()
        if journal is None:
            return False
        version = journal.version()
        if version == self._version and not any(rollout.reading for rollout in self._rollouts.values()):
            return False
        self._version = version
        self._find_begun(journal)
        return any([self._read_events(journal, rollout) for rollout in self._rollouts.values()])

    def _open(self) -> Journal | None:
        """Return the journal, opened again if another file has its name; None while there is none."""
        try:
            info = os.stat(self._path)
        except FileNotFoundError:
            self.close()
            self._file = None
            return None
        except OSError as error:
            raise JournalError(self._path, error.strerror or str(error)) from error
        file = info.st_dev, info.st_ino
        if self._journal is None or file != self._file:
            self.close()
            journal = Journal(self._path, read_only=True, check=False)
            if not journal.is_there:
                journal.close()
                return None
            if file != self._file:  # numbers begin anew in it
                self._newest = 0
                for rollout in self._rollouts.values():
                    rollout.forget()
            self._journal, self._file, self._version = journal, file, -1
        return self._journal

    def _find_begun(self, journal: Journal) -> None:
        """Follow the newest rollout of each application that has begun since, or that runs at the start."""
        searched = [rollout.searched for rollout in self._rollouts.values()]
        found = journal.summaries(self._newest, limit=-1 if any(searched) else 1)
        if not all(searched):
            found += journal.summaries(limit=MAX_ENTRIES, without_end=True)
        for summary in sorted(found, key=lambda summary: summary.id):
            self._newest = max(self._newest, summary.id)
            rollout = self._rollouts.get(summary.application)
            if rollout is None or not self._may_be_followed(summary, rollout):
                continue
            entry = journal.entry(summary.id)
            if entry is None or entry.problem:
                continue
            if not rollout.searched and (entry.ended is not None or not is_running(entry)):
                continue
            self._finish(journal, rollout)
            rollout.begin(entry)
        for rollout in self._rollouts.values():
            rollout.searched = True

    @staticmethod
    def _may_be_followed(summary: Summary, rollout: LocalRollout) -> bool:
        if summary.kind == "change" or summary.host != socket.gethostname():
            return False
        return rollout.entry is None or summary.id > rollout.entry.id

    def _finish(self, journal: Journal, rollout: LocalRollout) -> None:
        """Read the rest of a rollout that another one follows."""
        while self._read_events(journal, rollout):
            pass

    @staticmethod
    def _read_events(journal: Journal, rollout: LocalRollout) -> bool:
        """Read a part of the events of a rollout; returns whether there may be more."""
        if rollout.entry is None:
            return False
        after = rollout.last_seq
        records = list(journal.records(rollout.entry.id, after=after, limit=MAX_RECORDS_AT_ONCE))
        rollout.take(records)
        rollout.reading = len(records) == MAX_RECORDS_AT_ONCE
        return rollout.reading
