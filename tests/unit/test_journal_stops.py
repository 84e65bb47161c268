"""A journal that cannot be written any more, as on a full disk, stops whoever works."""

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.journal import store
from orchestrator.journal.recording import recording
from orchestrator.journal.store import Journal
from tests.support.disks import small_disk
from tests.support.users import MALLORY, become, give, needs_root
from tests.support.virtual_time import VirtualClock
from tests.unit import journals
from tests.unit.test_journal_store import note, texts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_a_full_disk_is_told_and_what_was_there_stays(path: Path) -> None:
    with Journal(path) as journal:
        entry = journals.write(path, [note()])
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
        kept = fill(journal, entry)
    assert len(texts(path, entry)) == kept


def fill(journal: Journal, entry: int) -> int:
    """Append until nothing more fits in; how many events there are then."""
    for number in range(2, 1000):
        try:
            journal.append(entry, note(number, "x" * 1000))
        except JournalError as error:
            assert "full" in str(error) or "I/O" in str(error), error  # noqa: PT017 - which of them is the point
            return number - 1
    raise AssertionError("the disk is not full")


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        path = disk / "journal.db"
        entry = journals.write(path, [note()])
        with Journal(path) as journal:
            kept = fill(journal, entry)
            # Who works must be stopped by it, and must be able to say so.
            with pytest.raises(JournalError):
                journal.append(entry, note(9999, "x" * 10_000))
        assert len(texts(path, entry)) == kept


@pytest.mark.virtual_time
async def test_a_full_disk_stops_whoever_works(path: Path) -> None:
    bus = EventBus(VirtualClock())
    with (
        Journal(path) as journal,
        recording(journal, bus, journals.header()) as entry,
    ):
        bus.emit(NodeNote(node="web1", text="fits"))
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalError, match="full"):
            bus.emit(NodeNote(node="web1", text="x" * 100_000))
    bus.emit(NodeNote(node="web1", text="nobody writes any more"))
    assert texts(path, entry) == ["fits"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("ending", ["", "-wal"])
@pytest.mark.parametrize("replaced", [True, False])
async def test_a_file_that_nobody_finds_any_more_stops_whoever_works(
    path: Path, ending: str, replaced: bool
) -> None:
    """Who resumes would find nothing, and take the node for one that somebody keeps out."""
    bus, file = EventBus(VirtualClock()), path.with_name(path.name + ending)
    journals.write(path, [note()])
    with Journal(path, check=False) as journal, recording(journal, bus, journals.header()):
        bus.emit(NodeNote(node="web1", text="is read"))
        if replaced:
            shutil.copy(file, backup := path.with_name("backup"))
            backup.replace(file)
        else:
            file.unlink()
        with pytest.raises(JournalError, match="was removed or replaced"):
            bus.emit(NodeNote(node="web1", text="is not read"))


@needs_root
@pytest.mark.virtual_time
async def test_a_folder_without_permissions_stops_nobody_who_has_it_open() -> None:
    bus = EventBus(VirtualClock())
    with tempfile.TemporaryDirectory() as folder:  # pytest's are private
        path = give(Path(folder), MALLORY) / "journal.db"
        with become(MALLORY), Journal(path) as journal, recording(journal, bus, journals.header()) as entry:
            path.parent.chmod(0)
            bus.emit(NodeNote(node="web1", text="is written"))
            path.parent.chmod(0o700)
            assert texts(path, entry) == ["is written"]


@pytest.mark.virtual_time
async def test_another_writer_is_waited_for_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end has many events, and nothing else goes on meanwhile: an abort would take minutes."""
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.05)
    bus = EventBus(VirtualClock())
    with Journal(path) as journal, recording(journal, bus, journals.header()) as entry:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as backup:
            backup.execute("BEGIN EXCLUSIVE")
            for _ in range(2):
                with pytest.raises(JournalError, match="locked"):
                    bus.emit(NodeNote(node="web1", text="x"))
            assert journal._connection.execute("PRAGMA busy_timeout").fetchone() == (0,)
        bus.emit(NodeNote(node="web1", text="the last word"))
    assert texts(path, entry) == ["the last word"]
