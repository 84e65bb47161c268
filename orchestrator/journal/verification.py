"""Verification of the journal, which calculates its hashes again; see `chain` for what that proves."""

import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.journal import chain
from orchestrator.journal.entries import decode_event, ending
from orchestrator.journal.migrations import version_of

State = Literal["intact", "unverifiable", "broken"]

MAX_PROBLEMS = 10  # problems of one entry that are named


@dataclass(frozen=True, slots=True)
class EntryVerification:
    """The result for one entry.

    Attributes:
        state: "unverifiable" for an entry that was written before there were hashes.
        events: their number.
        head: the hash that covers all of it, in hexadecimal; empty where there is none.
        sealed: number of the event up to which even removed last events are detected; None without a seal.
        problems: in words; empty unless it is broken.
    """

    entry: int
    state: State
    events: int
    head: str = ""
    sealed: int | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """The result for the journal.

    Attributes:
        entries: in their order.
        problems: of the journal as a whole: of its own chain, and of entries that are gone.
        pruned: entries that were removed because of their age.
        head: the hash that covers all entries that were begun and sealed; empty without any.
    """

    entries: tuple[EntryVerification, ...]
    problems: tuple[str, ...] = ()
    pruned: int = 0
    head: str = ""

    @property
    def intact(self) -> bool:
        """Whether nothing is broken; an unverifiable entry is not broken."""
        return not self.problems and all(entry.state != "broken" for entry in self.entries)


@dataclass(slots=True)
class _Links:
    """The journal's own chain as the file has it."""

    older: int = 0  # the last entry that was begun before there were hashes
    begun: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # the link before, the first hash
    sealed: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    pruned: dict[int, bytes] = field(default_factory=dict)
    head: bytes = b""
    problems: list[str] = field(default_factory=list)


