"""Which nodes somebody has taken out by hand, with this program."""

from dataclasses import dataclass

from backends.model import AdminState
from orchestrator.events.events import NodeStarted
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES, read_change


@dataclass(frozen=True, slots=True)
class HandChange:
    """The last one of a node.

    Attributes:
        action: "drain" or "maint", or "weight" where that was 0.
        at: seconds since 1970.
    """

    action: str
    operator: str
    at: float


def hand_changes(journal: Journal, application: str) -> dict[str, HandChange]:
    """By node, as far as it has not been put back since, by hand or by a rollout.

    A rollout that found it out has left it so.

    Raises:
        JournalError: it cannot be read.
    """
    found: dict[str, HandChange | None] = {}
    for entry in journal.entries(application, limit=MAX_ENTRIES):
        if entry.kind != "change":
            for record in journal.records(entry.id, "node_started"):
                if isinstance(record.event, NodeStarted) and _puts_back(record.event):
                    found.setdefault(record.event.node, None)
            continue
        change = read_change(entry)
        if entry.result == "healthy":
            out = change.action in ("drain", "maint") or (change.action == "weight" and change.weight == 0)
            made = HandChange(change.action, entry.operator, entry.began) if out else None
            for node in change.nodes:
                found.setdefault(node, made)
    return {node: change for node, change in found.items() if change is not None}


def _puts_back(turn: NodeStarted) -> bool:
    """Whether the node is in rotation once its turn has ended well."""
    return any(state.admin == AdminState.READY and state.weight for state in turn.originals)
