"""What the journal says of the earlier work on one application; it is opened anew for each question."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.model import ServerRef
from orchestrator.events.events import LockTaken, Record
from orchestrator.events.judgement import Evidence
from orchestrator.journal.drain_history import read_earlier_drains
from orchestrator.journal.entries import Entry
from orchestrator.journal.entry_status import unfinished_rollout
from orchestrator.journal.evidence import last_evidence
from orchestrator.journal.node_entries import NodeEntry, read_node_entries
from orchestrator.journal.node_history import FleetHistory
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import (
    MAX_ENTRIES,
    UnfinishedNode,
    decided_since,
    describe_unreadable_entries,
    known_versions,
    unfinished_nodes,
)
from orchestrator.planning.drain_forecast import ResidualCurve
from orchestrator.remote.takeover import RolloutHeader, find
from orchestrator.session.version_choices import VersionChoice, read_earlier_versions


@dataclass(frozen=True, slots=True)
class EarlierRollouts:
    """The earlier rollouts, as far as a plan needs them, from the journal at one moment.

    Attributes:
        unfinished: nodes that they did not finish.
        unread: what in the journal cannot be read, in words; see `describe_unreadable_entries`.
        history: of each node.
        drains: how sessions ended in earlier drains.
    """

    unfinished: Mapping[str, UnfinishedNode]
    unread: Sequence[str]
    history: FleetHistory
    drains: Sequence[ResidualCurve] = ()


class EarlierWork:
    """Reads the journal of one application.

    The whole file is checked for damage before a plan is made. What is only shown, or read during a rollout,
    is read without that, which takes long for a large one.

    Args:
        path: of the journal; a missing one reads as empty.
        application: its name.
        version_regex: see `HealthKind`.
    """

    def __init__(self, path: Path, application: str, version_regex: str = "") -> None:
        self._path = path
        self._application = application
        self._version_regex = version_regex

    @property
    def path(self) -> Path:
        """The file of the journal."""
        return self._path

    def node_entries(self, node: str) -> list[NodeEntry]:
        """Return the newest entries that concern a node, the newest first. Raises JournalError."""
        with Journal(self._path, read_only=True, check=False) as journal:
            return read_node_entries(journal, self._application, node)

    def unfinished_nodes(self) -> Mapping[str, UnfinishedNode]:
        """Return the nodes that earlier rollouts did not finish. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            return unfinished_nodes(journal, self._application)

    def original_weights(self) -> dict[ServerRef, int]:
        """Return the weights that servers of unfinished nodes had: a rollout may have left them with less.

        Raises:
            JournalError: the journal cannot be read.
        """
        left = self.unfinished_nodes().values()
        return {ref: original.weight for node in left for ref, original in node.originals.items()}

    def last_unfinished(self) -> Entry | None:
        """Return the last rollout if it did not end healthy. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            return unfinished_rollout(journal, self._application)

    def recent_entries(self, limit: int) -> list[Entry]:
        """Return the last entries of the journal, the newest first. Raises JournalError."""
        with Journal(self._path, read_only=True, check=False) as journal:
            return journal.entries(self._application, limit=limit)

    def earlier_rollouts(self) -> EarlierRollouts:
        """Read all that a plan needs at once: opening a large journal is slow. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            unfinished, unread = (
                unfinished_nodes(journal, self._application),
                describe_unreadable_entries(journal, self._application),
            )
            history = self._read_history(journal)
            drains = read_earlier_drains(journal, self._application)
            return EarlierRollouts(unfinished, unread, history, drains)

    def evidence(self, entry: int | None, version: str) -> Evidence | None:
        """Return what a rollout that is resumed knows about its version. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            return last_evidence(journal, entry, version)

    def known_versions(self) -> dict[str, str]:
        """Return the last known version of each node in the journal. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            found = known_versions(journal, self._application)
        return {node: known.version for node, known in found.items() if known.version}

    def history(self, since: int = 0) -> FleetHistory:
        """Return the history of each node; `since` as in `FleetHistory.read`. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            return self._read_history(journal, since=since)

    def _read_history(self, journal: Journal, *, limit: int = -1, since: int = 0) -> FleetHistory:
        regex = self._version_regex
        return FleetHistory.read(journal, self._application, limit=limit, since=since, version_regex=regex)

    async def last_healthy_version(self, entry: int, node: str) -> str:
        """Return the last version that was healthy on a node before a rollout; empty when none is known.

        Raises:
            JournalError: the journal cannot be read.
        """

        def read() -> FleetHistory:
            with Journal(self._path, read_only=True, check=False) as journal:
                return self._read_history(journal, limit=MAX_ENTRIES)

        way = (await asyncio.to_thread(read)).way_back(entry)  # while the rollout goes on
        return way.wanted.get(node, "") if way is not None else ""

    def earlier_versions(self, now_on: Mapping[str, str]) -> tuple[VersionChoice, ...]:
        """Return the versions of earlier rollouts, the newest first; see `read_earlier_versions`."""
        with Journal(self._path, read_only=True, check=False) as journal:
            return read_earlier_versions(journal, self._application, now_on)

    def knows(self, header: RolloutHeader, records: Sequence[Record]) -> bool:
        """Return whether a rollout was written here, or taken over as a whole. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            found = find(journal, header, records)
        return found is not None and not found.half

    def newest_fence(self) -> int:
        """Return the highest fencing token that this machine has used or seen. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            entries = journal.entries(self._application, limit=MAX_ENTRIES)
            plans = [entry.plan.get("fence") for entry in entries]
            seen = [fence for fence in plans if isinstance(fence, int)]
            taken = [record.event for entry in entries for record in journal.records(entry.id, "lock_taken")]
        return max([0, *seen, *(event.fence for event in taken if isinstance(event, LockTaken))])

    def decided_since(self, at: float) -> set[str]:
        """Return the nodes that were changed on this machine after a time. Raises JournalError."""
        with Journal(self._path, read_only=True) as journal:
            return decided_since(journal, self._application, at)
