"""The entries of the journal that concern one node: who did what there, when, why, and how it ended."""

from dataclasses import dataclass

from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.journal.entries import NO_ROLLOUTS, Entry
from orchestrator.journal.entry_filter import EntryFilter, find_entries
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal

MAX_NODE_ENTRIES = 30
_STARTS = ("rollout_started", "manual_change_started")
_NODE_EVENTS = (
    "node_started",
    "node_upgraded",
    "node_rolled_back",
    "node_skipped",
    "node_failed",
    "node_put_back",
)


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """An entry as it concerns one node.

    Attributes:
        id: of the entry.
        at: when it began, in seconds since 1970.
        what: as `EntrySummary.what`.
        result: how it ended for the node, in words, such as "upgraded" or "degraded".
        is_bad: whether that is a failure.
        operator: who began it.
        reason: that the operator has given; empty without one.
        error: why it failed; empty when it did not.
        is_over: whether nothing more will come.
    """

    id: int
    at: float
    what: str
    result: str
    is_bad: bool
    operator: str
    reason: str = ""
    error: str = ""
    is_over: bool = True


def read_node_entries(
    journal: Journal, application: str, node: str, limit: int = MAX_NODE_ENTRIES
) -> list[NodeEntry]:
    """Return the newest entries of an application that concern a node, the newest first.

    Raises:
        JournalError: it cannot be read.
    """
    found = find_entries(journal, EntryFilter(application, node=node), limit)
    return [_read_entry(journal, entry, node) for entry in found]


def _read_entry(journal: Journal, entry: Entry, node: str) -> NodeEntry:
    summary = EntrySummary.of(journal, entry)
    records = list(journal.records(entry.id, *_STARTS, *_NODE_EVENTS))
    reasons = (getattr(record.event, "reason", "") for record in records if _is_start(record))
    result, is_bad, error = summary.standing, summary.standing not in ("healthy", "running"), entry.reason
    if entry.kind not in NO_ROLLOUTS:
        own = [record.event for record in records if getattr(record.event, "node", "") == node]
        result, is_bad, error = _describe_end(own[-1] if own else None, summary.standing)
    return NodeEntry(
        id=entry.id,
        at=entry.began,
        what=summary.what,
        result=result,
        is_bad=is_bad,
        operator=entry.operator,
        reason=next(reasons, ""),
        error=error,
        is_over=summary.standing != "running",
    )


def _is_start(record: Record) -> bool:
    return isinstance(record.event, events.RolloutStarted | events.ManualChangeStarted)


def _describe_end(last: events.AnyEvent | None, standing: str) -> tuple[str, bool, str]:
    """Return how a rollout has ended for a node, whether that is a failure, and why."""
    match last:
        case events.NodeUpgraded():
            return "upgraded", False, ""
        case events.NodeRolledBack():
            return "rolled back", False, ""
        case events.NodeSkipped():
            return "skipped", False, ""
        case events.NodePutBack(error=error):
            return "put back", True, error
        case events.NodeFailed(step=step, error=error):
            return "failed", True, f"{step}: {error}"
        case None:
            return "not begun", False, ""
    return ("running", False, "") if standing == "running" else ("interrupted", True, "")
