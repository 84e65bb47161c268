"""JSON for programs: what `--json` prints, and the fields that hooks and the journal share with it.

Each event is one flat object with its name under `event`, and each reader puts its own fields in front.
Within a schema version fields are only added; if the meaning of one changes, `SCHEMA` is incremented. The
journal has a schema of its own, see `orchestrator.journal.entries`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # whoever only prints, as at the start, does not need the events themselves
    from orchestrator.events.events import AnyEvent, Record

SCHEMA = 2


def encode(fields: Mapping[str, object]) -> bytes:
    """Return one object of `--json`, beginning with the schema and without a newline."""
    return msgspec.json.encode({"schema": SCHEMA, **fields})


def event_fields(record: "Record", **first: object) -> dict[str, object]:
    """Return the fields of an event as `--json` has them, after those given in `first`."""
    return {**first, "seq": record.seq, "time": format_time(record.at), **to_fields(record.event)}


def to_fields(event: "AnyEvent") -> dict[str, object]:
    """Return the fields of an event with its name; structs in it are objects."""
    fields: dict[str, object] = msgspec.to_builtins(event)
    return fields


def format_time(at: float) -> str:
    """Return seconds since 1970 as RFC 3339 has them, in UTC: "2026-11-28T20:31:23.042Z"."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
