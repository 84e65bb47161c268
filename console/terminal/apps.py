"""All applications for `rolldeck apps`, as text and as JSON."""

from collections.abc import Mapping, Sequence

from console.terminal.output import paint, table
from orchestrator.events.json import format_time
from orchestrator.fleet.rollout_line import RolloutLine
from orchestrator.fleet.row import ApplicationRow, Attention
from orchestrator.fleet.text import (
    describe_state,
    format_availability,
    format_errors,
    format_rate,
    format_response,
    format_versions,
)

HEADER = ("", "APP", "IN", "VERSIONS", "REQ/S", "ERR%", "RT", "Q", "ROLLOUT", "OPERATOR")
_RIGHT = ("REQ/S", "ERR%", "RT", "Q")
GLYPHS: Mapping[Attention, tuple[str, str]] = {
    Attention.WAITS: ("?", "warn"),
    Attention.BROKEN: ("✗", "bad"),
    Attention.ROLLING: ("◐", "working"),
    Attention.UNFINISHED: ("!", "warn"),
    Attention.OUT: ("‖", "out"),
    Attention.QUIET: ("✓", "ok"),
}
"""The mark of an application, and its color."""


def apps_lines(rows: Sequence[ApplicationRow], now: float) -> list[str]:
    """Return the table: the applications that need attention first.

    Args:
        rows: of the applications, in the order of the configuration.
        now: seconds since 1970.
    """
    ordered = sorted(rows, key=lambda row: row.attention)
    head, *lines = table(HEADER, [_cells(row, now) for row in ordered], right=_RIGHT)
    return [
        head,
        *(
            paint(line, GLYPHS[row.attention][1]) if row.attention is not Attention.QUIET else line
            for row, line in zip(ordered, lines, strict=True)
        ),
    ]


def _cells(row: ApplicationRow, now: float) -> tuple[str, ...]:
    return (
        GLYPHS[row.attention][0],
        row.name,
        format_availability(row),
        format_versions(row),
        format_rate(row),
        format_errors(row),
        format_response(row),
        str(row.traffic.queue),
        describe_state(row, now),
        row.rollout.operator if row.rollout is not None else "",
    )


def app_fields(row: ApplicationRow) -> dict[str, object]:
    """Return the JSON object of an application."""
    found, traffic = row.availability, row.traffic
    return {
        "kind": "application",
        "application": row.name,
        "attention": row.attention.name.lower(),
        "nodes": found.total if found is not None else None,
        "in_rotation": found.in_rotation if found is not None else None,
        "out": list(found.out) if found is not None else [],
        "down": list(found.down) if found is not None else [],
        "versions": dict(row.versions),
        "requests_per_s": traffic.rate,
        "error_ratio": traffic.errors,
        "errors_known": traffic.errors_known,
        "response_ms": traffic.response.ms if traffic.response is not None else None,
        "queue": traffic.queue,
        "sessions": traffic.sessions,
        "rollout": _rollout_fields(row.rollout) if row.rollout is not None else None,
        "frozen": None
        if row.frozen is None
        else {
            "until": None if row.frozen.until is None else format_time(row.frozen.until),
            "reason": row.frozen.reason,
        },
        "problem": row.problem,
    }


def _rollout_fields(rollout: RolloutLine) -> dict[str, object]:
    return {
        "standing": rollout.standing,
        "phase": rollout.phase,
        "what": rollout.kind,
        "version": rollout.version,
        "done": rollout.done,
        "total": rollout.total,
        "at_work": list(rollout.at_work),
        "questions": list(rollout.questions),
        "left": list(rollout.nodes),
        "action": rollout.action,
        "operator": rollout.operator,
        "host": rollout.host,
        "since": format_time(rollout.since),
        "entry": rollout.entry,
        "remaining_s": rollout.remaining_s,
    }
