"""The tables of the journal, as a numbered list of changes: `PRAGMA user_version` says how many were made.

Changes only ever add to what is there, so that a process of an earlier Rolldeck that has the file open can
go on writing until its work is done. A change that was released is never edited; the next one is appended.
"""

import sqlite3
from collections.abc import Callable, Sequence

from orchestrator.journal import chain
from orchestrator.journal.chain import transaction

Migration = Callable[[sqlite3.Connection], None]

_ENTRIES = """
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
)
"""
_EVENTS = """
CREATE TABLE IF NOT EXISTS events (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (entry, seq)
) WITHOUT ROWID
"""


def _entries_and_events(connection: sqlite3.Connection) -> None:
    connection.execute(_ENTRIES)
    connection.execute("CREATE INDEX IF NOT EXISTS entries_by_application ON entries (application, id)")
    connection.execute(_EVENTS)


MIGRATIONS: Sequence[Migration] = (_entries_and_events, chain.create)

VERSION = len(MIGRATIONS)  # of the tables, that this Rolldeck writes


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations a file has; 0 for one without tables."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make all changes that are missing, in one transaction: all of them are there afterwards, or none.

    Args:
        connection: in autocommit mode. Others may have the file open; one of them may be migrating it.
        migrations: all that there are.

    Raises:
        sqlite3.Error: it could not be done, such as on a full disk; the file is as it was.
    """
    with transaction(connection):
        for number, change in enumerate(migrations[version_of(connection) :], version_of(connection) + 1):
            change(connection)
            connection.execute(f"PRAGMA user_version = {number}")
