"""The rollout of an application that is still to be finished."""

from collections.abc import Mapping

import msgspec

from orchestrator.events import RolloutStarted
from orchestrator.journal.entries import Entry
from orchestrator.journal.known_versions import known_versions
from orchestrator.journal.leftovers import LOOKED_AT
from orchestrator.journal.store import Journal


def unfinished(journal: Journal, application: str) -> Entry | None:
    """The newest rollout when it did not end healthy, else the newest one that has left the fleet mixed.

    A later rollout of some nodes, such as the one that brings a failed node back, finishes nothing: while
    some nodes have what it was to bring and others have what was there before, it is not finished.

    Raises:
        JournalError: it cannot be read.
    """
    rollouts = (each for each in journal.entries(application, limit=LOOKED_AT) if each.kind != "change")
    versions: Mapping[str, str] | None = None
    for number, entry in enumerate(rollouts):
        if entry.result == "healthy":
            continue
        if number == 0:
            return entry
        if versions is None:
            found = known_versions(journal, application)
            versions = {node: known.version for node, known in found.items()}
        if _mixed(journal, entry, versions):
            return entry
    return None


class _Node(msgspec.Struct, frozen=True):
    node: str
    wanted: str


class _Plan(msgspec.Struct, frozen=True):
    """What counts of its plan, as it stands in the journal."""

    nodes: list[_Node]
    batches: list[list[str]]


def _mixed(journal: Journal, entry: Entry, versions: Mapping[str, str]) -> bool:
    """Whether some of its nodes have the new version, and all others what they had before, or may have."""
    try:
        plan = msgspec.convert(entry.plan, _Plan)
    except msgspec.ValidationError:  # somebody has changed it
        return False
    started = (record.event for record in journal.records(entry.id, "rollout_started"))
    before = next((event.before for event in started if isinstance(event, RolloutStarted)), {})
    members = {name for batch in plan.batches for name in batch}
    new, old = 0, 0
    for node in plan.nodes:
        version = versions.get(node.node, "")
        if node.node not in members:
            continue
        if version == node.wanted:
            new += 1
        elif version in ("", before.get(node.node, "")):
            old += 1
        else:
            return False  # the fleet has moved on to something else
    return new > 0 and old > 0
