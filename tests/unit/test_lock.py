"""The lock of one machine: who has it, who had it, and who has lost it."""

import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from orchestrator.errors import Locked
from orchestrator.lock import Holder, LocalLock

HERE = socket.gethostname()
ANN = Holder(operator="ann@here", host=HERE, pid=1, since=0.0, what="upgrade to 1.5.0")
BOB = Holder(operator="bob@here", host=HERE, pid=2, since=1.0, what="drain web1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


async def test_the_second_is_refused_with_the_holders_name_until_it_is_given_back(folder: Path) -> None:
    first, second = LocalLock.of(folder, "shop"), LocalLock.of(folder, "shop")
    assert await first.acquire(ANN) is None
    assert await second.holder() == ANN
    with pytest.raises(Locked, match=r"ann@here \(process 1 on .*: upgrade to 1\.5\.0; --break-lock"):
        await second.acquire(BOB)
    assert await LocalLock.of(folder, "other").acquire(BOB) is None
    await first.release()
    assert await second.holder() is None
    assert await second.acquire(BOB) is None
    assert first.lost() == "the lock was given back"


async def test_broken_by_hand_the_holder_is_told_to_both(folder: Path) -> None:
    first, second = LocalLock.of(folder, "shop"), LocalLock.of(folder, "shop")
    await first.acquire(ANN)
    assert await second.acquire(BOB, break_it=True) == ANN
    assert first.lost() == f"the lock was broken by {BOB}"
    assert second.lost() == ""
    await first.release()  # not ours any more: without effect
    assert second.lost() == ""
    assert await LocalLock.of(folder, "shop").holder() == BOB


KILLED = """
import asyncio, os, sys
from pathlib import Path
import msgspec
from orchestrator.lock import Holder, LocalLock
holder = msgspec.json.decode(sys.argv[2], type=Holder)
asyncio.run(LocalLock.of(Path(sys.argv[1]), "shop").acquire(holder))
os.kill(os.getpid(), 9)
"""


def killed_with(folder: Path, holder: Holder) -> None:
    held = msgspec.json.encode(holder).decode()
    subprocess.run([sys.executable, "-c", KILLED, str(folder), held], check=False, timeout=30)


async def test_one_whose_holder_was_killed_is_taken_over_and_says_from_whom(folder: Path) -> None:
    killed_with(folder, ANN)
    lock = LocalLock.of(folder, "shop")
    assert await lock.holder() is None
    assert await lock.acquire(BOB) == ANN


async def test_one_from_another_machine_is_never_known_to_be_gone(folder: Path) -> None:
    far = msgspec.structs.replace(ANN, host="elsewhere")
    killed_with(folder, far)
    lock = LocalLock.of(folder, "shop")
    assert await lock.holder() == far
    with pytest.raises(Locked, match="whether that still runs cannot be seen from here"):
        await lock.acquire(BOB)
    assert await lock.acquire(BOB, break_it=True) == far


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(Locked, match="Not a directory"):
        await LocalLock.of(tmp_path / "locks", "shop").acquire(ANN)
