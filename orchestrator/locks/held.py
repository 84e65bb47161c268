"""The lock while it is ours: nothing is sent any more once it is somebody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from backends.protocols import Clock
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import Fenced
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import Holder, Lock

CHECK_INTERVAL_S = 0.1  # between two looks whether the lock is still ours
LAST_COMMAND_TIMEOUT_S = 5.0  # that a command which was sent before it was lost is waited for


@dataclass(slots=True)
class HeldLock:
    """One that was taken.

    Attributes:
        lock: ours.
        holder: what stands in it.
        control: of the work that goes on under it.
        notice: from whom it was taken over and how, in words; empty when nobody had it.
    """

    lock: Lock
    holder: Holder
    control: RolloutControl
    notice: str = ""

    def carry(self, control: RolloutControl) -> None:
        """From now on it is this work that goes on under it."""
        self.control = control


@asynccontextmanager
async def hold(
    lock: Lock, holder: Holder, control: RolloutControl, bus: EventBus, clock: Clock, *, break_lock: bool
) -> AsyncIterator[HeldLock]:
    """Take it, and give it back.

    Once it is somebody else's nothing is sent any more. If somebody on this machine has broken it, the work
    under it is cut too, and they get to know that: they wait for it before they look at anything.

    Raises:
        Locked: somebody else has it.
    """
    before = await lock.acquire(holder, break_lock=break_lock)
    held = HeldLock(lock, holder, control)
    if before is not None:
        held.notice = f"{'broke' if break_lock else 'took over stale'} lock of {before}"

    def refuse() -> None:
        if why := lock.fenced_reason():
            raise _fenced(why)

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

    def refuse() -> None:  # a lock that was given back says nothing of this any more
        raise _fenced(why)

    bus.before_send.append(refuse)
    held.control.end_immediately(why)
    deadline = clock.monotonic() + LAST_COMMAND_TIMEOUT_S
    while bus.commands_in_flight and clock.monotonic() < deadline:
        await clock.sleep(CHECK_INTERVAL_S / 10)
    await held.lock.release()


def _fenced(why: str) -> Fenced:
    return Fenced(f"{why}; no further commands are sent")
