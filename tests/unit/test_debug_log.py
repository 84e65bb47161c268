"""The log: a line of JSON for each event, rotated, without secrets, and never in the way."""

import asyncio
import errno
import fcntl
import json
import logging
import os
import stat
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.command import MAX_TEXT_CHARS, WIRE, log_exchange, redacted
from backends.local_machine import SystemClock
from backends.secrets import load_secret
from console import debug_log
from console.debug_log import Log, LogSettings
from console.interrupts import interrupts
from orchestrator.errors import JournalError
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Record, StepStarted, Waiting
from tests.support.console_values import HOSTILE, harmless

TOKEN = "wire-t0ken"


@asynccontextmanager
async def logging_to(path: Path, **settings: int) -> AsyncIterator[tuple[EventBus, list[Record]]]:
    bus = EventBus(SystemClock())
    records: list[Record] = []
    bus.subscribe(records.append)
    log = Log(LogSettings(path=str(path), **settings), "shop", bus)
    try:
        yield bus, records
    finally:
        await log.close()


@pytest.fixture
def debug() -> Iterator[None]:
    WIRE.setLevel(logging.DEBUG)
    yield
    WIRE.setLevel(logging.NOTSET)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def note(text: str) -> NodeNote:
    return NodeNote(node="web1", text=text)


async def test_each_event_is_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "folder" / "rolldeck.log"
    async with logging_to(path) as (bus, _):
        bus.emit(note("first"))
        bus.emit(StepStarted(node="web1", step="drain"))
    first, second = lines(path)
    assert (first["event"], first["text"], first["node"], first["seq"]) == ("node_note", "first", "web1", 1)
    assert (first["pid"], first["application"]) == (os.getpid(), "shop")
    assert first["time"][:2] == "20"
    assert second["event"] == "step_started"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert capfd.readouterr() == ("", "")


async def test_it_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    for number in range(3):
        async with logging_to(tmp_path / "log") as (bus, _):
            bus.emit(note(str(number)))
    assert [line["text"] for line in lines(tmp_path / "log")] == ["0", "1", "2"]


async def test_waiting_that_only_repeats_itself_is_left_out(tmp_path: Path) -> None:
    async with logging_to(tmp_path / "log") as (bus, _):
        for reason, left in (("3 sessions", 9.0), ("3 sessions", 8.0), ("2 sessions", 7.0)):
            bus.emit(Waiting(node="web1", step="drain", reason=reason, remaining_s=left))
    assert [line["remaining_s"] for line in lines(tmp_path / "log")] == [9.0, 7.0]


async def test_whatever_a_text_holds_it_is_one_line(tmp_path: Path) -> None:
    async with logging_to(tmp_path / "log") as (bus, _):
        for text in HOSTILE:
            bus.emit(note(text))
    written = [line["text"] for line in lines(tmp_path / "log")]
    assert written == [text.replace("\ud800", "\\ud800") for text in HOSTILE]  # no text that JSON can hold
    assert all(harmless(line) for line in (tmp_path / "log").read_text().splitlines())


async def test_it_is_rotated(tmp_path: Path) -> None:
    async with logging_to(tmp_path / "log", max_bytes=10_000, backup_count=2) as (bus, _):
        for number in range(400):
            bus.emit(note(f"{number} {'x' * 100}"))
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    for name in os.listdir(tmp_path):
        found = (tmp_path / name).stat()
        assert found.st_size <= 10_000
        assert stat.S_IMODE(found.st_mode) == 0o600
    together = [line for name in ("log.2", "log.1", "log") for line in lines(tmp_path / name)]
    assert [line["seq"] for line in together] == list(range(together[0]["seq"], 401))


async def test_another_process_may_rotate_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with logging_to(path) as (bus, _):
        bus.emit(note("before"))
        while not path.read_text():
            await asyncio.sleep(0.01)
        path.rename(tmp_path / "log.1")
        path.touch()
        bus.emit(note("after"))
    assert [line["text"] for line in lines(tmp_path / "log.1")] == ["before"]
    assert [line["text"] for line in lines(path)] == ["after"]


def write_lines(path: Path, name: str, count: int) -> list[str]:
    """As one process does; returns what was reported."""
    problems: list[str] = []
    file = debug_log._LogFile(
        LogSettings(path=str(path), max_bytes=10_000, backup_count=400), problems.append
    )
    for number in range(count):
        file.handle(logging.makeLogRecord({"msg": f"{name} {number} {'x' * 200}"}))
    file.close()
    return problems


def written(folder: Path) -> list[str]:
    return [line for path in folder.iterdir() for line in path.read_text().splitlines()]


def test_no_line_is_lost_when_several_processes_rotate_it(tmp_path: Path) -> None:
    children = []
    for name in ("a", "b", "c", "d"):
        child = os.fork()
        if child == 0:
            problems: list[str] = ["died"]
            try:
                problems = write_lines(tmp_path / "log", name, 500)
            finally:
                os._exit(len(problems))
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert "log.9" in os.listdir(tmp_path)
    expected = [f"{name} {number} {'x' * 200}" for name in "abcd" for number in range(500)]
    assert sorted(written(tmp_path)) == sorted(expected)


