"""The manual changes that have taken nodes out of rotation."""

from dataclasses import dataclass

from backends.model import AdminState
from orchestrator.events.events import NodeStarted
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES, read_change


@dataclass(frozen=True, slots=True)
class ManualChange:
    """The last manual change that took a node out of rotation.

    Attributes:
        action: "drain" or "maint", or "weight" where that was 0.
        at: seconds since 1970.
    """

    action: str
    operator: str
    at: float


def read_manual_changes(journal: Journal, application: str) -> dict[str, ManualChange]:
    """Return these changes by node, except for nodes that were put back since.

    A rollout that found the node out of rotation has left it so.

    Raises:
        JournalError: it cannot be read.
    """
    found: dict[str, ManualChange | None] = {}
    for entry in journal.entries(application, limit=MAX_ENTRIES):
        if entry.kind != "change":
            for record in journal.records(entry.id, "node_started"):
                if isinstance(record.event, NodeStarted) and _puts_back(record.event):
                    found.setdefault(record.event.node, None)
            continue
        change = read_change(entry)
        if entry.result == "healthy":
            out = change.action in ("drain", "maint") or (change.action == "weight" and change.weight == 0)
            made = ManualChange(change.action, entry.operator, entry.began) if out else None
            for node in change.nodes:
                found.setdefault(node, made)
    return {node: change for node, change in found.items() if change is not None}


def _puts_back(start: NodeStarted) -> bool:
    """Return whether the node is in rotation once its update has ended well."""
    return any(state.admin == AdminState.READY and state.weight for state in start.originals)