def verify(connection: sqlite3.Connection, entry: int | None = None) -> Verification:
    """Check all entries, or one, and the journal's own chain in any case.

    Args:
        connection: to a journal, which may be of an earlier Rolldeck. What is written meanwhile is ignored.
        entry: its id.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    connection.execute("BEGIN")  # a snapshot, while others write
    # A value that is no valid text must be reported, and not prevent verification of the rest.
    as_before = connection.text_factory
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")
    try:
        where, values = ("", ()) if entry is None else ("WHERE id = ?", (entry,))
        ids = [row[0] for row in connection.execute(f"SELECT id FROM entries {where} ORDER BY id", values)]  # noqa: S608 - texts of our own; values are bound
        if version_of(connection) < chain.FIRST_HASHED_VERSION:
            return Verification(
                tuple(EntryVerification(id_, "unverifiable", _count(connection, id_)) for id_ in ids)
            )
        links = _read_links(connection)
        problems = [*links.problems, *_find_missing(connection, links)]
        entries = tuple(_verify_entry(connection, links, id_) for id_ in ids)
        return Verification(entries, tuple(problems), len(links.pruned), links.head.hex())
    finally:
        connection.text_factory = as_before
        connection.execute("ROLLBACK")


def find(connection: sqlite3.Connection, head: str) -> tuple[int, int] | None:
    """Return the position of a head that was published or given to a hook.

    Args:
        connection: to a journal.
        head: in hexadecimal.

    Returns:
        The entry and the number of the event, 0 for an entry without events; None if there is none.
    """
    if version_of(connection) < chain.FIRST_HASHED_VERSION:
        return None
    found: tuple[int, int] | None = connection.execute(
        "SELECT entry, seq FROM hashes WHERE hash = :head"
        " UNION ALL SELECT entry, seq FROM links WHERE head = :head AND what <> 'made'",
        {"head": bytes.fromhex(head)},
    ).fetchone()
    return found


# -- the journal's own chain ------------------------------------------------------------------


def _read_links(connection: sqlite3.Connection) -> _Links:
    links, previous = _Links(), chain.START
    rows = connection.execute("SELECT number, what, entry, seq, head, hash FROM links ORDER BY number")
    for expected, (number, what, entry, seq, head, found) in enumerate(rows, 1):
        try:
            right = number == expected and chain.link_hash(previous, what, entry, seq, head) == found
        except (TypeError, AttributeError, struct.error):
            right = False
        if not right:
            text = f"link {expected} of the journal's chain is not the one that was written, or is missing"
            links.problems.append(f"{text}; what follows it cannot be verified")
            break
        match what:
            case "made" if number == 1:
                links.older = entry
            case "begun" if entry not in links.begun:
                links.begun[entry] = (previous, head)
            case "sealed":
                links.sealed.setdefault(entry, []).append((seq, head))
            case "pruned":
                links.pruned[entry] = head
            case _:
                links.problems.append(f"link {number} of the journal's chain is out of place")
        previous = links.head = found
    if not links.head:
        links.problems.append("the journal's chain has no beginning")
    return links


def _find_missing(connection: sqlite3.Connection, links: _Links) -> Iterator[str]:
    there = {row[0] for row in connection.execute("SELECT id FROM entries")}
    for entry in links.begun:
        if entry not in there and entry not in links.pruned:
            yield f"entry {entry} is missing: it was begun, and was not removed because of its age"
    for entry in links.pruned:
        if entry in there:
            yield f"entry {entry} is there although it was removed because of its age"
    for table in ("events", "hashes"):
        orphans = connection.execute(
            f"SELECT DISTINCT entry FROM {table} WHERE entry NOT IN (SELECT id FROM entries)"  # noqa: S608 - texts of our own; values are bound
        )
        yield from (f"entry {row[0]} is missing, but has {table}" for row in orphans.fetchall())


# -- one entry --------------------------------------------------------------------------------


def _verify_entry(connection: sqlite3.Connection, links: _Links, entry: int) -> EntryVerification:
    count = _count(connection, entry)
    hashes = dict(_read_numbered(connection, "seq, hash FROM hashes", entry))
    if entry not in links.begun:
        if entry <= links.older and not hashes:
            return EntryVerification(entry, "unverifiable", count)
        problem = "the journal's chain does not say that it was begun"
        return EntryVerification(entry, "broken", count, problems=(problem,))
    previous, first = links.begun[entry]
    problems = [
        *_check_header(connection, entry, previous, first),
        *_check_events(connection, entry, first, hashes),
        *_check_seals(links.sealed.get(entry, []), first, hashes),
        *_check_end(connection, entry),
    ]
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"and {len(problems) - MAX_PROBLEMS} more"]
    head = next(reversed(hashes.values()), first)
    return EntryVerification(
        entry,
        "broken" if problems else "intact",
        count,
        head.hex() if isinstance(head, bytes) else "",
        max((seq for seq, _ in links.sealed.get(entry, [])), default=None),
        tuple(problems),
    )


def _count(connection: sqlite3.Connection, entry: int) -> int:
    count: int = connection.execute("SELECT count(*) FROM events WHERE entry = ?", (entry,)).fetchone()[0]
    return count


def _read_numbered(connection: sqlite3.Connection, what: str, entry: int) -> list[Any]:
    """Return rows in their order; in a file that others have written, a number may be anything."""
    where = "WHERE entry = ? AND typeof(seq) = 'integer' ORDER BY seq"
    return connection.execute(f"SELECT {what} {where}", (entry,)).fetchall()


def _check_header(connection: sqlite3.Connection, entry: int, previous: bytes, first: bytes) -> Iterator[str]:
    try:
        right = chain.first_hash(connection, previous, entry) == first
    except TypeError:  # other types than were written
        right = False
    if not right:
        yield "its operator, host, process, time, application, version, kind or plan's hash was changed"
    plan, plan_hash = connection.execute(
        "SELECT CAST(plan AS BLOB), plan_hash FROM entries WHERE id = ?", (entry,)
    ).fetchone()
    if hashlib.sha256(plan).hexdigest() != plan_hash:
        yield "its plan is not the one that was written"


def _check_events(
    connection: sqlite3.Connection, entry: int, first: bytes, hashes: dict[int, object]
) -> Iterator[str]:
    rows = _read_numbered(connection, "seq, at, CAST(event AS BLOB) FROM events", entry)
    events = {seq: (at, event) for seq, at, event in rows}
    if unnumbered := _count(connection, entry) - len(events):
        yield f"{unnumbered} of its events {'has' if unnumbered == 1 else 'have'} no number"
    before: object = first
    for seq in sorted({*events, *hashes}):
        if seq not in hashes:
            yield f"event {seq} was added: it has no hash"
            continue
        if seq not in events:
            yield f"event {seq} is missing"
        elif not _follows(before, entry, seq, *events[seq], hashes[seq]):
            yield f"event {seq} is not the one that was written, or one before it was removed"
        before = hashes[seq]


def _follows(before: object, entry: int, seq: int, at: float, event: bytes, found: object) -> bool:
    try:
        return isinstance(before, bytes) and chain.event_hash(before, entry, seq, at, event) == found
    except (TypeError, struct.error):  # other types than were written
        return False


def _check_seals(seals: list[tuple[int, bytes]], first: bytes, hashes: dict[int, object]) -> Iterator[str]:
    for seq, head in seals:
        if head not in (first, hashes.get(seq)):
            there = max(hashes, default=0)
            missing = f"the last one is {there}" if there < seq else "they were changed"
            yield f"it had events up to {seq} when it was sealed, and now {missing}"


def _check_end(connection: sqlite3.Connection, entry: int) -> Iterator[str]:
    """Yield a problem if the end in `entries` is not that of the last event that ends the entry."""
    kind, *stored = connection.execute(
        "SELECT kind, ended, result, reason FROM entries WHERE id = ?", (entry,)
    ).fetchone()
    ends = connection.execute(
        "SELECT at, CAST(event AS BLOB) FROM events"
        " WHERE entry = ? AND (event LIKE '%rollout_ended%' OR event LIKE '%manual_change_finished%'"
        " OR event LIKE '%operator_command_finished%'"
        " OR event LIKE '%change_ended%') ORDER BY seq",  # as it was called in schema 1
        (entry,),
    ).fetchall()
    last: list[object] = [None, "", ""]
    for at, text in ends:
        # A changed event is unreadable, which was reported already.
        if (found := ending(kind, decode_event(text))) is not None:
            last = [at, *found]
    if stored != last:
        pairs = zip(("time", "result", "reason"), stored, last, strict=True)
        names = [name for name, found, written in pairs if found != written]
        yield f"its end was changed: {', '.join(names)}"
