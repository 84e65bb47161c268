"""A journal of an earlier version: read as it is, migrated whole or not at all, open to its maker."""

import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from console.terminal.history import entry_lines
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entry_status import unfinished_rollout
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.migrations import MIGRATIONS, VERSION, migrate, version_of
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import unfinished_nodes
from tests.fixtures import copied
from tests.unit import journals
from tests.unit.console_shell import surroundings

KILLED = """
import os, signal, sqlite3, sys
from orchestrator.journal.migrations import MIGRATIONS, migrate

def killed(connection):
    MIGRATIONS[-1](connection)
    print("in the middle", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
migrate(connection, (*MIGRATIONS[:-1], killed))
"""
OPEN = """
import sys
from pathlib import Path
from orchestrator.journal.store import Journal

Journal(Path(sys.argv[1])).close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copied("journal-v1.db", tmp_path / "state" / "journal.db")


def version(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        found = version_of(connection)
    connection.close()
    return found


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    return found


def content(path: Path) -> str:
    """Of the tables that version 1 has, whatever the file looks like."""
    with sqlite3.connect(path) as connection:
        entries = connection.execute("SELECT * FROM entries ORDER BY id").fetchall()
        events = connection.execute("SELECT * FROM events ORDER BY entry, seq").fetchall()
    connection.close()
    return hashlib.sha256(repr((entries, events)).encode()).hexdigest()


def assert_read(journal: Journal) -> None:
    """What stands in it is told as ever."""
    found = [(entry.kind, entry.version, entry.result, entry.intact) for entry in journal.entries("shop")]
    assert found == [
        ("upgrade", "1.6.0", "", True),
        ("change", "", "healthy", True),
        ("upgrade", "1.5.0", "healthy", True),
    ]
    assert [len(list(journal.records(number))) for number in (1, 2, 3)] == [88, 6, 19]
    left = unfinished_nodes(journal, "shop")
    assert list(left) == ["web1"]
    assert left["web1"].text.endswith("interrupted at install")
    assert {original.weight for original in left["web1"].originals.values()} == {50}
    last = unfinished_rollout(journal, "shop")
    assert last is not None
    assert last.id == 3
    for entry in journal.entries():
        lines = "\n".join(
            entry_lines(EntrySummary.of(journal, entry), Timeline.of(journal.records(entry.id)), 0)
        )
        assert "ann@ops" in lines


def test_it_is_read_without_being_changed(path: Path) -> None:
    before = path.read_bytes()
    with Journal(path, read_only=True) as journal:
        assert_read(journal)
        assert journal.head(3) == ""
        assert journal.find("00" * 32) is None
        assert [entry.state for entry in journal.verify().entries] == ["unverifiable"] * 3
    assert path.read_bytes() == before
    assert version(path) == 1


def test_it_is_read_while_its_own_version_writes_it(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    with Journal(path, read_only=True) as journal:
        for number in range(20, 40):
            writer.execute(
                "INSERT INTO events VALUES (3, ?, 1.0, ?)", (number, '{"event":"noted","node":"","text":"x"}')
            )
            assert len(list(journal.records(3))) == number
    writer.close()
    assert version(path) == 1


def test_it_is_migrated_when_it_is_written(path: Path) -> None:
    before = content(path)
    with Journal(path) as journal:
        assert_read(journal)
    assert (version(path), content(path)) == (VERSION, before)
    added = journals.write(path, journals.troubled())
    with Journal(path, read_only=True) as journal:
        verified = journal.verify()
    assert added == 4
    assert verified.intact
    assert [entry.state for entry in verified.entries] == ["unverifiable"] * 3 + ["intact"]


def test_whoever_wrote_it_before_can_go_on(path: Path) -> None:
    """An upgrade of Rolldeck must not end the rollout of one that still runs."""
    older = sqlite3.connect(path, isolation_level=None)
    Journal(path).close()
    older.execute("""INSERT INTO events VALUES (3, 20, 1.0, '{"event":"noted","node":"","text":"x"}')""")
    older.execute("UPDATE entries SET ended = 2.0, result = 'healthy', reason = '' WHERE id = 3")
    older.close()
    with Journal(path, read_only=True) as journal:
        assert len(list(journal.records(3))) == 20
        assert journal.verify().intact


def test_killed_in_the_middle_it_is_what_it_was(path: Path) -> None:
    before, had = content(path), tables(path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env=surroundings(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (-9, b"in the middle\n")
    assert (version(path), content(path), tables(path)) == (1, before, had)
    with Journal(path) as journal:
        assert_read(journal)
        assert journal.verify().intact


def test_on_a_full_disk_it_is_what_it_was(path: Path) -> None:
    before, had = content(path), tables(path)
    connection = sqlite3.connect(path, isolation_level=None)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        migrate(connection)
    connection.close()
    assert (version(path), content(path), tables(path)) == (1, before, had)
    with Journal(path, read_only=True) as journal:
        assert_read(journal)


def test_several_migrate_it_at_once(path: Path) -> None:
    before = content(path)
    command = [sys.executable, "-c", OPEN, str(path)]
    processes = [subprocess.Popen(command, env=surroundings()) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert (version(path), content(path)) == (VERSION, before)
    with Journal(path, read_only=True) as journal:
        assert journal.verify().intact


def test_a_migration_that_fails_leaves_those_before_it_undone_too(tmp_path: Path) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE more (one TEXT)")
        raise sqlite3.OperationalError("no")

    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="no"):
        migrate(connection, (*MIGRATIONS, fails))
    assert version_of(connection) == 0
    connection.close()
    assert tables(path) == set()


def test_the_entries_of_one_application_are_found_by_an_index(path: Path, tmp_path: Path) -> None:
    """Also in a new file: a journal of years is read at each start."""
    Journal(path).close()
    Journal(tmp_path / "new.db").close()
    for found in (path, tmp_path / "new.db"):
        assert "entries_by_application" in tables(found)
