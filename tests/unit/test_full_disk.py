"""A rollout whose journal could not be written any more: readers say why, as long as that is so."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.local_files import describe_write_obstacle
from backends.local_machine import SystemClock
from console.terminal.follow import report_unfinished
from orchestrator.events.actor import Actor
from orchestrator.fleet.journal_reader import JournalReader
from orchestrator.journal.store import Journal
from orchestrator.local.follower import JournalFollower
from tests.support.disks import fill, remount, small_disk
from tests.unit import journals

PID = 2**22 - 7  # of no process


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4096) as disk:
        yield disk


async def test_readers_say_that_the_disk_is_full_until_there_is_room(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = disk / "journal.db"
    reader, follower = JournalReader(path), JournalFollower(path, SystemClock(), Actor("ann@here"))
    rollout = follower.rollout("shop")
    Journal(path).close()
    await follower.look()
    journals.write(path, journals.numbered(journals.started()), pid=PID, began=time.time())
    full = f"the disk is full: 0 kB are free for {path}"
    gone, way_on = f"its process {PID} is gone", "resume it or roll it back"
    others = fill(disk)
    follower._looked_at = -100.0
    await follower.look()
    assert rollout.words == f"{gone} and {full}; once that is fixed, {way_on}"
    await reader.refresh()
    assert reader.problem == full
    report_unfinished(path, "shop")
    assert full in capsys.readouterr().err
    others.unlink()
    follower._looked_at = -100.0
    await follower.look()
    assert rollout.words == f"{gone}: {way_on}"
    await reader.refresh()
    assert reader.problem == ""
    follower.close()
    reader.close()


def test_a_file_system_that_became_read_only_is_named(disk: Path) -> None:
    """As after an error of the disk."""
    path = disk / "journal.db"
    assert describe_write_obstacle(path) == ""
    remount(disk, "ro")
    assert describe_write_obstacle(path) == f"the disk is read-only: nothing can be written to {path}"
