"""JSON for programs: what `--json` prints, and the fields that hooks and the journal share with it.

Every event is one flat object: its fields, `event` with the name, and a head of its own for each reader.
Within a schema version fields are only ever added; a changed meaning raises `SCHEMA`. The journal has a
schema of its own, see `orchestrator.journal.rows`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from orchestrator.events.events import AnyEvent, Record

SCHEMA = 2


def encode(fields: Mapping[str, object]) -> bytes:
    """One object of `--json`, with the schema in front and without a newline."""
    return msgspec.json.encode({"schema": SCHEMA, **fields})


def event_fields(record: Record, **head: object) -> dict[str, object]:
    """An event as `--json` has it; `head` stands before it."""
    return {**head, "seq": record.seq, "time": format_time(record.at), **flat(record.event)}


def flat(event: AnyEvent) -> dict[str, object]:
    """The fields of an event with its name; structs in it are objects."""
    fields: dict[str, object] = msgspec.to_builtins(event)
    return fields


def format_time(at: float) -> str:
    """Seconds since 1970 as RFC 3339 has them, in UTC: "2026-11-28T20:31:23.042Z"."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
