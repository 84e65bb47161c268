"""The migrations of the journal, a numbered list: `PRAGMA user_version` says how many were applied.

Migrations only add tables and columns, so that a process of an earlier Rolldeck that has the file open can
continue writing until its work is done. A released migration is never edited; new ones are appended.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.events.steps import STEPS
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
    """Return how many migrations a file has; 0 for one without tables."""
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


Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Upcaster:
    """Changes events of one kind into what they are today.

    Attributes:
        since: the first schema in which they look so; it is called for those of earlier ones only.
        change: is given the fields as they were written, `event` included, and returns the new ones.
    """

    since: int
    change: Callable[[Fields], Fields]


def _renamed(event: str, **names: str) -> Upcaster:
    """Return the upcaster for an event that has other names since schema 2.

    Args:
        event: its new name.
        names: old to new, of fields.
    """

    def change(fields: Fields) -> Fields:
        return {names.get(name, name): value for name, value in fields.items()} | {"event": event}

    return Upcaster(2, change)


def _out_of_rotation(out: Fields) -> Fields:
    names = {"where": "servers", "on_purpose": "intentional", "go_back": "rollback_command"}
    found = {names.get(name, name): value for name, value in out.items()}
    texts, kinds = found["commands"], found.pop("kinds", [])
    kinds = kinds if len(kinds) == len(texts) else [_kind(text) for text in texts]
    commands = [{"kind": kind, "text": text} for kind, text in zip(kinds, texts, strict=True)]
    return found | {"commands": commands}


def _kind(text: str) -> str:
    """Return the kind of a command that puts a node back: before schema 2 only its text told it."""
    if text.startswith("rolldeck "):
        return "ready" if text.startswith("rolldeck ready ") else "upgrade"
    return "prove" if "health down" in text else "by_hand"


def _rollout_ended(fields: Fields) -> Fields:
    names = {"untouched": "pending", "unseen": "unreachable_balancers", "seconds": "duration_s"}
    found = {names.get(name, name): value for name, value in fields.items()}
    return found | {"out_of_rotation": [_out_of_rotation(out) for out in found["out_of_rotation"]]}


def _choice(choice: str) -> str:
    return "continue" if choice == "go" else choice


def _waiting(fields: Fields) -> Fields:
    found = {"remaining_s" if name == "left" else name: value for name, value in fields.items()}
    return found | {"baking": found["reason"] == "baking"}


def _decision_requested(fields: Fields) -> Fields:
    """Add the kind of a decision: before schema 2 only its text and its choices told it."""
    choices = [_choice(choice) for choice in fields["choices"]]
    subject, step = fields["subject"], fields["text"].removesuffix("?")
    kind = "step" if step in STEPS else "batch" if subject.startswith("batch ") else "node"
    kind = "failure" if "retry" in choices else "change" if subject == "inventory" else kind
    made = {"choices": choices, "kind": kind, "step": step if kind == "step" else None}
    return fields | {"event": "decision_requested"} | made


def _decision_made(fields: Fields) -> Fields:
    return fields | {"event": "decision_made", "choice": _choice(fields["choice"])}


_TIMED = (
    *("prefetched", "step_done", "baked", "node_upgraded", "node_rolled_back", "resumed", "traffic"),
    "hook_fired",
)

UPCASTERS: Mapping[str, Sequence[Upcaster]] = {
    **{event: [_renamed(event, seconds="duration_s")] for event in _TIMED},
    "turn_began": [_renamed("node_started")],
    "noted": [_renamed("node_note")],
    "waiting": [Upcaster(2, _waiting)],
    "asked": [Upcaster(2, _decision_requested)],
    "answered": [Upcaster(2, _decision_made)],
    "abort_requested": [_renamed("abort_requested", at_once="immediate")],
    "change_began": [_renamed("manual_change_started")],
    "change_ended": [_renamed("manual_change_finished")],
    "sending": [_renamed("command_sending")],
    "command_began": [_renamed("command_started")],
    "sent": [_renamed("command_finished", seconds="duration_s")],
    "rollback_began": [_renamed("rollback_started")],
    "rollout_ended": [Upcaster(2, _rollout_ended)],
}
"""The upcasters for each name that was written, such as "turn_began"; the earliest schema first."""


def upcast(fields: Fields, schema: int, upcasters: Mapping[str, Sequence[Upcaster]] = UPCASTERS) -> Fields:
    """Return the fields of an event of an earlier schema as they are today.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it is not what was written then.
    """
    for upcaster in upcasters.get(str(fields.get("event", "")), ()):
        if schema < upcaster.since:
            fields = upcaster.change(fields)
    return fields
