"""Which version each node had last, as the journal knows it."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator import events
from orchestrator.journal.entries import Entry
from orchestrator.journal.leftovers import LOOKED_AT
from orchestrator.journal.store import Journal

_TOLD = ("rollout_started", "node_started", "step_done", "node_upgraded", "node_rolled_back")


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What the newest rollout that says something of a node says of it.

    Attributes:
        version: that it has; empty when its turn was not finished, and it may have either.
        entry: the rollout.
        at: when it was so, seconds since 1970.
    """

    version: str
    entry: int
    at: float


def known_versions(journal: Journal, application: str) -> dict[str, KnownVersion]:
    """By node.

    Raises:
        JournalError: it cannot be read.
    """
    found: dict[str, KnownVersion] = {}
    for entry in journal.entries(application, limit=LOOKED_AT):
        if entry.kind != "change":
            found = dict(_of(journal, entry)) | found
    return dict(sorted(found.items()))


def _of(journal: Journal, entry: Entry) -> Mapping[str, KnownVersion]:
    found: dict[str, KnownVersion] = {}
    before: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for record in journal.records(entry.id, *_TOLD):
        match record.event:
            case events.RolloutStarted() as event:
                before = event.before
                found |= {node: KnownVersion(before[node], entry.id, record.at) for node in before}
            case events.NodeStarted(node=node, version=version):
                wanted[node] = version
            case events.StepDone(node=node, step="stop"):
                # Until its turn is over nobody can say whether the old one would start again.
                found[node] = KnownVersion("", entry.id, record.at)
            case events.StepDone(node=node, step="install") | events.NodeDone(node=node) if node in wanted:
                found[node] = KnownVersion(wanted[node], entry.id, record.at)
            case _:
                pass
    return found
