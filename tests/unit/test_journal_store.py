"""The journal's file: what was appended is there, whoever is killed, reads beside it or fills the disk."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.events.events import NodeNote, NodeStarted, Record
from orchestrator.journal.migrations import VERSION
from orchestrator.journal.store import Journal
from tests.support.console_values import HOSTILE
from tests.unit import journals
from tests.unit.console_shell import surroundings

WRITER = """
import sys
from pathlib import Path
from orchestrator.events.events import NodeNote, Record
from orchestrator.journal.store import Journal
from tests.unit.journals import header

journal = Journal(Path(sys.argv[1]))
entry = journal.begin(header())
for number in range(1, 100_000):
    journal.append(entry, Record(number, 1.0, NodeNote(node="web1", text="x" * 200)))
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def note(number: int = 1, text: str = "x", node: str = "web1") -> Record:
    return Record(number, 1000.0 + number, NodeNote(node=node, text=text))


def texts(path: Path, entry: int) -> list[str]:
    with Journal(path, read_only=True) as journal:
        events = [record.event for record in journal.records(entry)]
    return [event.text for event in events if isinstance(event, NodeNote)]


def test_a_rollout_is_read_back_as_it_was(path: Path) -> None:
    records = [Record(record.seq, round(record.at, 3), record.event) for record in journals.troubled()]
    header = {"operator": "ann@ops", "host": "ops", "pid": 42, "process": "boot 7", "follows": 7}
    entry = journals.write(path, records, **header)
    with Journal(path, read_only=True) as journal:
        assert list(journal.records(entry)) == records
        found = journal.entry(entry)
        turns = list(journal.records(entry, "node_started"))
    assert found is not None
    assert (found.id, found.kind, found.application, found.version) == (entry, "upgrade", "shop", "2.0")
    assert {name: getattr(found, name) for name in header} == header
    assert (found.began, found.ended, found.result) == (records[0].at, records[-1].at, "aborted")
    assert (found.plan, found.intact) == (journals.PLAN, True)
    assert turns == [record for record in records if isinstance(record.event, NodeStarted)]


def test_whatever_was_said_is_read_back(path: Path) -> None:
    said = [text for text in HOSTILE if text.isprintable() or "\ud800" not in text]
    entry = journals.write(path, [note(number, text) for number, text in enumerate(said, 1)])
    assert texts(path, entry) == said


def test_the_newest_first_of_one_application_or_all(path: Path) -> None:
    ids = [journals.write(path, [note()], application=name) for name in ("shop", "pay", "shop")]
    assert ids == [1, 2, 3]
    with Journal(path, read_only=True) as journal:
        assert [entry.id for entry in journal.entries()] == [3, 2, 1]
        assert [entry.id for entry in journal.entries("shop")] == [3, 1]
        assert [entry.id for entry in journal.entries(limit=1)] == [3]
        assert journal.entries("none") == []
        assert journal.entry(99) is None


def test_an_id_is_never_given_twice(path: Path) -> None:
    journals.write(path, journals.healthy())
    with Journal(path) as journal:
        assert journal.prune(1e12) == 1
    assert journals.write(path, [note()]) == 2


def test_it_is_in_wal_mode_and_nobody_else_can_read_it(path: Path) -> None:
    with Journal(path):
        with sqlite3.connect(path) as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert other.execute("PRAGMA user_version").fetchone() == (VERSION,)
        other.close()
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_reading_where_there_is_nothing_makes_nothing(path: Path) -> None:
    with Journal(path, read_only=True) as journal:
        assert journal.entries() == []
        assert journal.entry(1) is None
        assert list(journal.records(1)) == []
    assert not path.parent.exists()


@pytest.mark.parametrize("begun", [False, True])
def test_one_whose_maker_was_killed_at_once_reads_as_empty(path: Path, begun: bool) -> None:
    path.parent.mkdir()
    path.touch()
    if begun:
        made = sqlite3.connect(path)
        made.execute("PRAGMA journal_mode = WAL")
        made.close()
    with Journal(path, read_only=True) as journal:
        assert journal.entries() == []
    assert journals.write(path, [note()]) == 1


