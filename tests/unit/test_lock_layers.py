"""Both layers of a lock, and the work under it, when Consul or somebody else interferes."""

import asyncio
import os
import socket
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from backends.errors import Unreachable
from backends.key_lock import LockValue
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import Fenced, Locked
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import FileLock, Holder
from orchestrator.locks.layered import (
    LAST_COMMAND_TIMEOUT_S,
    LOCK_DELAY_TIMEOUT_S,
    HeldLock,
    LayeredLock,
    hold,
)
from tests.support.virtual_time import VirtualClock


def holder(operator: str) -> Holder:
    return Holder(
        operator=operator,
        host=socket.gethostname(),
        pid=os.getpid(),
        since=time.time(),
        what="upgrade to 1.5.0",
        machine="another kernel",
    )


US, BOB = holder("me@here"), holder("bob@there")
NO_ROUTE = Unreachable("Consul", "no route")


@dataclass
class SharedKey:
    """Stands in for the key in Consul."""

    value: bytes | None = None  # somebody else's
    error: Exception | None = None
    refusals: int = 0  # attempts that fail although it is free, during a lock delay
    lost: str = ""
    fenced: str = ""
    fencing_token: int = 5
    done: list[str] = field(default_factory=list)

    async def holder(self) -> LockValue | None:
        if self.error is not None:
            raise self.error
        return None if self.value is None else LockValue(self.value, "")

    async def try_acquire(self, value: bytes) -> bool:
        if self.error is not None:
            raise self.error
        if self.value is not None or self.refusals:
            self.refusals -= bool(self.refusals)
            return False
        self.done.append("acquired")
        return True

    async def force_release(self) -> None:
        self.value = None

    def lost_reason(self) -> str:
        return self.lost

    def fenced_reason(self) -> str:
        return self.fenced

    async def release(self) -> None:
        self.done.append("released")


def layered(folder: Path, key: SharedKey, *, alone: bool = False) -> LayeredLock:
    return LayeredLock(FileLock.of(folder, "shop"), key, VirtualClock(), 30, alone)


async def is_free(folder: Path) -> bool:
    """Return whether the lock of this machine is free."""
    other = FileLock.of(folder, "shop")
    try:
        await other.acquire(US)
    except Locked:
        return False
    await other.release()
    return True


@pytest.mark.virtual_time
async def test_both_layers_are_released(tmp_path: Path) -> None:
    key = SharedKey()
    lock = layered(tmp_path, key)
    assert await lock.acquire(US) is None
    assert (lock.fencing_token, await is_free(tmp_path)) == (5, False)
    await lock.release()
    assert key.done == ["acquired", "released"]
    assert (lock.fencing_token, await is_free(tmp_path)) == (0, True)


@pytest.mark.virtual_time
async def test_what_consul_says_of_a_lock_counts_only_while_it_is_ours(tmp_path: Path) -> None:
    key = SharedKey(lost="the session has ended", fenced="the session ended long ago")
    lock = layered(tmp_path, key)
    local = FileLock.of(tmp_path, "shop")
    of_none = (local.lost_reason(), local.fenced_reason(), 0)
    assert (lock.lost_reason(), lock.fenced_reason(), lock.fencing_token) == of_none
    await lock.acquire(US)
    assert (lock.lost_reason(), lock.fenced_reason()) == (key.lost, key.fenced)
    await lock.release()
    assert (lock.lost_reason(), lock.fenced_reason(), lock.fencing_token) == of_none


@pytest.mark.virtual_time
async def test_without_consul_nothing_is_locked_unless_the_local_lock_is_enough(tmp_path: Path) -> None:
    with pytest.raises(Locked, match="cannot check whether another machine has the lock: Consul: no route"):
        await layered(tmp_path, SharedKey(error=NO_ROUTE)).acquire(US)
    assert await is_free(tmp_path)
    alone = layered(tmp_path, SharedKey(error=NO_ROUTE, lost="x", fenced="y"), alone=True)
    assert await alone.acquire(US) is None
    assert (await is_free(tmp_path), alone.fencing_token) == (False, 0)
    assert (alone.lost_reason(), alone.fenced_reason()) == ("", "")
    await alone.release()


@pytest.mark.virtual_time
async def test_without_consul_the_local_lock_says_who_holds_it(tmp_path: Path) -> None:
    local = FileLock.of(tmp_path, "shop")
    await local.acquire(BOB)
    found = await layered(tmp_path, SharedKey(error=NO_ROUTE)).holder()
    assert found is not None
    assert found.operator == "bob@there"
    await local.release()
    assert await layered(tmp_path, SharedKey()).holder() is None


@pytest.mark.virtual_time
@pytest.mark.parametrize("alone", [True, False])
async def test_a_holder_that_died_on_this_machine_is_named_whatever_consul_knows(
    tmp_path: Path, alone: bool
) -> None:
    """Its rollout is unfinished, and whoever takes over is told whose it was."""
    lock = layered(tmp_path, SharedKey(error=NO_ROUTE if alone else None), alone=alone)
    lock.local.path.write_bytes(msgspec.json.encode(BOB))
    lock.local.path.chmod(0o600)
    assert await lock.acquire(US) == BOB
    await lock.release()