def test_while_another_process_rotates_it_lines_are_appended(tmp_path: Path) -> None:
    """Also when that process is stopped in the middle: nobody waits for its lock."""
    path = tmp_path / "log"
    path.touch(0o600)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert write_lines(path, "a", 100) == []
        assert os.listdir(tmp_path) == ["log"]
        assert path.stat().st_size > 20_000
    assert write_lines(path, "b", 1) == []
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1"]
    assert len(written(tmp_path)) == 101


def test_what_another_process_has_just_rotated_is_not_rotated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    write_lines(path, "a", 45)

    def rotate_first(*_: object) -> None:
        path.rename(tmp_path / "log.1")

    monkeypatch.setattr("fcntl.flock", rotate_first)
    assert write_lines(path, "b", 10) == []
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1"]
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["b"] * 7
    assert len(written(tmp_path)) == 55


def test_without_locks_on_the_file_system_it_is_rotated_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert write_lines(tmp_path / "log", "a", 60) == []
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1"]


async def test_one_that_cannot_be_opened_says_so_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "folder" / "log"
    async with logging_to(path) as (bus, records):
        for _ in range(5):
            bus.emit(note("all the same"))
            await asyncio.sleep(0.02)
    said = capfd.readouterr()
    assert said.err == f"rolldeck: the log {path} cannot be written: Not a directory\n"
    assert said.out == ""
    assert [record.event for record in records] == [note("all the same")] * 5


async def test_one_that_breaks_meanwhile_says_so_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log"

    def refuse(record: Record) -> None:
        """As the journal does, which is on the same disk."""
        if record.event != note("all the same"):
            raise JournalError(tmp_path / "journal.db", "database or disk is full")

    async with logging_to(path) as (bus, records):
        bus.subscribe(refuse)
        path.unlink()
        path.mkdir()
        for _ in range(5):
            bus.emit(note("all the same"))
            await asyncio.sleep(0.05)
    assert capfd.readouterr() == ("", "")
    texts = [record.event.text for record in records if isinstance(record.event, NodeNote)]
    assert texts.count("all the same") == 5
    assert len(texts) == 6
    problem = f"the log {path} cannot be written; continuing without it: Is a directory"
    assert problem in texts
    assert not caplog.records  # of an exception in a callback


async def test_a_disk_that_hangs_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    original = debug_log._LogFile.emit

    def slow(self: debug_log._LogFile, record: logging.LogRecord) -> None:
        release.wait(10)
        original(self, record)

    monkeypatch.setattr(debug_log._LogFile, "emit", slow)
    async with logging_to(tmp_path / "log") as (bus, _):
        begun = time.monotonic()
        for number in range(1000):
            bus.emit(note(str(number)))
        assert time.monotonic() - begun < 5
        assert not (tmp_path / "log").read_text()
        release.set()
    assert len(lines(tmp_path / "log")) == 1000


async def test_a_disk_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    release = threading.Event()
    monkeypatch.setattr(debug_log._LogFile, "emit", lambda *_: release.wait())
    monkeypatch.setattr(debug_log, "CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(interrupts, "unclosed", False)
    try:
        async with asyncio.timeout(60), logging_to(tmp_path / "log") as (bus, _):
            bus.emit(note("x"))
    finally:
        release.set()
    assert interrupts.unclosed
    assert "log cannot be closed: its disk does not answer" in capfd.readouterr().err


async def test_the_wire_is_heard_only_when_that_is_asked_for(tmp_path: Path) -> None:
    async with logging_to(tmp_path / "log"):
        log_exchange("lb1", "show info", "Name: HAProxy", True, 0.1)
    assert lines(tmp_path / "log") == []


@pytest.mark.usefixtures("debug")
async def test_the_wire_without_secrets_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLDECK_TEST_WIRE", TOKEN)
    await load_secret("ROLLDECK_TEST_WIRE", "", "", "p")
    across = "x" * (MAX_TEXT_CHARS - 4) + TOKEN
    async with logging_to(tmp_path / "log") as (bus, _):
        log_exchange("lb1", "show stat", "y" * 100_000, True, 0.123456)
        log_exchange(
            "web1", "GET http://joe:pw@h/\nAuthorization: Bearer abc", f"200\n{TOKEN}".encode(), True, 0.1
        )
        log_exchange("web1", "a", across, False, 0.1)
        with redacted():
            log_exchange("lb1", "cat -- /etc/haproxy/haproxy.cfg", "stats auth admin:hunter2", True, 0.1)
        bus.emit(note(f"it said {TOKEN}"))
    stat_, get, cut, file, event = lines(tmp_path / "log")
    assert (stat_["event"], stat_["target"], stat_["command"]) == ("wire", "lb1", "show stat")
    assert (stat_["reply"], stat_["seconds"]) == ("y" * MAX_TEXT_CHARS, 0.1235)
    assert (get["command"], get["reply"]) == ("GET http://***@h/\nAuthorization: ***", "200\n***")
    assert cut["reply"] == "x" * (MAX_TEXT_CHARS - 4) + "***"
    assert file["reply"] == "(not kept)"
    assert event["text"] == "it said ***"
    assert TOKEN not in (tmp_path / "log").read_text()
    log_exchange("lb1", "afterwards", "", True, 0.1)
    assert len(lines(tmp_path / "log")) == 5


@pytest.mark.parametrize("settings", [{"max_bytes": 9}, {"backup_count": 0}, {"backup_count": 1001}])
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LogSettings(**settings)
