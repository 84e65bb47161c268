"""The lock of all machines, with that of this machine: whose is taken over, and whose is not."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from backends.key_lock import LockValue
from backends.local_machine import SystemClock
from backends.local_processes import identify_machine, identify_process
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import Locked
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import FileLock, Holder
from orchestrator.locks.layered import LayeredLock
from tests.support.journal import blank_work_log
from tests.support.wait import until

HERE = socket.gethostname()


@dataclass
class Key:
    """Stands in for the key in Consul. Somebody else has it while it has a value."""

    value: bytes | None = None
    ours: bool = False
    fencing_token: int = 0
    doubt: str = ""
    reason: str = ""  # why nothing may be sent any more

    async def holder(self) -> LockValue | None:
        return None if self.ours or self.value is None else LockValue(self.value, self.doubt)

    async def try_acquire(self, value: bytes) -> bool:
        if self.value is not None:
            return False
        self.value, self.ours = value, True
        return True

    async def force_release(self) -> None:
        self.value = None

    def lost_reason(self) -> str:
        return ""

    def fenced_reason(self) -> str:
        return self.reason

    async def release(self) -> None:
        if self.ours:
            self.value, self.ours = None, False


def held(host: str, pid: int, machine: str | None = None, process: str = "", ago_s: float = 0) -> Holder:
    """By a process of this machine, unless another one is given; host names prove nothing.

    Args:
        host: its host name.
        pid: of the process.
        machine: on which it runs.
        process: its identity; Rolldeck 0.2 wrote none.
        ago_s: how long ago it was acquired, by the clock of now.
    """
    machine = identify_machine() if machine is None else machine
    words = {"operator": f"ann@{host}", "what": "upgrade to 1.5.0"}
    return Holder(**words, host=host, pid=pid, since=time.time() - ago_s, machine=machine, process=process)


US = held(HERE, os.getpid())
PARENT = identify_process(os.getppid())


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def lock_on(place: Path, holder: Holder) -> tuple[LayeredLock, Key]:
    """Somebody has the shared one; that of this machine is free, as it is in another user's folder."""
    key = Key(msgspec.json.encode(holder))
    return LayeredLock(FileLock.of(place, "shop"), key, SystemClock(), 30), key


@pytest.mark.parametrize(
    "there",
    [
        held(HERE, os.getppid()),
        held(HERE, os.getppid(), process=PARENT, ago_s=1e9),  # the clock was set forward since
        held(HERE, gone(), "another kernel"),
        held(HERE, gone(), ""),
    ],
)
async def test_who_may_still_run_is_left_alone(tmp_path: Path, there: Holder) -> None:
    lock, key = lock_on(tmp_path, there)
    assert await lock.holder() == there
    with pytest.raises(
        Locked, match="if that process has died, the lock can be taken over within 30 s; --break-lock"
    ):
        await lock.acquire(US)
    assert key.value == msgspec.json.encode(there)
    assert await FileLock.of(tmp_path, "shop").acquire(US) is None  # it was given back


@pytest.mark.parametrize(
    "there",
    [
        held(HERE, gone()),
        held(HERE, os.getppid(), process=f"{PARENT}0"),  # another one has its number; the clock was set back
    ],
)
async def test_who_is_gone_from_this_machine_is_taken_over(tmp_path: Path, there: Holder) -> None:
    lock, key = lock_on(tmp_path, there)
    assert await lock.holder() is None
    assert await lock.acquire(US) == there
    assert key.value == msgspec.json.encode(US)
    await lock.release()


async def test_our_own_that_could_not_be_given_back_is_taken_again(tmp_path: Path) -> None:
    lock, _ = lock_on(tmp_path, US)
    assert await lock.holder() is None
    assert await lock.acquire(US) == US
    await lock.release()


async def test_a_lock_elsewhere_is_broken_where_that_is_asked(tmp_path: Path) -> None:
    there = held("elsewhere", 1, "another kernel")
    lock, _ = lock_on(tmp_path, there)
    assert await lock.acquire(US, break_lock=True) == there
    await lock.release()


async def test_only_who_breaks_it_on_this_machine_is_waiting(tmp_path: Path) -> None:
    """A command that runs comes to its end when Consul has ended the session: nobody here waits for that."""
    lock, key = lock_on(tmp_path, held(HERE, gone()))
    await lock.acquire(US)
    key.reason = "the lock's session in Consul has ended"
    assert (lock.fenced_reason(), lock.awaited()) == (key.reason, "")
    breaker = FileLock.of(tmp_path, "shop")
    breaking = asyncio.create_task(breaker.acquire(US, break_lock=True))

    async def waits() -> bool:
        return bool(lock.awaited())

    await until(waits, 60)
    await lock.release()
    assert await breaking == US
    await breaker.release()


async def test_who_works_names_a_process_that_others_can_see(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = EventBus(clock)
    log = blank_work_log(bus, tmp_path)
    async with log.locked("upgrade to 1.5.0", RolloutControl(clock, bus)):
        holder = await FileLock.of(tmp_path, "shop").holder()
    assert holder is not None
    assert (holder.pid, holder.machine) == (os.getpid(), identify_machine())
    assert holder.process == identify_process(os.getpid()) != ""
