"""The journal's file: an append-only SQLite database in WAL mode, readable while it is written.

Every event is one transaction that is on disk before `append` returns, so that a command is recorded
before it leaves this machine. A row is never half written. A hash covers each row, see
`orchestrator.journal.chain`.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from backends.local_files import identify_database, is_database_in_place, prepare_database
from orchestrator.errors import JournalError
from orchestrator.events.events import Record
from orchestrator.journal import chain
from orchestrator.journal.chain import transaction
from orchestrator.journal.entries import (
    COLUMNS,
    EVENT_NAMES,
    UNREADABLE_NAME,
    Entry,
    EntryHeader,
    Kind,
    Summary,
    Time,
    decode_row,
    encode_plan_column,
    encode_row,
    ending,
    event_name,
    plan_hash,
    read_entry,
    read_summaries,
)
from orchestrator.journal.migrations import VERSION, migrate, version_of
from orchestrator.journal.verification import Verification, find, verify

__all__ = ["Entry", "Journal", "Kind", "Time"]

BUSY_TIMEOUT_S = 5.0  # to wait for another writer


class Journal:
    """Opens the file, and makes it when it is not there. All methods raise JournalError.

    Args:
        path: of the database; its folder is made if it is missing. See `backends.local_files` for whose they
            may be.
        read_only: nothing is written, also no file; a missing one reads as empty.
        named: an operator has named this file, so that it may belong to anybody.
        check: read all of it to see whether it is damaged, which takes a while for a large one.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, named: bool = False, check: bool = True
    ) -> None:
        self.path = path
        self._read_only = read_only
        self._named = named
        self._check = check
        self.is_there = True  # not for a missing file that is only read
        with self._explained():
            self._connection = self._open()
            self._files = identify_database(path)

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            if not os.path.lexists(self.path):
                self.is_there = False
                return _open_empty()
            if not self._named:
                prepare_database(self.path, create=False)
            where = f"file:{_quote(self.path)}?mode=ro"
        else:
            prepare_database(self.path, create=True)
            where = f"file:{_quote(self.path)}?mode=rw"
        connection = sqlite3.connect(where, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        connection.text_factory = lambda text: text.decode(errors="replace")  # somebody may have changed it
        try:
            version = self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        if version == 0 and self._read_only:  # its process was killed before it had made the tables
            connection.close()
            self.is_there = False
            return _open_empty()
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> int:
        connection.execute("PRAGMA foreign_keys = ON")
        if not self._read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if self._check else "ok"
        if found != "ok":
            raise JournalError(self.path, found, damaged=True)
        version = version_of(connection)
        if version > VERSION:
            known = f"this one knows tables 1 to {VERSION}"
            raise JournalError(self.path, f"was written by a newer Rolldeck (tables {version}); {known}")
        if version < VERSION and not self._read_only:
            migrate(connection)
        return version

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------

    def begin(self, header: EntryHeader, entry: int | None = None) -> int:
        """Begin an entry; returns its id, which is `entry` if it takes the place of a discarded one."""
        text = encode_plan_column(header)
        values = (
            entry,
            header.kind,
            header.application,
            header.version,
            header.operator,
            header.host,
            header.pid,
            header.began,
            header.follows,
            text,
            plan_hash(text),
        )
        names = "id, kind, application, version, operator, host, pid, began, follows, plan, plan_hash"
        with self.transaction():
            marks = ", ".join("?" * len(values))
            cursor = self._connection.execute(f"INSERT INTO entries ({names}) VALUES ({marks})", values)  # noqa: S608 - texts of our own; values are bound
            entry = int(cursor.lastrowid or 0)
            chain.begin(self._connection, entry)
        return entry

    def append(self, entry: int, record: Record) -> str:
        """Add an event; it is on the disk when this returns. Returns the new head, see `head`."""
        with self.transaction():
            return self._insert(entry, record)

    def end(self, entry: int, record: Record, result: str, reason: str) -> str:
        """Add the last event and end the entry with it: both are there, or neither. Returns the new head."""
        with self.transaction():
            head = self._insert(entry, record)
            self._connection.execute(
                "UPDATE entries SET ended = ?, result = ?, reason = ? WHERE id = ?",
                (record.at, result, reason, entry),
            )
        return head

    def record(self, entry: int, kind: Kind, record: Record) -> str:
        """Add an event, and end the entry if it does that. Returns the new head."""
        end = ending(kind, record.event)
        return self.append(entry, record) if end is None else self.end(entry, record, *end)

    def seal(self, entry: int) -> None:
        """Seal an entry to which nothing more is added: if its last events are removed, that is detected."""
        with self.transaction():
            chain.seal(self._connection, entry)

    def _insert(self, entry: int, record: Record) -> str:
        text = encode_row(record)
        at = record.at + 0.0  # SQLite knows no negative zero
        self._connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)", (entry, record.seq, at, text.decode())
        )
        return chain.extend(self._connection, entry, record.seq, at, text).hex()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written within when the block ends, or undo all of it; may be nested."""
        with self._explained():
            try:
                self.check_in_place()  # SQLite would go on where nobody reads
                with transaction(self._connection):
                    yield
            except (sqlite3.Error, JournalError):
                self._connection.execute("PRAGMA busy_timeout = 0")  # the work ends: no event delays that
                raise

    def check_in_place(self) -> None:
        """Check that the files are still those that were opened, which costs little."""
        if not is_database_in_place(self.path, self._files):
            raise JournalError(self.path, "was removed or replaced while it was in use; put it back")

    def discard(self, entry: int) -> None:
        """Remove an entry that has no hashes, such as half of one of another machine, to write it anew."""
        with self.transaction():
            begun = "SELECT entry FROM links WHERE what = 'begun'"
            where = f"id = ? AND id NOT IN ({begun})"
            self._connection.execute(f"DELETE FROM entries WHERE {where}", (entry,))  # noqa: S608 - texts of our own; values are bound

    def prune(self, before: float) -> int:
        """Forget entries that ended healthy before this time, and commands of operators; returns how many.

        An entry without an end, or that left something unfinished, is kept regardless of its age.
        """
        old = (
            "SELECT id FROM entries WHERE ended IS NOT NULL AND ended < ?"
            " AND (result = 'healthy' OR kind = 'command') ORDER BY id"
        )
        with self.transaction():
            found = [entry for (entry,) in self._connection.execute(old, (before,)).fetchall()]
            for entry in found:
                chain.forget(self._connection, entry)
                self._connection.execute("DELETE FROM entries WHERE id = ?", (entry,))
        return len(found)

    # -- reading ------------------------------------------------------------------------------

    def entries(
        self,
        application: str = "",
        *,
        limit: int = -1,
        unknown: bool = False,
        before: int = 0,
        commands: bool = False,
    ) -> list[Entry]:
        """Return entries, the newest first; those of all applications when none is given.

        Args:
            application: the application to which they belong.
            limit: their number at most.
            unknown: include those that cannot be read, see `Entry.problem`.
            before: only entries with a smaller id than this one; 0 for all.
            commands: include what operators ran beside rollouts, which decides nothing.
        """
        # Left out by the query, so that many shells do not keep a rollout beyond the limit.
        conditions = {
            "application = ?": application,
            "id < ?": before,
            "kind IS NOT ?": "" if commands else "command",
        }
        used = {condition: value for condition, value in conditions.items() if value}
        where = f"WHERE {' AND '.join(used)}" if used else ""
        found = self._entries(f"{where} ORDER BY id DESC LIMIT ?", [*used.values(), limit])
        return [entry for entry in found if unknown or not entry.problem]

    def entry(self, entry: int) -> Entry | None:
        """Return an entry by its id, even one that cannot be read; None when there is none."""
        return next(iter(self._entries("WHERE id = ?", [entry])), None)

    def _entries(self, rest: str, values: list[Any]) -> list[Entry]:
        with self._explained():
            rows = self._connection.execute(f"SELECT {COLUMNS} FROM entries {rest}", values).fetchall()  # noqa: S608 - texts of our own; values are bound
            return [read_entry(row) for row in rows]

    def version(self) -> int:
        """Return a number that changes whenever another connection has written something."""
        with self._explained():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def summaries(self, after: int = 0, *, limit: int = -1, without_end: bool = False) -> list[Summary]:
        """Return the entries with higher ids, the newest first, without those that cannot be read.

        What operators ran beside rollouts is left out, as by `entries`.

        Args:
            after: an id.
            limit: their number at most.
            without_end: only those that have not ended.
        """
        where = f"id > ? AND kind IS NOT 'command'{' AND ended IS NULL' if without_end else ''}"
        query = f"SELECT id, kind, application, host FROM entries WHERE {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - texts of our own; values are bound
        with self._explained():
            return read_summaries(self._connection.execute(query, (after, limit)).fetchall())

    def records(self, entry: int, *names: str, after: int = 0, limit: int = -1) -> Iterator[Record]:
        """Yield the events of an entry in their order, as far as they are written.

        Args:
            entry: its id.
            after: only events with a higher number.
            limit: their number at most.
            names: of the events to yield, such as "node_started"; all that cannot be read come too, as
                `Unreadable`. Events of earlier schemas go by the names of today.
        """
        others = sorted(EVENT_NAMES.difference(names)) if names else []
        # What is no JSON would end the whole query.
        kind = (
            "CASE WHEN typeof(event) = 'text' AND json_valid(event) THEN json_extract(event, '$.event') END"
        )
        only = f"AND coalesce({kind}, '') NOT IN ({', '.join('?' * len(others))})" if names else ""
        newer = "AND seq > ?" if after else ""
        with self._explained():
            rows = self._connection.execute(
                "SELECT seq, at, CAST(event AS BLOB) FROM events"  # noqa: S608 - texts of our own; values are bound
                f" WHERE entry = ? {only} {newer} ORDER BY seq LIMIT ?",
                (entry, *others, *([after] if after else []), limit),
            ).fetchall()
            before: Record | None = None
            for seq, at, text in rows:
                before = decode_row(seq, at, text or b"", before)
                if not names or event_name(before.event) in (*names, UNREADABLE_NAME):
                    yield before

    def head(self, entry: int) -> str:
        """Return the hash that covers all that is written of an entry, in hexadecimal; else empty."""
        with self._explained():
            found = chain.tail(self._connection, entry) if self._chained() else None
        return found[1].hex() if found is not None else ""

    def verify(self, entry: int | None = None) -> Verification:
        """Calculate the hashes of all entries, or of one, and compare them with those in the file."""
        with self._explained():
            return verify(self._connection, entry)

    def find(self, head: str) -> tuple[int, int] | None:
        """Return the entry and the event to which a head belongs that left this machine; None if to none."""
        with self._explained():
            return find(self._connection, head)

    def _chained(self) -> bool:
        """Return whether there are hashes: an old file that is only read has none until it is migrated."""
        return version_of(self._connection) >= chain.FIRST_HASHED_VERSION

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds for its own kinds
            damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            raise JournalError(self.path, str(error), damaged=damaged) from error
        except OSError as error:
            raise JournalError(self.path, error.strerror or str(error)) from error
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise JournalError(self.path, f"cannot be understood: {error}") from error


def _open_empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def _quote(path: Path) -> str:
    """Return a path for SQLite's URI form, in which `?`, `#` and `%` mean something."""
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
