"""The work log of one application: its journal, and the lock under which work is done."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from backends.local_processes import identify_machine, identify_process
from backends.protocols import Clock
from orchestrator.beside import running_beside
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.rollout_context import Published, already_published
from orchestrator.errors import JournalError
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import LockTaken, NodeNote, Record
from orchestrator.journal.entries import EntryHeader, Kind
from orchestrator.journal.recording import appending, recording
from orchestrator.journal.store import Journal
from orchestrator.locks.file import Holder, Lock
from orchestrator.locks.layered import HeldLock, hold
from orchestrator.remote.takeover import RolloutHeader, import_rollout
from orchestrator.session.earlier_work import EarlierWork

DAY_S = 86_400.0  # seconds
CHECK_INTERVAL_S = 1.0  # seconds between two checks whether the journal is in its place

Share = Callable[[Lock, RolloutHeader, RolloutControl], AbstractAsyncContextManager[Published]]


class WorkLog(EarlierWork):
    """Opens the journal for each piece of work, and the lock with it; it also reads what was done earlier.

    Args:
        path: of the journal.
        retention_days: after these, entries that ended healthy are removed.
        application: the application.
        bus: carries the events to write, and has the time.
        actor: who works here.
        lock: makes the application's lock, for one piece of work.
        share: publishes a rollout while it runs under that lock; None to publish nothing.
        version_regex: see `HealthKind`.
    """

    def __init__(
        self,
        path: Path,
        retention_days: int,
        application: str,
        bus: EventBus,
        actor: Actor,
        lock: Callable[[], Lock],
        share: Share | None = None,
        version_regex: str = "",
    ) -> None:
        super().__init__(path, application, version_regex)
        self._keep = retention_days * DAY_S
        self._bus = bus
        self._clock = bus.clock
        self.actor = actor
        self._lock = lock
        self._share: Share = share or (lambda *_: nullcontext(already_published))
        self._held: HeldLock | None = None
        self._published: Published = already_published
        self._writing = False

    def lost(self) -> str:
        """Say why the lock of the work is not ours any more; empty while it is."""
        return self._held.lock.lost_reason() if self._held is not None else ""

    async def published(self) -> None:
        """Wait, for a limited time, until others can see everything so far of the running rollout."""
        await self._published()

    def import_remote(self, header: RolloutHeader, records: Sequence[Record]) -> bool:
        """Write a rollout of another machine into this journal, so that it can be resumed; only once.

        Returns:
            Whether anything was written: it was not here, or only half of it.

        Raises:
            JournalError: it could not be written; nothing of it was.
        """
        with Journal(self._path) as journal:
            return import_rollout(journal, header, records)

    async def holder(self) -> Holder | None:
        """Return who else works on this application; None when nobody does."""
        return None if self._held else await self._lock().holder()

    async def ensure_unlocked(self, break_lock: bool = False) -> None:
        """Raise Locked if somebody else works on this application; called before anything is read."""
        holder = None if break_lock else await self.holder()
        if holder is not None:
            raise self._lock().refusal(holder)

    @asynccontextmanager
    async def locked(
        self, what: str, control: RolloutControl, *, break_lock: bool = False
    ) -> AsyncIterator[bool]:
        """Hold the lock; yields whether it was acquired now: within other work of ours it is held already.

        Args:
            what: the work in words, for others who want the lock.
            control: of the work, which is ended once the lock is lost.
            break_lock: break the lock if somebody else holds it.

        Raises:
            Locked: somebody else works on this application; no changes made.
        """
        if self._held is not None:
            yield False
            return
        holder = Holder(
            operator=self.actor.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            since=self._clock.time(),
            what=what,
            machine=identify_machine(),
            process=identify_process(os.getpid()),
        )
        lock = hold(self._lock(), holder, control, self._bus, self._clock, break_lock=break_lock)
        async with lock as self._held:
            try:
                yield True
            finally:
                self._held = None

    @asynccontextmanager
    async def begin(
        self,
        kind: Kind,
        what: str,
        control: RolloutControl,
        *,
        version: str = "",
        plan: dict[str, Any],
        follows: int | None = None,
    ) -> AsyncIterator[int]:
        """Hold the lock and write an entry; yields the entry's id, or 0 within other work of ours.

        Raises:
            Locked: somebody else works on this application; no changes made.
            JournalError: the entry cannot be written, so nothing is done.
        """
        if self._writing:  # a manual change during our own rollout goes into the rollout's entry
            yield 0
            return
        async with self.locked(what, control):
            self._writing = True
            try:
                async with self._written(kind, control, version, plan, follows) as entry:
                    yield entry
            finally:
                self._writing = False

    @contextlib.contextmanager
    def continued(self, entry: int) -> Iterator[None]:
        """Write the events within at the end of an entry that has ended: what its process does next.

        Raises:
            JournalError: it cannot be written.
        """
        with Journal(self._path) as journal, appending(journal, self._bus, entry):
            yield

    @contextlib.contextmanager
    def record_command(self, plan: dict[str, Any]) -> Iterator[EventBus]:
        """Write an entry for what an operator runs beside rollouts: without the lock, whoever holds it.

        Args:
            plan: its `title`, `nodes`, `where` and `command`.

        Yields:
            A bus of its own, whose events are written.

        Raises:
            JournalError: the entry cannot be written.
        """
        bus = EventBus(self._clock)
        header = self._make_header("command", "", plan)
        with Journal(self._path) as journal, recording(journal, bus, header):
            yield bus

    def _make_header(
        self, kind: Kind, version: str, plan: dict[str, Any], follows: int | None = None
    ) -> EntryHeader:
        return EntryHeader(
            kind=kind,
            application=self._application,
            version=version,
            operator=self.actor.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            process=identify_process(os.getpid()),
            began=self._clock.time(),
            plan=plan,
            follows=follows,
        )

    @asynccontextmanager
    async def _written(
        self, kind: Kind, control: RolloutControl, version: str, plan: dict[str, Any], follows: int | None
    ) -> AsyncIterator[int]:
        held = self._held
        if held is None:
            raise RuntimeError("an entry is written under the lock only")
        held.carry(control)
        header = self._make_header(kind, version, plan, follows)
        with Journal(self._path) as journal:
            journal.prune(header.began - self._keep)
            with recording(journal, self._bus, header) as entry:
                if held.lock.fencing_token:
                    taken = LockTaken(
                        operator=self.actor.name, fence=held.lock.fencing_token, **self.actor.origin
                    )
                    self._bus.emit(taken)
                if held.notice:
                    self._bus.emit(NodeNote(node="", text=held.notice))
                if kind == "change":
                    yield entry
                    return
                shared = RolloutHeader.of(header, held.lock.fencing_token)
                async with (
                    running_beside({"journal": partial(_watch, journal, control, self._clock)}),
                    self._share(held.lock, shared, control) as self._published,
                ):
                    try:
                        yield entry
                    finally:
                        self._published = already_published


async def _watch(journal: Journal, control: RolloutControl, clock: Clock) -> None:
    """End a rollout that waits for an answer once its journal is gone: no other process sees the question."""
    try:
        while True:
            await clock.sleep(CHECK_INTERVAL_S)
            journal.check_in_place()
    except JournalError as error:
        control.fail(error)
