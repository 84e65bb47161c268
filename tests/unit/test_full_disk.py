"""A journal that cannot be written: preflight refuses it, and readers say why, as long as that is so."""

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
from orchestrator.planning.findings import Finding, Severity
from orchestrator.preflight.journal import judge_journal
from orchestrator.session.recovery import roll_back_after
from orchestrator.session.session import Session
from tests.support.disks import fill, remount, small_disk
from tests.support.fake_fleet import World
from tests.support.journal import blank_work_log
from tests.support.users import MALLORY, become, needs_root
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
    path.unlink()
    follower._looked_at = -100.0
    await follower.look()
    assert rollout.words == f"{gone} and its journal {path} is missing; once that is fixed, {way_on}"
    follower.close()
    reader.close()


def test_a_file_system_that_became_read_only_is_named(disk: Path) -> None:
    """As after an error of the disk."""
    path = disk / "journal.db"
    assert describe_write_obstacle(path) == ""
    remount(disk, "ro")
    assert describe_write_obstacle(path) == f"the disk is read-only: nothing can be written to {path}"
    [read_only] = judge_journal(path)
    assert (read_only.severity, read_only.subject) == (Severity.ERROR, "journal")


@pytest.mark.virtual_time
async def test_preflight_warns_of_little_space_and_refuses_none(disk: Path) -> None:
    path = disk / "state" / "journal.db"
    world = World(nodes=1)

    async def find() -> list[Finding]:
        work_log = blank_work_log(world.bus, path.parent)
        session = Session(world.application, world.bus, work_log=work_log, roll_back_after=roll_back_after)
        plan = await session.plan("2.0")
        return [finding for finding in plan.findings if finding.subject == "journal"]

    Journal(path).close()
    [scarce] = await find()
    assert scarce.severity is Severity.WARNING
    assert f" MB are free for {path}" in scarce.text
    remount(disk, "size=100m")
    assert await find() == []
    fill(disk)
    [full] = await find()
    assert full.severity is Severity.ERROR
    assert full.text.startswith("the disk is full: 0 kB are free")


@needs_root
def test_preflight_refuses_a_journal_that_this_user_may_not_write(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.db"
    assert not list(judge_journal(path))  # it can be made
    Journal(path).close()
    assert not list(judge_journal(path))
    with become(MALLORY):
        [refused] = judge_journal(path)
    assert refused.severity is Severity.ERROR
    assert refused.text.startswith("this user may not write /")
