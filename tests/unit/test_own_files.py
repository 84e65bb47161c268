"""What Rolldeck writes: the journal, locks and logs in a folder of ours, never through a link."""

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.file_trust import Untrusted
from backends.local_files import open_own, prepare_database, write_private
from console.debug_log import Log, LogSettings
from console.paths import journal_path, state_folder
from orchestrator.errors import JournalError, Locked
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.journal.store import Journal
from orchestrator.locks.file import FileLock, Holder
from tests.support.users import MALLORY, OPS, become, give, needs_root
from tests.unit import journals

ANN = Holder(operator="ann@here", host="here", pid=1, since=0.0, what="upgrade to 1.5.0")


def untouched(path: Path) -> bool:
    return path.read_text() == "precious"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


# -- never through a link -----------------------------------------------------------------------


async def test_a_link_in_the_place_of_a_lock_empties_no_other_file(folder: Path, precious: Path) -> None:
    lock = FileLock.of(folder, "shop")
    lock.path.symlink_to(precious)
    with pytest.raises(Locked, match=r"shop\.lock is a symbolic link, expected the file itself"):
        await lock.acquire(ANN)
    assert await lock.holder() is None
    lock.path.unlink()
    os.link(precious, lock.path)
    with pytest.raises(Locked, match="has another name too, a hard link"):
        await lock.acquire(ANN)
    assert untouched(precious)


async def test_a_lock_that_was_replaced_by_a_link_is_lost(folder: Path) -> None:
    lock = FileLock.of(folder, "shop")
    await lock.acquire(ANN)
    lock.path.rename(folder / "moved")
    lock.path.symlink_to("moved")
    assert lock.lost_reason() == "the lock was broken by an unnamed operator"
    await lock.release()
    assert (folder / "moved").read_text() != ""


async def test_a_lock_that_is_no_file_is_not_waited_for(folder: Path) -> None:
    lock = FileLock.of(folder, "shop")
    os.mkfifo(lock.path)
    with pytest.raises(Locked, match="is not a regular file"):
        await lock.acquire(ANN)


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_a_link_in_the_place_of_the_journal_is_refused(folder: Path, precious: Path, ending: str) -> None:
    path = folder / "journal.db"
    Journal(path).close()
    beside = folder / f"journal.db{ending}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(precious)
    for read_only in (False, True):
        with pytest.raises(JournalError, match=f"journal.db{ending} is a symbolic link, expected the file"):
            Journal(path, read_only=read_only)
    assert untouched(precious)


def test_a_link_to_nothing_is_no_missing_journal(folder: Path, tmp_path: Path) -> None:
    (folder / "journal.db").symlink_to(tmp_path / "elsewhere")
    for read_only in (False, True):
        with pytest.raises(JournalError, match="is a symbolic link"):
            Journal(folder / "journal.db", read_only=read_only)
    assert not (tmp_path / "elsewhere").exists()


def test_a_look_at_the_journal_takes_no_locks_from_one_that_is_open(folder: Path) -> None:
    """POSIX: closing a file ends all locks of the process on it."""
    path = folder / "journal.db"
    Journal(path).close()
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        prepare_database(path, create=True)
        prepare_database(path, create=False)
        if (child := os.fork()) == 0:
            try:
                sqlite3.connect(path, timeout=0).execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    writer.close()


async def test_a_log_that_is_a_link_is_not_written_and_stops_nothing(
    folder: Path, precious: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = EventBus(_Clock())
    (folder / "rolldeck.log").symlink_to(precious)
    log = Log(LogSettings(path=str(folder / "rolldeck.log")), "shop", bus)
    bus.emit(NodeNote(node="", text="something"))
    await log.close()
    assert "rolldeck.log is a symbolic link, expected the file itself" in capsys.readouterr().err
    assert untouched(precious)


async def test_rotation_follows_no_link(folder: Path, precious: Path) -> None:
    bus = EventBus(_Clock())
    (folder / "rolldeck.log.1").symlink_to(precious)
    (folder / "rolldeck.log.2").symlink_to(precious)
    log = Log(LogSettings(path=str(folder / "rolldeck.log"), max_bytes=10_000, backup_count=2), "shop", bus)
    for _ in range(40):
        bus.emit(NodeNote(node="", text="x" * 1000))
    await log.close()
    assert untouched(precious)
    for name in ("rolldeck.log", "rolldeck.log.1", "rolldeck.log.2"):
        assert not (folder / name).is_symlink()
        assert mode(folder / name) == 0o600


class _Clock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


# -- whose they are -----------------------------------------------------------------------------


def test_whatever_the_umask_folders_and_files_are_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "local" / "state" / "rolldeck" / "journal.db"
    before = os.umask(0)
    try:
        Journal(path).close()
        os.close(open_own(path.parent / "locks" / "shop.lock", os.O_RDWR | os.O_CREAT))
    finally:
        os.umask(before)
    for made in (path.parent, path.parent.parent, path.parent.parent.parent, path.parent / "locks"):
        assert mode(made) == 0o700
    assert {mode(file) for file in path.parent.rglob("*") if file.is_file()} == {0o600}


def test_the_default_folder_is_closed_when_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = tmp_path / "rolldeck"
    for was in (0o755, 0o775, 0o777):
        made.mkdir(exist_ok=True)
        made.chmod(was)
        assert state_folder() == made
        assert mode(made) == 0o700
    made.chmod(0o755)
    assert journal_path(str(made / "journal.db")) == made / "journal.db"
    assert mode(made) == 0o755  # named by somebody: theirs to say


@needs_root
def test_the_default_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of whoever called sudo with their HOME: root's files there would be in their way."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "rolldeck").mkdir(mode=0o755)
    give(tmp_path / "rolldeck", MALLORY)
    assert mode(state_folder()) == 0o755
    with pytest.raises(JournalError) as caught:
        Journal(journal_path(""))
    problem = f"{tmp_path}/rolldeck belongs to uid 54321 (mode 0755), expected root (uid 0)"
    assert str(caught.value) == f"journal {tmp_path}/rolldeck/journal.db: {problem}"


def test_a_default_folder_that_is_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "rolldeck").symlink_to("there")
    assert mode(state_folder()) == 0o755
    with pytest.raises(JournalError, match="rolldeck is a symbolic link, expected the folder itself"):
        Journal(journal_path(""))
    assert list((tmp_path / "there").iterdir()) == []


