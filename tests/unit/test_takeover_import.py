"""A rollout of another machine is imported whole or not at all, whatever interrupts the import."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from backends.local_machine import SystemClock
from orchestrator.errors import JournalError
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.journal.store import Journal
from orchestrator.locks.file import FileLock
from orchestrator.session.work_log import WorkLog
from tests.fixtures import copied
from tests.support.disks import remount, small_disk
from tests.unit import journals, published
from tests.unit.console_shell import surroundings

KILLED_AT = 34

ADOPT = """
import os, signal, sys
from pathlib import Path
from orchestrator.journal.store import Journal
from tests.unit import published, test_takeover_import

append, count = Journal.append, 0

def killed(journal, entry, record):
    global count
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return append(journal, entry, record)

Journal.append = killed
print(test_takeover_import.work_log(Path(sys.argv[1])).import_remote(published.HEAD, published.records()))
"""


def work_log(path: Path) -> WorkLog:
    lock = FileLock.of(path.parent, "shop")
    return WorkLog(path, 365, "shop", EventBus(SystemClock()), Actor("bob@here"), lambda: lock)


def importing(path: Path, killed_at: int = -1) -> "subprocess.Popen[str]":
    """A process that takes it over, and is killed in front of so many events."""
    arguments = [sys.executable, "-c", ADOPT, str(path), str(killed_at)]
    return subprocess.Popen(arguments, env=surroundings(), stdout=subprocess.PIPE, text=True)


def assert_whole(path: Path, entry: int = 1) -> None:
    with Journal(path, read_only=True) as journal:
        found = journal.entry(entry)
        assert found is not None
        assert (found.operator, found.host, found.pid) == ("ann@ops", "ops", 42)
        assert list(journal.records(entry)) == published.records()
        verified = journal.verify()
        assert verified.intact
        assert [checked.state for checked in verified.entries if checked.entry == entry] == ["intact"]
    last = work_log(path).unfinished_nodes()
    assert list(last) == [published.NODES[-1]]
    [original] = last[published.NODES[-1]].originals.values()
    assert original.weight == 300, "what the last node had is known"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_it_is_taken_over_once(path: Path) -> None:
    assert work_log(path).import_remote(published.HEAD, published.records())
    assert not work_log(path).import_remote(published.HEAD, published.records())
    assert_whole(path)


@pytest.mark.parametrize("killed_at", [0, KILLED_AT, 1500])
def test_killed_in_the_middle_it_leaves_nothing_and_is_taken_over_next_time(
    path: Path, killed_at: int
) -> None:
    journals.write(path, journals.troubled(), application="other")
    process = importing(path, killed_at)
    assert process.wait(60) == -9
    process.communicate()
    with Journal(path, read_only=True) as journal:
        assert [entry.id for entry in journal.entries()] == [1]
    assert work_log(path).unfinished_nodes() == {}
    assert work_log(path).import_remote(published.HEAD, published.records())
    assert_whole(path, 2)


def test_of_several_at_once_one_takes_it_over(path: Path) -> None:
    processes = [importing(path) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(said) == ["False", "False", "True"]
    assert_whole(path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 256) as disk:
        yield disk


def test_on_a_full_disk_it_leaves_nothing_and_is_taken_over_once_there_is_room(disk: Path) -> None:
    path = disk / "journal.db"
    journals.write(path, journals.healthy()[:5], application="other")
    with pytest.raises(JournalError, match=r"full|I/O"):
        work_log(path).import_remote(published.HEAD, published.records())
    with Journal(path, read_only=True) as journal:
        assert [entry.id for entry in journal.entries()] == [1]
    remount(disk, "size=16m")
    assert work_log(path).import_remote(published.HEAD, published.records())
    assert_whole(path, 2)


@pytest.mark.parametrize("number", [700, 1, 3])
def test_a_repeated_number_leaves_nothing(path: Path, number: int) -> None:
    records = published.records()
    records[700] = msgspec.structs.replace(records[700], seq=number)
    expected = f"is not taken over: found event {number} after event 700, expected rising numbers"
    with pytest.raises(JournalError, match=expected):
        work_log(path).import_remote(published.HEAD, records)
    with Journal(path, read_only=True) as journal:
        assert journal.entries() == []
    assert work_log(path).import_remote(published.HEAD, published.records())
    assert_whole(path)


@pytest.mark.parametrize("field", [{"seq": 2**80}, {"at": float("nan")}])
def test_what_cannot_be_written_leaves_nothing(path: Path, field: dict[str, float]) -> None:
    *records, last = published.records()
    with pytest.raises(JournalError):
        work_log(path).import_remote(published.HEAD, [*records, msgspec.structs.replace(last, **field)])
    with Journal(path, read_only=True) as journal:
        assert journal.entries() == []


def test_the_half_that_an_earlier_version_has_left_is_replaced_by_the_whole(path: Path) -> None:
    copied("journal-v1-half.db", path)
    with Journal(path, read_only=True) as journal:
        assert len(list(journal.records(1))) == KILLED_AT
    assert list(work_log(path).unfinished_nodes()) == ["web7"]  # half of the truth
    assert work_log(path).import_remote(published.HEAD, published.records())
    assert_whole(path)
    assert not work_log(path).import_remote(published.HEAD, published.records())


def test_half_of_something_else_is_left_alone(path: Path) -> None:
    """Who can publish must not be able to write on in an entry that says something else."""
    copied("journal-v1-half.db", path)
    records = published.records()
    records[10] = msgspec.structs.replace(records[10], at=1.0)
    assert not work_log(path).import_remote(published.HEAD, records)
    with Journal(path, read_only=True) as journal:
        assert len(list(journal.records(1))) == KILLED_AT


def test_a_killed_one_of_this_machine_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied("journal-v1-half.db", path)
    monkeypatch.setattr(socket, "gethostname", lambda: "ops")
    assert not work_log(path).import_remote(published.HEAD, published.records())
