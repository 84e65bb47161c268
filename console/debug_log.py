"""The log file: every event of a session as a line of JSON, rotated by size.

Lines are formatted and written in a thread of their own, so that a slow disk delays nothing. A log that
cannot be written is reported once and stops nothing. (The journal is different: without it, nothing is done.)
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import sys
import threading
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
from console.interrupts import interrupts
from console.paths import log_path
from console.terminal.output import clean, say
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Record
from orchestrator.events.text import RepeatedEvents

CLOSE_TIMEOUT_S = 5.0  # for the last lines to be written


class LogSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The `[log]` table."""

    path: str = ""  # default: rolldeck.log in the XDG state folder
    max_bytes: int = 10_000_000  # of one file, which then becomes rolldeck.log.1
    backup_count: int = 5  # full files that are kept

    def __post_init__(self) -> None:
        if self.max_bytes < 10_000:
            raise ValueError(f"max_bytes: found {self.max_bytes}, expected at least 10000")
        if not 1 <= self.backup_count <= 1000:
            raise ValueError(f"backup_count: found {self.backup_count}, expected 1 to 1000")


class Log:
    """The log of one session, written until `close`; it has the wire traffic while `WIRE` is enabled."""

    def __init__(self, settings: LogSettings, application: str, bus: EventBus) -> None:
        """Open the file and begin to write.

        Args:
            settings: where, and how much.
            application: of the session; every line has it.
            bus: its events are written; it gets a note once they cannot be written.

        Raises:
            ConfigError: the folder of the file is unknown; see `log_path`.
        """
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._is_reported = False
        self._repeats = RepeatedEvents()
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
        """Write what is pending, and close the file; a disk that does not answer is not waited for long."""
        self._unsubscribe()
        WIRE.removeHandler(self._queue)
        closing = threading.Thread(target=self._finish, name="log", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_TIMEOUT_S)
        if closing.is_alive():
            interrupts.unclosed = True
            file = clean(self._file.baseFilename)
            say(f"rolldeck: the log {file} cannot be closed: its disk does not answer")

    def _finish(self) -> None:
        self._listener.stop()
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
            with contextlib.suppress(Exception):  # an unwritable journal stops the rollout, not the log
                self._bus.emit(NodeNote(node="", text=text))


class _UnpreparedQueueHandler(QueueHandler):
    """Queue handler that passes records on as they are: they are frozen, and the thread formats them."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _JsonFormatter(logging.Formatter):
    """Formats each event, or exchange on the wire, as one JSON object."""

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
    """A log file that only its owner can read, and that several processes may write and rotate.

    Only the process that rotates takes a lock, on the file itself, and no process waits for it: lines are
    appended, and those written during a rotation end up in the first backup. Why no library does this:
    docs/adr/0009-own-log-rotation.md.
    """

    def __init__(self, settings: LogSettings, report: Callable[[str], None]) -> None:
        """Plan the file; `begin` opens it.

        Args:
            settings: where, and how much.
            report: called in the writing thread with what has gone wrong.
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
        """Open the file. Raises OSError."""
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
        """Return whether to rotate now: not while another process does, nor right after one has."""
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
        """Rotate the files; the lock is held until all of them have their new names."""
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
        """Return whether this is still the file at its path; it may have been rotated or removed."""
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Report the error instead of printing a traceback to standard error."""
        error = sys.exc_info()[1]
        self._report(getattr(error, "strerror", None) or type(error).__name__)


def _redact_all(value: Any) -> Any:
    """Return a copy without secrets of a text, or of all texts in lists and tables."""
    match value:
        case str():
            return redact(value).encode(errors="backslashreplace").decode()  # JSON knows no lone surrogates
        case dict():
            return {name: _redact_all(item) for name, item in value.items()}
        case list() | tuple():
            return [_redact_all(item) for item in value]
    return value
