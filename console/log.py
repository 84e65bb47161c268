"""The log: every event of a session as a line of JSON, in a file that is rotated. For whoever looks later.

Lines are made and written in a thread of their own, so that a slow disk holds up nothing; and a log that
cannot be written says so once and stops nothing. (The journal is another thing: without it nothing is done.)
"""

import asyncio
import contextlib
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

from backends.debug_log import MOST, WIRE
from backends.local_files import open_own
from backends.model import Exchange
from backends.secrets import redact
from backends.text import visible_json
from console.output.text import clean, say
from console.paths import log_path
from orchestrator.bus import Bus
from orchestrator.events import NodeNote, Record
from orchestrator.repeats import Repeats


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

    def __init__(self, settings: LogSettings, application: str, bus: Bus) -> None:
        """
        Args:
            settings: where, and how much.
            application: of the session; it stands in every line.
            bus: what is written down, and where it is said when that does not work any more.
        """
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._told = False
        self._repeats = Repeats()
        self._file = _File(settings, self._tell_from_thread)
        self._file.setFormatter(_Lines(application))
        waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._queue = _Queue(waiting)
        self._listener = QueueListener(waiting, self._file)
        try:
            self._file.begin()
        except OSError as error:  # no front end is there yet
            self._told = True
            say(f"rolldeck: the log {clean(self._file.baseFilename)} cannot be written: {error.strerror}")
        self._listener.start()
        self._unsubscribe = bus.subscribe(self._follow)
        WIRE.addHandler(self._queue)

    async def close(self) -> None:
        """Write what is still to be written."""
        self._unsubscribe()
        WIRE.removeHandler(self._queue)
        await asyncio.to_thread(self._listener.stop)
        with contextlib.suppress(OSError, ValueError):  # it has been said
            self._file.close()

    def _follow(self, record: Record) -> None:
        if not self._repeats.has(record.event):
            self._queue.handle(logging.makeLogRecord({"msg": record}))

    def _tell_from_thread(self, problem: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._tell, problem)

    def _tell(self, problem: str) -> None:
        if not self._told:
            self._told = True
            text = f"the log {self._file.baseFilename} cannot be written, and goes on without: {problem}"
            self._bus.emit(NodeNote(node="", text=text))


class _Queue(QueueHandler):
    """Hands on the values as they are: they are frozen, and making text of them is the thread's work."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _Lines(logging.Formatter):
    """One JSON object for each event, or exchange on the wire."""

    def __init__(self, application: str) -> None:
        super().__init__()
        self._head = {"pid": os.getpid(), "application": application}

    def format(self, record: logging.LogRecord) -> str:
        said: object = record.msg
        if isinstance(said, Record):
            time = said.at
            more = {"seq": said.seq, **msgspec.to_builtins(said.event)}
        elif isinstance(said, Exchange):
            time = record.created
            more = {"event": "wire", **msgspec.to_builtins(said)}
            for name in ("command", "reply"):
                more[name] = redact(more[name])[:MOST]
        else:
            raise TypeError(type(said).__name__)
        at = datetime.fromtimestamp(time, UTC).astimezone().isoformat(timespec="milliseconds")
        return visible_json(msgspec.json.encode({"time": at, **self._head, **_redacted(more)}).decode())


class _File(RotatingFileHandler):
    """Readable for its owner only, and shared with other processes: each may rotate it."""

    def __init__(self, settings: LogSettings, tell: Callable[[str], None]) -> None:
        super().__init__(
            log_path(settings.path),
            maxBytes=settings.max_bytes,
            backupCount=settings.backup_count,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        self._tell = tell

    def begin(self) -> None:
        """Open it. Raises OSError."""
        self.stream = self._open()

    def _open(self) -> TextIOWrapper:
        file = open_own(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        return open(file, "a", encoding=self.encoding, errors=self.errors)

    def shouldRollover(self, record: logging.LogRecord) -> int:
        if self.stream and not self._is_still_there(self.stream):
            self.stream.close()
            self.stream = None  # it may not be possible to open it again
            self.stream = self._open()
        return super().shouldRollover(record)

    def _is_still_there(self, stream: TextIOWrapper) -> bool:
        """Not so when another process has rotated it, or somebody has removed it."""
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(stream.fileno()))
        except FileNotFoundError:
            return False

    def handleError(self, record: logging.LogRecord) -> None:
        """Instead of a traceback on standard error."""
        error = sys.exc_info()[1]
        self._tell(getattr(error, "strerror", None) or type(error).__name__)


def _redacted(value: Any) -> Any:
    """A copy without secrets: of text, and of all that is in lists and tables."""
    match value:
        case str():
            return redact(value).encode(errors="backslashreplace").decode()  # JSON knows no lone surrogates
        case dict():
            return {name: _redacted(each) for name, each in value.items()}
        case list() | tuple():
            return [_redacted(each) for each in value]
    return value
