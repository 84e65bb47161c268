"""The lock of one machine: who has it, who had it, and who has lost it."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from orchestrator.errors import Locked
from orchestrator.locks.file import FileLock, Holder
from tests.support.wait import until

HERE = socket.gethostname()
ANN = Holder(operator="ann@here", host=HERE, pid=1, since=0.0, what="upgrade to 1.5.0")
BOB = Holder(operator="bob@here", host=HERE, pid=2, since=1.0, what="drain web1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


async def test_the_second_is_refused_with_the_holders_name_until_it_is_given_back(folder: Path) -> None:
    first, second = FileLock.of(folder, "shop"), FileLock.of(folder, "shop")
    assert await first.acquire(ANN) is None
    assert await second.holder() == ANN
    with pytest.raises(Locked, match=r"ann@here \(process 1 on .*: upgrade to 1\.5\.0; --break-lock"):
        await second.acquire(BOB)
    assert await FileLock.of(folder, "other").acquire(BOB) is None
    await first.release()
    assert await second.holder() is None
    assert await second.acquire(BOB) is None
    assert first.lost_reason() == "the lock was released"


async def test_it_is_given_back_though_its_disk_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ext4 does that has become read-only after an error: a rollout must still say what is out."""
    first = FileLock.of(folder, "shop")
    await first.acquire(ANN)

    def fail(*_: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        await first.release()
    assert first.lost_reason() == "the lock was released"
    assert await FileLock.of(folder, "shop").acquire(BOB) == ANN  # as if it had been killed


async def until_fenced(lock: FileLock) -> None:
    async def fenced() -> bool:
        return bool(lock.fenced_reason())

    await until(fenced)


async def test_broken_by_hand_the_holder_is_told_to_both(folder: Path) -> None:
    first, second = FileLock.of(folder, "shop"), FileLock.of(folder, "shop")
    await first.acquire(ANN)
    assert (first.lost_reason(), first.fenced_reason()) == ("", "")
    breaking = asyncio.create_task(second.acquire(BOB, break_lock=True))
    await until_fenced(first)
    assert first.lost_reason() == first.fenced_reason() == f"the lock was broken by {BOB}"
    assert not breaking.done(), "the first may still send something"
    await first.release()  # the lock is not ours any more: no effect on that
    assert await breaking == ANN
    assert (second.lost_reason(), second.fenced_reason()) == ("", "")
    assert await FileLock.of(folder, "shop").holder() == BOB


async def test_who_does_not_stop_is_waited_for_no_longer_than_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.locks.file.STOP_TIMEOUT_S", 0.1)
    first, second, third = (FileLock.of(folder, "shop") for _ in range(3))
    await first.acquire(ANN)
    assert await second.acquire(BOB, break_lock=True) == ANN
    monkeypatch.setattr("orchestrator.locks.file.STOP_TIMEOUT_S", 60.0)
    breaking = asyncio.create_task(third.acquire(ANN, break_lock=True))  # waits for the second all the same
    await until_fenced(second)
    assert not breaking.done()
    await second.release()
    assert await breaking == BOB


async def test_broken_while_it_waits_for_the_one_before_it_has_nothing(folder: Path) -> None:
    first, second, third = (FileLock.of(folder, "shop") for _ in range(3))
    await first.acquire(ANN)
    waiting = asyncio.create_task(second.acquire(BOB, break_lock=True))
    await until_fenced(first)
    breaking = asyncio.create_task(third.acquire(ANN, break_lock=True))
    with pytest.raises(Locked, match="the lock was broken by ann@here"):
        await waiting
    await first.release()
    assert await breaking == BOB
    assert third.lost_reason() == ""


async def test_a_lock_that_was_removed_forbids_the_next_drain_and_fences_nobody(folder: Path) -> None:
    lock = FileLock.of(folder, "shop")
    await lock.acquire(ANN)
    lock.path.unlink()
    assert (lock.lost_reason(), lock.fenced_reason()) == (f"the lock {lock.path} was removed", "")


KILLED = """
import asyncio, os, sys
from pathlib import Path
import msgspec
from orchestrator.locks.file import Holder, FileLock
from tests.support.wait import until
holder = msgspec.json.decode(sys.argv[2], type=Holder)
asyncio.run(FileLock.of(Path(sys.argv[1]), "shop").acquire(holder))
os.kill(os.getpid(), 9)
"""


def killed_with(folder: Path, holder: Holder) -> None:
    held = msgspec.json.encode(holder).decode()
    subprocess.run([sys.executable, "-c", KILLED, str(folder), held], check=False, timeout=30)


async def test_one_whose_holder_was_killed_is_taken_over_and_says_from_whom(folder: Path) -> None:
    killed_with(folder, ANN)
    lock = FileLock.of(folder, "shop")
    assert await lock.holder() is None
    assert await lock.acquire(BOB) == ANN


async def test_one_from_another_machine_is_never_known_to_be_gone(folder: Path) -> None:
    far = msgspec.structs.replace(ANN, host="elsewhere")
    killed_with(folder, far)
    lock = FileLock.of(folder, "shop")
    assert await lock.holder() == far
    with pytest.raises(Locked, match="whether that process still runs cannot be checked from here"):
        await lock.acquire(BOB)
    assert await lock.acquire(BOB, break_lock=True) == far


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(Locked, match="Not a directory"):
        await FileLock.of(tmp_path / "locks", "shop").acquire(ANN)