@pytest.mark.virtual_time
async def test_a_free_lock_in_its_delay_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    lock = layered(tmp_path, SharedKey(refusals=20))
    assert await lock.acquire(US) is None
    assert loop.time() == pytest.approx(10)
    await lock.release()
    with pytest.raises(Locked, match="is free but cannot be acquired"):
        await layered(tmp_path, SharedKey(refusals=10_000)).acquire(US)
    assert loop.time() == pytest.approx(10 + LOCK_DELAY_TIMEOUT_S, abs=1)
    assert await is_free(tmp_path)


@pytest.mark.virtual_time
async def test_a_wait_that_is_cancelled_leaves_nothing_locked(tmp_path: Path) -> None:
    acquiring = asyncio.create_task(layered(tmp_path, SharedKey(refusals=10_000)).acquire(US))
    await asyncio.sleep(5)
    acquiring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    assert await is_free(tmp_path)


# -- the work under a lock ------------------------------------------------------------------------


@dataclass
class OneLock:
    """Implements `Lock`: says what a test wants it to say."""

    before: Holder | None = None
    fenced: str = ""
    broken: str = ""  # why somebody on this machine waits
    released: list[float] = field(default_factory=list)
    fencing_token: int = 0

    async def acquire(self, holder: Holder, *, break_lock: bool = False) -> Holder | None:
        return self.before

    async def holder(self) -> Holder | None:
        return self.before

    def refusal(self, holder: Holder) -> Locked:
        return Locked(str(holder))

    def lost_reason(self) -> str:
        return self.broken

    def fenced_reason(self) -> str:
        return self.fenced

    def awaited(self) -> str:
        return self.broken

    async def release(self) -> None:
        self.released.append(asyncio.get_running_loop().time())


class Work:
    """Work under a lock, which the test ends."""

    def __init__(self, lock: OneLock) -> None:
        self.lock = lock
        self.clock = VirtualClock()
        self.bus = EventBus(self.clock)
        self.control = RolloutControl(self.clock, self.bus)

    async def hold(self, stack: AsyncExitStack, *, break_lock: bool = False) -> HeldLock:
        held = hold(self.lock, US, self.control, self.bus, self.clock, break_lock=break_lock)
        return await stack.enter_async_context(held)

    def send(self) -> None:
        for check in self.bus.before_send:
            check()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("before", "break_lock", "notice"),
    [(None, False, ""), (None, True, ""), (BOB, False, "took over stale lock"), (BOB, True, "broke lock")],
)
async def test_from_whom_a_lock_was_taken_is_said(
    before: Holder | None, break_lock: bool, notice: str
) -> None:
    work = Work(OneLock(before))
    async with AsyncExitStack() as stack:
        held = await work.hold(stack, break_lock=break_lock)
        assert held.notice == (f"{notice} of {BOB}" if notice else "")
    assert len(work.lock.released) == 1


@pytest.mark.virtual_time
async def test_a_fenced_lock_lets_nothing_be_sent_while_it_is_held() -> None:
    work = Work(OneLock())
    before = [lambda: None]
    work.bus.before_send[:] = before
    async with AsyncExitStack() as stack:
        await work.hold(stack)
        work.send()
        work.lock.fenced = "the session has ended"
        with pytest.raises(Fenced, match="the session has ended; no further commands are sent"):
            work.send()
    assert work.bus.before_send == before
    work.send()


@pytest.mark.virtual_time
async def test_a_broken_lock_ends_the_work_and_is_given_up_at_once() -> None:
    """Whoever has broken it waits for that, and reads the state of the servers then."""
    work = Work(OneLock())
    ended: list[str] = []
    async with AsyncExitStack() as stack:
        held = await work.hold(stack)
        another = RolloutControl(work.clock, work.bus)
        held.carry(another)
        another.on_immediate_abort(lambda: ended.append("cancelled"))
        await asyncio.sleep(1.05)
        assert (ended, work.lock.released) == ([], [])
        work.lock.broken = "bob@there has broken the lock"
        await asyncio.sleep(1)
        assert ended == ["cancelled"]
        assert (another.forbidden, work.control.forbidden) == (work.lock.broken, "")
        assert work.lock.released == [pytest.approx(1.1)]
        work.lock.broken = ""  # a lock that was released does not say so any more
        with pytest.raises(Fenced, match="bob@there has broken the lock"):
            work.send()


@pytest.mark.virtual_time
@pytest.mark.parametrize(("ends", "released"), [(2.0, 2.0), (1000.0, 0.1 + LAST_COMMAND_TIMEOUT_S)])
async def test_a_command_that_was_sent_is_waited_for_and_not_for_ever(ends: float, released: float) -> None:
    work = Work(OneLock(broken="bob@there has broken the lock"))
    work.bus.commands_in_flight = 1
    asyncio.get_running_loop().call_later(ends, lambda: setattr(work.bus, "commands_in_flight", 0))
    async with AsyncExitStack() as stack:
        await work.hold(stack)
        await asyncio.sleep(20)
        assert work.lock.released == [pytest.approx(released, abs=0.15)]
