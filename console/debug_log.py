"""The log: every event of a session as a line of JSON, in a file that is rotated. For whoever looks later.

Lines are made and written in a thread of their own, so that a slow disk holds up nothing; and a log that
cannot be written says so once and stops nothing. (The journal is another thing: without it nothing is done.)
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec

from backends.command import MAX_TEXT_CHARS, WIRE, CommandFinished
from backends.local_files import open_own
from backends.secrets import redact
from backends.text import visible_json
from console.paths import log_path
from console.terminal.output import clean, say
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Record
from orchestrator.events.text import RepeatedWaits


class LogSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The `[log]` table."""

    path: str = ""  # default: rolldeck.log in the XDG state folder
    max_bytes: int = 10_000_000  # of one file; then it is kept as rolldeck.log.1, and a new one begun
    backup_count: int = 5  # of those that are full

    def __post_init__(self) -> None:
        if self.max_bytes < 10_000:
            raise ValueError(f"max_bytes: found {self.max_bytes}, expected at least 10000")
        if not 1 <= self.backup_count <= 1000:
            raise ValueError(f"backup_count: found {self.backup_count}, expected 1 to 1000")


class Log:
    """Of one session, from when it is made until `close`. The wire is in it when `WIRE` is enabled."""

    def __init__(self, settings: LogSettings, application: str, bus: EventBus) -> None:
        """Open the file and begin to write.

        Args:
            settings: where, and how much.
            application: of the session; it stands in every line.
            bus: its events are written; it gets a note when they cannot be written any more.

        Raises:
            ConfigError: nobody knows where the file is, see `log_path`.
        """
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._is_reported = False
        self._repeats = RepeatedWaits()
        self._file = _LogFile(settings, self._report_from_thread)
        self._file.setFormatter(_JsonFormatter(application))
        records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._queue = _UnpreparedQueueHandler(records)
        self._listener = QueueListener(records, self._file)
        try:
            self._file.begin()
        except OSError as error:  # no front end is there yet
            self._is_reported = True
            say(f"rolldeck: the log {clean(self._file.baseFilename)} cannot be written: {error.strerror}")
        self._listener.start()
        self._unsubscribe = bus.subscribe(self._enqueue)
        WIRE.addHandler(self._queue)

    async def close(self) -> None:
        """Write what is still to be written."""
        self._unsubscribe()
        WIRE.removeHandler(self._queue)
        await asyncio.to_thread(self._listener.stop)
        with contextlib.suppress(OSError, ValueError):  # it has been reported
            self._file.close()

    def _enqueue(self, record: Record) -> None:
        if not self._repeats.has(record.event):
            self._queue.handle(logging.makeLogRecord({"msg": record}))

    def _report_from_thread(self, problem: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to read it
            self._loop.call_soon_threadsafe(self._report, problem)

    def _report(self, problem: str) -> None:
        if not self._is_reported:
            self._is_reported = True
            text = f"the log {self._file.baseFilename} cannot be written; continuing without it: {problem}"
            self._bus.emit(NodeNote(node="", text=text))


class _UnpreparedQueueHandler(QueueHandler):
    """Hands on the values as they are: they are frozen, and making text of them is the thread's work."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _JsonFormatter(logging.Formatter):
    """One JSON object for each event, or exchange on the wire."""

    def __init__(self, application: str) -> None:
        super().__init__()
        self._head = {"pid": os.getpid(), "application": application}

    def format(self, record: logging.LogRecord) -> str:
        logged: object = record.msg
        if isinstance(logged, Record):
            time = logged.at
            fields = {"seq": logged.seq, **msgspec.to_builtins(logged.event)}
        elif isinstance(logged, CommandFinished):
            time = record.created
            fields = {"event": "wire", **msgspec.to_builtins(logged)}
            for name in ("command", "reply"):
                fields[name] = redact(fields[name])[:MAX_TEXT_CHARS]
        else:
            raise TypeError(type(logged).__name__)
        at = datetime.fromtimestamp(time, UTC).astimezone().isoformat(timespec="milliseconds")
        return visible_json(msgspec.json.encode({"time": at, **self._head, **_redact_all(fields)}).decode())


class _LogFile(RotatingFileHandler):
    """Readable for its owner only, and shared with other processes: each may rotate it, one at a time.

    Only who rotates it takes a lock, on the file itself, and nobody waits for it: lines are appended, and
    what is written while another process rotates is in the first backup. Why no library does all this:
    docs/adr/0009-own-log-rotation.md.
    """

    def __init__(self, settings: LogSettings, report: Callable[[str], None]) -> None:
        """Plan the file; `begin` opens it.

        Args:
            settings: where, and how much.
            report: called in the thread that writes, with what has gone wrong.
        """
        super().__init__(
            log_path(settings.path),
            maxBytes=settings.max_bytes,
            backupCount=settings.backup_count,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        self._report = report

    def begin(self) -> None:
        """Open it. Raises OSError."""
        self.stream = self._open()

    def _open(self) -> TextIOWrapper:
        file = open_own(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        return open(file, "a", encoding=self.encoding, errors=self.errors)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the name is logging's
        if self.stream and not self._is_in_place(self.stream):
            self._open_again(self.stream)
        if not super().shouldRollover(record) or self.stream is None:
            return False
        return self._lock(self.stream)

    def _lock(self, stream: TextIOWrapper) -> bool:
        """Whether it is ours to rotate: not while another process does, nor when one just has."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        if self._is_in_place(stream):
            return True
        self._open_again(stream)
        return False

    def doRollover(self) -> None:  # noqa: N802 - the name is logging's
        """Holds the lock, which ends when its file is closed, until all files have their new names."""
        lock = os.dup(self.stream.fileno()) if self.stream else None
        try:
            super().doRollover()
        finally:
            if lock is not None:
                os.close(lock)

    def _open_again(self, stream: TextIOWrapper) -> None:
        stream.close()
        self.stream = None  # it may not be possible to open it
        self.stream = self._open()

    def _is_in_place(self, stream: TextIOWrapper) -> bool:
        """Not so when another process has rotated it, or somebody has removed it."""
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Instead of a traceback on standard error."""
        error = sys.exc_info()[1]
        self._report(getattr(error, "strerror", None) or type(error).__name__)


def _redact_all(value: Any) -> Any:
    """A copy without secrets: of text, and of all that is in lists and tables."""
    match value:
        case str():
            return redact(value).encode(errors="backslashreplace").decode()  # JSON knows no lone surrogates
        case dict():
            return {name: _redact_all(item) for name, item in value.items()}
        case list() | tuple():
            return [_redact_all(item) for item in value]
    return value
