"""The lock of an application on all machines, and how the work under a lock ends when it is lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from backends.errors import BackendError
from backends.key_lock import KeyLock
from backends.local_processes import identify_machine, is_process_running
from backends.protocols import Clock
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import Fenced, Locked
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import FileLock, Holder, Lock, read_holder

CHECK_INTERVAL_S = 0.1  # seconds between two checks whether the lock is still ours
LAST_COMMAND_TIMEOUT_S = 5.0  # seconds to wait for a command that was sent before the lock was lost


@dataclass(slots=True)
class HeldLock:
    """A lock that was acquired.

    Attributes:
        lock: ours.
        holder: the contents of the lock.
        control: of the work that goes on under it.
        notice: from whom it was taken over and how, in words; empty if nobody held it.
    """

    lock: Lock
    holder: Holder
    control: RolloutControl
    notice: str = ""

    def carry(self, control: RolloutControl) -> None:
        """Note that this work goes on under the lock from now on."""
        self.control = control


@asynccontextmanager
async def hold(
    lock: Lock, holder: Holder, control: RolloutControl, bus: EventBus, clock: Clock, *, break_lock: bool
) -> AsyncIterator[HeldLock]:
    """Hold a lock while the block runs.

    Once somebody else holds it, nothing is sent any more. If somebody on this machine has broken it, the work
    under it is cut short too, and they are waiting for that before they read any state.

    Raises:
        Locked: somebody else holds it.
    """
    before = await lock.acquire(holder, break_lock=break_lock)
    held = HeldLock(lock, holder, control)
    if before is not None:
        held.notice = f"{'broke' if break_lock else 'took over stale'} lock of {before}"

    def refuse() -> None:
        if why := lock.fenced_reason():
            raise _make_fenced(why)

    checks = tuple(bus.before_send)
    bus.before_send.append(refuse)
    watching = asyncio.create_task(_watch(held, bus, clock), name="lock")
    try:
        yield held
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        bus.before_send[:] = checks
        await lock.release()


async def _watch(held: HeldLock, bus: EventBus, clock: Clock) -> None:
    while not (why := held.lock.awaited()):
        await clock.sleep(CHECK_INTERVAL_S)

    def refuse() -> None:  # a lock that was released does not say so any more
        raise _make_fenced(why)

    bus.before_send.append(refuse)
    held.control.end_immediately(why)
    deadline = clock.monotonic() + LAST_COMMAND_TIMEOUT_S
    while bus.commands_in_flight and clock.monotonic() < deadline:
        await clock.sleep(CHECK_INTERVAL_S / 10)
    await held.lock.release()


def _make_fenced(why: str) -> Fenced:
    return Fenced(f"{why}; no further commands are sent")


LOCK_DELAY_TIMEOUT_S = 60.0  # seconds to wait for a lock that is free and cannot be acquired yet
RETRY_INTERVAL_S = 0.5


@dataclass(slots=True)
class LayeredLock:
    """A lock in Consul above the one of this machine. Implements `orchestrator.locks.file.Lock`.

    Attributes:
        local: excludes others on this machine, and knows at once whether they are gone.
        shared: excludes other machines.
        clock: the time.
        ttl: seconds within which a holder that has died loses the lock.
        alone: whether the local lock is enough where Consul cannot be asked.
    """

    local: FileLock
    shared: KeyLock
    clock: Clock
    ttl: int
    alone: bool = False
    _shared: bool = False  # the shared one is ours

    async def acquire(self, holder: Holder, *, break_lock: bool = False) -> Holder | None:
        """See `Lock.acquire`; it waits for the end of a lock's delay."""
        before = await self.local.acquire(holder, break_lock=break_lock)
        try:
            return await self._share(holder, break_lock) or before
        except BackendError as error:
            if self.alone:
                return before
            await self.local.release()
            raise Locked(f"cannot check whether another machine has the lock: {error}") from error
        except BaseException:
            await self.local.release()
            raise

    async def _share(self, holder: Holder, break_lock: bool) -> Holder | None:
        broken: Holder | None = None
        value = msgspec.json.encode(holder)
        deadline = self.clock.monotonic() + LOCK_DELAY_TIMEOUT_S
        while not await self.shared.try_acquire(value):
            found = await self.shared.holder()
            if found is None:
                if self.clock.monotonic() > deadline:
                    raise Locked("the lock in Consul is free but cannot be acquired (lock-delay?)")
                await self.clock.sleep(RETRY_INTERVAL_S)
                continue
            there = read_holder(found.value, found.doubt)
            if not break_lock and not _is_gone(there):
                raise self.refusal(there)
            await self.shared.force_release()
            broken = there
        self._shared = True
        return broken

    async def holder(self) -> Holder | None:
        """See `Lock.holder`."""
        try:
            found = await self.shared.holder()
        except BackendError:
            return await self.local.holder()
        there = read_holder(found.value, found.doubt) if found is not None else None
        if there is None or _is_gone(there):
            return await self.local.holder()
        return there

    def refusal(self, holder: Holder) -> Locked:
        """See `Lock.refusal`."""
        return Locked(
            f"{holder}; if that process has died, the lock can be taken over within {self.ttl} s;"
            " --break-lock breaks it at once"
        )

    @property
    def fencing_token(self) -> int:
        """See `Lock.fencing_token`."""
        return self.shared.fencing_token if self._shared else 0

    def lost_reason(self) -> str:
        """See `Lock.lost_reason`."""
        return (self.shared.lost_reason() if self._shared else "") or self.local.lost_reason()

    def fenced_reason(self) -> str:
        """See `Lock.fenced_reason`."""
        return (self.shared.fenced_reason() if self._shared else "") or self.local.fenced_reason()

    def awaited(self) -> str:
        """See `Lock.awaited`. On another machine nobody waits: a command in progress here completes."""
        return self.local.awaited()

    async def release(self) -> None:
        """See `Lock.release`."""
        self._shared = False
        await self.shared.release()
        await self.local.release()


def _is_gone(holder: Holder) -> bool:
    """Return whether the holder is a process of this machine that is gone, or this process itself.

    Our own process is named there only if Consul did not answer when we released the lock. The content of an
    unverified holder may be anything, and is not believed.
    """
    if holder.doubt or not holder.machine or holder.machine != identify_machine():
        return False
    return holder.pid == os.getpid() or not is_process_running(holder.pid, holder.process, holder.since)
