"""The file: one SQLite database in WAL mode, append-only, readable while it is written.

Every event is one transaction that is on the disk before `append` returns: what is about to be sent stands
there before it leaves this machine. A truth is never half written: a row is there, or it is not.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from backends.own_files import prepare_database
from orchestrator.errors import JournalError
from orchestrator.events import AnyEvent, Record, to_json

Kind = Literal["upgrade", "rollback", "change"]

VERSION = 1  # of the tables; `PRAGMA user_version`
BUSY_SECONDS = 5.0  # to wait for another writer

_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    application TEXT NOT NULL,
    version TEXT NOT NULL,
    operator TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    began REAL NOT NULL,
    ended REAL,
    result TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    follows INTEGER,
    plan TEXT NOT NULL,
    plan_hash TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_by_application ON entries (application, id);
CREATE TABLE IF NOT EXISTS events (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (entry, seq)
) WITHOUT ROWID;
"""
_COLUMNS = (
    "id, kind, application, version, operator, host, pid, began, ended, result, reason, follows, plan,"
    " plan_hash"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One rollout, or one change by hand.

    Attributes:
        ended: seconds since 1970; None while it runs, and for ever when whoever ran it was killed.
        result: how it ended; empty without an end.
        follows: the entry that this one resumes or rolls back.
        plan: as `rolldeck plan --json` shows it.
        intact: the plan is the one that was written: its hash is right.
    """

    id: int
    kind: Kind
    application: str
    version: str
    operator: str
    host: str
    pid: int
    began: float
    ended: float | None
    result: str
    reason: str
    follows: int | None
    plan: dict[str, Any]
    intact: bool


class Journal:
    """Opens the file, and makes it when it is not there. All methods raise JournalError.

    Args:
        path: of the database; its folder is made if it is missing. See `backends.own_files` for whose they
            may be.
        read_only: nothing is written, also no file; a missing one reads as empty.
        named: somebody wants to read just this one, whosever it is.
    """

    def __init__(self, path: Path, *, read_only: bool = False, named: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._named = named
        with self._explained():
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            if not os.path.lexists(self.path):
                return _empty()
            if not self._named:
                prepare_database(self.path, create=False)
            where = f"file:{_quoted(self.path)}?mode=ro"
        else:
            prepare_database(self.path, create=True)
            where = f"file:{_quoted(self.path)}?mode=rw"
        connection = sqlite3.connect(where, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            version = self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        if version == 0 and self._read_only:  # whoever made it was killed before its tables were there
            connection.close()
            return _empty()
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> int:
        connection.execute("PRAGMA foreign_keys = ON")
        if not self._read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._read_only:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version > VERSION:
            raise JournalError(self.path, f"was written by a newer Rolldeck (tables {version})")
        return version

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------

    def begin(
        self,
        kind: Kind,
        *,
        application: str,
        version: str,
        operator: str,
        host: str,
        pid: int,
        at: float,
        plan: dict[str, Any],
        follows: int | None = None,
    ) -> int:
        """A new entry; returns its id."""
        text = json.dumps(plan, sort_keys=True)
        values = (kind, application, version, operator, host, pid, at, follows, text, _hash(text))
        names = "kind, application, version, operator, host, pid, began, follows, plan, plan_hash"
        with self._explained():
            marks = ", ".join("?" * len(values))
            cursor = self._connection.execute(f"INSERT INTO entries ({names}) VALUES ({marks})", values)  # noqa: S608
        return int(cursor.lastrowid or 0)

    def append(self, entry: int, record: Record) -> None:
        """Add an event; it is on the disk when this returns."""
        with self._explained():
            self._insert(entry, record)

    def end(self, entry: int, record: Record, result: str, reason: str) -> None:
        """Add the last event and end the entry with it: both are there, or neither."""
        with self._explained(), self._whole():
            self._insert(entry, record)
            self._connection.execute(
                "UPDATE entries SET ended = ?, result = ?, reason = ? WHERE id = ?",
                (record.at, result, reason, entry),
            )

    def _insert(self, entry: int, record: Record) -> None:
        self._connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            (entry, record.seq, record.at, to_json(record).decode()),
        )

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def prune(self, before: float) -> int:
        """Forget entries that ended healthy before this time; returns how many.

        One without an end, or that left something undone, is kept whatever its age.
        """
        with self._explained():
            cursor = self._connection.execute(
                "DELETE FROM entries WHERE ended IS NOT NULL AND ended < ? AND result = 'healthy'", (before,)
            )
        return cursor.rowcount

    # -- reading ------------------------------------------------------------------------------

    def entries(self, application: str = "", *, limit: int = -1) -> list[Entry]:
        """The newest first; of all applications when none is given."""
        where = "WHERE application = ?" if application else ""
        values = [application] if application else []
        return self._entries(f"{where} ORDER BY id DESC LIMIT ?", [*values, limit])

    def entry(self, entry: int) -> Entry | None:
        """One by its id; None when there is none."""
        return next(iter(self._entries("WHERE id = ?", [entry])), None)

    def _entries(self, rest: str, values: list[Any]) -> list[Entry]:
        with self._explained():
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries {rest}", values).fetchall()  # noqa: S608
            return [_entry(*row) for row in rows]

    def records(self, entry: int, *names: str) -> Iterator[Record]:
        """Its events in order, as far as they are written; with names such as "turn_began" only those."""
        only = f"AND json_extract(event, '$.event') IN ({', '.join('?' * len(names))})" if names else ""
        with self._explained():
            rows = self._connection.execute(
                f"SELECT seq, at, event FROM events WHERE entry = ? {only} ORDER BY seq",  # noqa: S608
                (entry, *names),
            ).fetchall()
            for seq, at, text in rows:
                yield Record(seq, at, msgspec.json.decode(text, type=AnyEvent))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise JournalError(self.path, str(error)) from error
        except OSError as error:
            raise JournalError(self.path, error.strerror or str(error)) from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise JournalError(self.path, f"cannot be understood: {error}") from error


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    return connection


def _entry(*row: Any) -> Entry:
    *fields, plan, plan_hash = row
    return Entry(*fields, json.loads(plan), _hash(plan) == plan_hash)  # type: ignore[call-arg]


def _hash(plan: str) -> str:
    return hashlib.sha256(plan.encode()).hexdigest()


def _quoted(path: Path) -> str:
    """A path for SQLite's URI form, in which `?`, `#` and `%` mean something."""
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
