"""A plan as plain values: for `--json` and for the journal."""

from typing import Any

import msgspec

from backends.installers.availability import Availability
from orchestrator.events import SCHEMA
from orchestrator.plan import Plan


def _availability(found: Availability | None) -> dict[str, Any] | None:
    return msgspec.to_builtins(found) if found is not None else None


def plan_fields(made: Plan) -> dict[str, Any]:
    """All of it, ready to be written as JSON."""
    return {
        "schema": SCHEMA,
        "kind": "plan",
        "application": made.application,
        "version": made.version,
        "batches": made.batches,
        "nodes": [
            {
                "node": each.name,
                "installed": each.installed,
                "running": each.running,
                "wanted": made.wanted(each.name),
                "failed_in": each.failed_in or None,
                "steps": each.steps,
                "why": each.why,
                "availability": _availability(each.availability),
                "servers": [msgspec.to_builtins(ref) for ref in each.refs],
                "followers": [msgspec.to_builtins(ref) for ref in each.followers],
                "originals": [msgspec.to_builtins(was.said(ref)) for ref, was in each.originals.items()],
                "commands": [msgspec.to_builtins(command) for command in each.commands],
            }
            for each in made.nodes
        ],
        "capacities": [[msgspec.to_builtins(each) for each in batch] for batch in made.capacities],
        "prefetch": [msgspec.to_builtins(each) for each in made.prefetch],
        "findings": [msgspec.to_builtins(each) for each in made.findings],
        "policy": msgspec.to_builtins(made.policy),
    }
