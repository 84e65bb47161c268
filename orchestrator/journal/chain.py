"""The hash chains that reveal a changed journal.

Each entry has a chain: its first hash covers what `entries` says of it (number, kind, application, version,
operator, host, process, time, what it follows, the plan's hash), and that of each event covers the hash
before it, the entry, the event's number, its time and its bytes. The last hash is the *head*: it
covers everything that was written of this entry until then.

The journal has a chain of its own, of *links*: `made` (the first one; entries up to its number are older
than the chains), `begun` (with an entry's first hash, which also covers the link before it), `sealed` (the
head of an entry when its writer was done, or was found dead) and `pruned` (the head of one that was
removed because of its age). The head of an entry therefore also covers all that was begun, sealed and
pruned before it.

What this proves: with a head that has left this machine (each published state and the payload of each hook
contain it) anybody can tell whether the journal still has the same content up to that event. Without such a
head, verification finds only changes by somebody who did not calculate the hashes anew: they contain no
secret, and a user who may write the file can write all of them. Events after the last seal or known head can
be cut off without a trace, and the process that writes an entry could write down what is not true.
"""

import contextlib
import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterator

FIRST_HASHED_VERSION = 2  # version of the tables that has hashes
START = bytes(32)  # precedes the first link

_LINKS = """
CREATE TABLE IF NOT EXISTS links (
    number INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    entry INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL,
    hash BLOB NOT NULL
)
"""
_HASHES = """
CREATE TABLE IF NOT EXISTS hashes (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (entry, seq)
) WITHOUT ROWID
"""
_HEADER = "id, kind, application, version, operator, host, pid, began, follows, plan_hash"


def create(connection: sqlite3.Connection) -> None:
    """Create the tables of the second migration. Entries that are there already get no hashes."""
    connection.execute(_LINKS)
    connection.execute("CREATE INDEX IF NOT EXISTS links_by_entry ON links (entry, what)")
    connection.execute(_HASHES)
    if connection.execute("SELECT 1 FROM links LIMIT 1").fetchone() is None:
        newest = connection.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]
        _link(connection, "made", newest, 0, START)


# -- hashes -----------------------------------------------------------------------------------


def link_hash(previous: bytes, what: str, entry: int, seq: int, head: bytes) -> bytes:
    """Return the hash of one link of the journal's chain."""
    return _sha256(b"link", previous, what.encode(), struct.pack(">qq", entry, seq), head)


def first_hash(connection: sqlite3.Connection, previous: bytes, entry: int) -> bytes:
    """Return the hash of an entry without its events; `previous` is the link before its own."""
    header = connection.execute(f"SELECT {_HEADER} FROM entries WHERE id = ?", (entry,)).fetchone()  # noqa: S608 - texts of our own; values are bound
    return _sha256(b"entry", previous, json.dumps(header).encode())


def event_hash(previous: bytes, entry: int, seq: int, at: float, event: bytes) -> bytes:
    """Return the hash of one event."""
    return _sha256(b"event", previous, struct.pack(">qqd", entry, seq, at), event)


def _sha256(*parts: bytes) -> bytes:
    """Hash each part with its length, so that what belongs to one cannot be moved to the next."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
    return digest.digest()


# -- writing: each within the transaction of what it covers ---------------------------------------


def begin(connection: sqlite3.Connection, entry: int) -> None:
    """Begin the chain of an entry that was just inserted, and seal abandoned ones of its application."""
    _seal_abandoned(connection, entry)
    head = first_hash(connection, journal_head(connection), entry)
    _link(connection, "begun", entry, 0, head)


def extend(connection: sqlite3.Connection, entry: int, seq: int, at: float, event: bytes) -> bytes:
    """Add the hash of an event, in the transaction that inserts it.

    Returns:
        The new head of the entry; empty when it was begun without hashes.

    Raises:
        sqlite3.IntegrityError: the number is not greater than the one before.
    """
    found = tail(connection, entry)
    if found is None:
        return b""
    last, head = found
    if last is not None and seq <= last:
        raise sqlite3.IntegrityError(f"event {seq} of entry {entry} comes after event {last}")
    new = event_hash(head, entry, seq, at, event)
    connection.execute("INSERT INTO hashes VALUES (?, ?, ?)", (entry, seq, new))
    return new


def seal(connection: sqlite3.Connection, entry: int) -> None:
    """Seal an entry once its writer is done with it."""
    _link_tail(connection, "sealed", entry)


def forget(connection: sqlite3.Connection, entry: int) -> None:
    """Record the head of an entry that is about to be removed because of its age."""
    _link_tail(connection, "pruned", entry)


def _link_tail(connection: sqlite3.Connection, what: str, entry: int) -> None:
    with transaction(connection):
        found = tail(connection, entry)
        if found is not None:
            last, head = found
            _link(connection, what, entry, last or 0, head)


def _seal_abandoned(connection: sqlite3.Connection, entry: int) -> None:
    """Seal unsealed entries of the application: it has one lock, so their writers are dead or lost it."""
    rows = connection.execute(
        "SELECT id FROM entries JOIN links ON links.entry = id AND what = 'begun'"
        " WHERE application = (SELECT application FROM entries WHERE id = ?) AND id <> ?"
        " AND NOT EXISTS (SELECT 1 FROM links WHERE links.entry = id AND what = 'sealed')",
        (entry, entry),
    ).fetchall()
    for (abandoned,) in rows:
        seal(connection, abandoned)


def _link(connection: sqlite3.Connection, what: str, entry: int, seq: int, head: bytes) -> None:
    new = link_hash(journal_head(connection), what, entry, seq, head)
    connection.execute(
        "INSERT INTO links (what, entry, seq, head, hash) VALUES (?, ?, ?, ?, ?)",
        (what, entry, seq, head, new),
    )


# -- reading ----------------------------------------------------------------------------------


def journal_head(connection: sqlite3.Connection) -> bytes:
    """Return the hash of the last link."""
    row = connection.execute("SELECT hash FROM links ORDER BY number DESC LIMIT 1").fetchone()
    return _check_hash(row[0]) if row is not None else START


def tail(connection: sqlite3.Connection, entry: int) -> tuple[int | None, bytes] | None:
    """Return the number of the last event with a hash (or None) and the head; None without a chain."""
    row = connection.execute(
        "SELECT seq, hash FROM hashes WHERE entry = ? ORDER BY seq DESC LIMIT 1", (entry,)
    ).fetchone()
    if row is not None:
        return row[0], _check_hash(row[1])
    row = connection.execute(
        "SELECT head FROM links WHERE entry = ? AND what = 'begun' ORDER BY number DESC LIMIT 1", (entry,)
    ).fetchone()
    return (None, _check_hash(row[0])) if row is not None else None


def _check_hash(found: object) -> bytes:
    if not isinstance(found, bytes):
        raise sqlite3.DatabaseError("a hash of the chain is not one; `rolldeck history verify` says more")
    return found


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is written within when the block ends, and undo it when the block raises.

    Blocks may be nested; the outermost one counts. The connection must be in autocommit mode.

    Raises:
        sqlite3.Error: another process writes for too long, or the disk is full.
    """
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has ended it already after some errors
            connection.execute("ROLLBACK")
        raise