def test_two_that_make_it_at_the_same_time(path: Path) -> None:
    with Journal(path):
        other = sqlite3.connect(path)
        other.execute("PRAGMA user_version = 0")  # as the second one sees it, before the first one is done
        other.close()
        with Journal(path) as second:
            assert second.entries() == []


@pytest.fixture
def writer(path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], env=surroundings(), stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def said(writer: "subprocess.Popen[str]", times: int) -> int:
    """The number of the event that was appended last, after so many more."""
    assert writer.stdout is not None
    return int([writer.stdout.readline() for _ in range(times)][-1])


def test_it_is_read_while_it_is_written(path: Path, writer: "subprocess.Popen[str]") -> None:
    for _ in range(10):
        told = said(writer, 20)
        with Journal(path, read_only=True) as journal:
            numbers = [record.seq for record in journal.records(1)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= told


def test_what_was_appended_outlives_a_kill(path: Path, writer: "subprocess.Popen[str]") -> None:
    told = said(writer, 50)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(texts(path, 1)) >= told
    with Journal(path) as journal:
        entry = journal.entry(1)
    assert entry is not None
    assert (entry.ended, entry.result) == (None, "")


def test_a_newer_one_is_refused(path: Path) -> None:
    journals.write(path, [note()])
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    other.close()
    for read_only in (True, False):
        with pytest.raises(JournalError, match=rf"newer Rolldeck \(tables {VERSION + 1}\); this one knows"):
            Journal(path, read_only=read_only)


def test_that_it_is_damaged_is_what_sqlite_says_not_how_it_is_worded() -> None:
    problem = "cannot be understood: JSON is malformed: invalid character (byte 0)"
    assert str(JournalError(Path("j.db"), problem)) == f"journal j.db: {problem}"


@pytest.mark.parametrize("read_only", [True, False])
def test_a_damaged_one_says_what_to_do(path: Path, read_only: bool) -> None:
    journals.write(path, journals.troubled())
    whole = path.read_bytes()
    for damaged in (b"no database at all " * 100, whole[:4096] + b"\xff" * 12_000 + whole[16_096:]):
        path.write_bytes(damaged)
        with pytest.raises(JournalError) as caught:
            Journal(path, read_only=read_only)
        assert f"it is damaged: mv {path} {path}.damaged, and a new one is begun" in str(caught.value)
        assert path.read_bytes() == damaged


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(JournalError, match=r"state/journal\.db: "):
        Journal(tmp_path / "state" / "journal.db")


def test_a_plan_that_was_changed_is_told(path: Path) -> None:
    entry = journals.write(path, [note()])
    journals.change(path, "UPDATE entries SET plan = replace(plan, 'web3', 'web4')")
    with Journal(path, read_only=True) as journal:
        found = journal.entry(entry)
    assert found is not None
    assert (found.intact, found.plan["nodes"][2]) == (False, {"node": "web4"})


def test_only_old_ones_that_ended_healthy_are_forgotten(path: Path) -> None:
    healthy = journals.healthy()
    old = journals.write(path, healthy)
    troubled = journals.write(path, journals.troubled())
    unfinished = journals.write(path, healthy[:5])
    with Journal(path) as journal:
        assert journal.prune(healthy[-1].at) == 0
        assert journal.prune(healthy[-1].at + 1) == 1
        assert [entry.id for entry in journal.entries()] == [unfinished, troubled]
        assert list(journal.records(old)) == []
        assert list(journal.records(troubled))


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    path = tmp_path / "50%20#a?mode=memory" / "journal.db"
    entry = journals.write(path, [note()])
    assert texts(path, entry) == ["x"]
    assert os.path.getsize(path) > 0


def test_an_end_is_there_with_its_event_or_not_at_all(path: Path) -> None:
    entry = journals.write(path, [note()])
    last = note(2, "the last word")
    with Journal(path) as journal:
        journal._connection.execute(
            "CREATE TEMP TRIGGER full BEFORE UPDATE ON entries BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        with pytest.raises(JournalError, match="full"):
            journal.end(entry, last, "healthy", "")
    with Journal(path) as journal:
        assert "the last word" not in texts(path, entry)
        journal.end(entry, last, "healthy", "")
        found = journal.entry(entry)
    assert found is not None
    assert (found.result, texts(path, entry)[-1]) == ("healthy", "the last word")