def _folder_of_mallory(path: Path) -> None:
    give(path.parent, MALLORY)


def _folder_for_everybody(path: Path) -> None:
    path.parent.chmod(0o777)


def _folder_such_as_tmp(path: Path) -> None:
    path.parent.chmod(0o1777)


def _above_it_for_everybody(path: Path) -> None:
    path.parent.parent.chmod(0o777)


def _file_of_mallory(path: Path) -> None:
    give(path, MALLORY)


def _file_for_everybody(path: Path) -> None:
    path.chmod(0o602)


@needs_root
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_folder_of_mallory, "state belongs to uid 54321 (mode 0700), expected root (uid 0)"),
        (_folder_for_everybody, "state can be written by everybody (of root (uid 0), mode 0777)"),
        (_folder_such_as_tmp, "state can be written by everybody (of root (uid 0), mode 1777)"),
        (_above_it_for_everybody, " can be written by everybody (of root (uid 0), mode 0777)"),
        (_file_of_mallory, "/file belongs to uid 54321 (mode 0600), expected root (uid 0)"),
        (_file_for_everybody, "/file can be written by everybody (of root (uid 0), mode 0602)"),
    ],
)
def test_what_others_may_write_is_not_used(folder: Path, make: Callable[[Path], None], words: str) -> None:
    path = folder / "file"
    os.close(open_own(path, os.O_RDWR | os.O_CREAT))
    make(path)
    for use in (lambda: open_own(path, os.O_RDWR | os.O_CREAT), lambda: prepare_database(path, create=True)):
        with pytest.raises(Untrusted) as caught:
            use()
        assert words in str(caught.value.strerror)


@pytest.fixture
def team() -> Iterator[Path]:
    """A folder of root's and of the group OPS, where other users get at it."""
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o755)
        folder = Path(temporary) / "team"
        folder.mkdir()
        give(folder, 0, OPS).chmod(0o2770)
        yield folder


@needs_root
async def test_a_team_has_one_journal_in_a_folder_that_hands_on_its_group(team: Path) -> None:
    """Mode 2770: what is made there is the group's too, whatever the umask of who makes it."""
    for user in (MALLORY, MALLORY + 7):
        with become(user, OPS):
            with Journal(team / "journal.db") as journal:
                journal.begin(journals.header(host="h"))
                assert len(journal.entries()) == (1 if user == MALLORY else 2)
            lock = FileLock.of(team / "locks", "shop")
            await lock.acquire(ANN)
            await lock.release()
    assert mode(team / "journal.db") == 0o660
    assert mode(team / "locks") == 0o2770
    with become(MALLORY + 8), pytest.raises(JournalError, match="Permission denied"):
        Journal(team / "journal.db")


# -- files for others to read later -------------------------------------------------------------


def test_a_new_file_is_for_us_alone_and_replaces_nothing(tmp_path: Path, precious: Path) -> None:
    path = tmp_path / "new"
    write_private(path, b"new", replace=False)
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    for there in (path, tmp_path / "link", tmp_path / "dangling"):
        if there.name == "link":
            there.symlink_to(precious)
        if there.name == "dangling":
            there.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FileExistsError):
            write_private(there, b"other", replace=False)
    assert (precious.read_text(), path.read_bytes()) == ("precious", b"new")
    assert not (tmp_path / "elsewhere").exists()


def test_one_that_is_replaced_is_replaced_whole(tmp_path: Path, precious: Path) -> None:
    path = tmp_path / "old"
    path.write_text("old")
    os.link(path, tmp_path / "other name")
    path.chmod(0o666)
    write_private(path, b"new", replace=True)
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert (tmp_path / "other name").read_text() == "old"
    (tmp_path / "link").symlink_to(precious)
    os.mkfifo(tmp_path / "fifo")
    for name, words in (("link", "is a symbolic link"), ("fifo", "is not a regular file")):
        with pytest.raises(Untrusted, match=words):
            write_private(tmp_path / name, b"new", replace=True)
    assert untouched(precious)
    assert {file.name for file in tmp_path.iterdir()} == {"old", "other name", "link", "fifo", "precious"}


def test_of_one_that_cannot_be_written_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_text("old")
    for replace, path in ((False, tmp_path / "new"), (True, tmp_path / "old")):
        with pytest.raises(TypeError):
            write_private(path, "no bytes", replace=replace)  # type: ignore[arg-type]
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"old": "old"}
