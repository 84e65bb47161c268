"""The history of each node in the whole journal: versions that were proven on it, and those that failed.

A rollout goes *forward* when it is no rollback: an upgrade, a rollout that resumes one, and a rollback of a
rollback.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.steps import STEPS, Step
from orchestrator.journal.entries import Entry
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES
from orchestrator.node import find_reported_version

_NODE_EVENTS = ("rollout_started", "node_started", "node_upgraded", "node_rolled_back", "node_failed")


@dataclass(frozen=True, slots=True)
class Failure:
    """A version that has failed on a node, and was not proven there since."""

    entry: int
    version: str
    step: Step
    error: str


@dataclass(slots=True)
class NodeUpdate:
    """The update of one node in one rollout.

    Attributes:
        entry: the rollout.
        version: that the node was to have.
        before: version that it had, as preflight saw it; empty when it was not known.
        healthy_before: versions that had been proven on it by then and not rolled back, the newest last.
        done: it was proven and is back as it was.
        back: it has returned the node to a version that was healthy, and nothing has to be undone.
        returned: it has failed, and then brought the node back itself, as an operator has decided.
        failure: why it failed; None when it did not, or was interrupted.
    """

    entry: int
    version: str
    before: str
    healthy_before: tuple[str, ...]
    done: bool = False
    back: bool = False
    returned: bool = False
    failure: events.NodeFailed | None = None


@dataclass(slots=True)
class NodeHistory:
    """The history of one node: all of its updates, oldest first, and what follows from them.

    Attributes:
        healthy: versions that were proven on it, or that it had when the journal begins; the newest last.
        doubtful: versions that a rollout was to bring to it and that were not proven there since.
        failures: of those, the ones that have failed, by version.
    """

    updates: list[NodeUpdate] = field(default_factory=list)
    healthy: list[str] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)

    def take(self, update: NodeUpdate, *, forward: bool, unfinished: bool) -> None:
        """Add the next one.

        Args:
            update: as far as its rollout tells.
            forward: whether its rollout goes forward.
            unfinished: the last rollout that went forward did not end healthy: an upgrade that leads back
                from it counts as a rollback.
        """
        last = self.updates[-1] if self.updates else None
        self.updates.append(update)
        version = update.version
        if not update.done:
            update.back = update.returned
            if forward or version not in self.healthy:  # half a rollback does not make it worse
                self.doubtful.add(version)
            if update.failure is not None and _is_of_the_version(update.failure.step):
                self.failures[version] = Failure(
                    update.entry, version, update.failure.step, update.failure.error
                )
            return
        returns = last is not None and not last.back and last.healthy_before[-1:] == (version,)
        update.back = not forward or (unfinished and returns)
        self.doubtful.discard(version)
        self.failures.pop(version, None)
        if update.back and version in self.healthy:  # what came after it is not to come again
            while self.healthy[-1] != version:
                self.healthy.pop()
        elif self.healthy[-1:] != [version]:
            self.healthy.append(version)

    def see(self, version: str) -> None:
        """Note the version that it has as a rollout begins: it may have been installed in another way."""
        if version and version not in self.doubtful and self.healthy[-1:] != [version]:
            self.healthy.append(version)

    def last_healthy(self, update: NodeUpdate) -> str:
        """Return the version to go back to from an update; empty when none is known."""
        usable = (version for version in reversed(update.healthy_before) if version != update.version)
        return next((version for version in usable if version not in self.doubtful), "")


@dataclass(frozen=True, slots=True)
class WayBack:
    """The way back from one rollout and those that resumed it.

    Attributes:
        entry: the rollout.
        wanted: the version to go back to, by node, in the order in which they were touched.
        unknown: nodes without a known version to go back to.
        returned: the rollout that has brought a node back already, by node.
    """

    entry: int
    wanted: Mapping[str, str]
    unknown: Collection[str]
    returned: Mapping[str, int]

    @property
    def touched(self) -> list[str]:
        return [*self.wanted, *self.unknown, *self.returned]


class FleetHistory:
    """The history of all nodes of an application, as far as the journal has it.

    Args:
        rollouts: each with its events, oldest first.
        version_regex: see `HealthKind`.
    """

    def __init__(
        self, rollouts: Iterable[tuple[Entry, Iterable[Record]]], *, version_regex: str = ""
    ) -> None:
        self._version_regex = version_regex
        self.nodes: dict[str, NodeHistory] = {}
        self._entries: dict[int, Entry] = {}
        self._updates: dict[int, dict[str, NodeUpdate]] = {}
        self._forward: dict[int, bool] = {}
        self._newest: Entry | None = None  # that went forward and has touched a node
        for entry, records in rollouts:
            self._take(entry, records)

    @classmethod
    def read(
        cls, journal: Journal, application: str, *, limit: int = -1, since: int = 0, version_regex: str = ""
    ) -> "FleetHistory":
        """Read the history of an application, of which some rollouts may be enough: each takes a while.

        Args:
            journal: the journal.
            application: its name.
            limit: only so many of the newest entries; -1 for all.
            since: only this rollout, those that it follows, and at most `MAX_ENTRIES` after it; 0 for all.
            version_regex: see `HealthKind`.

        Raises:
            JournalError: it cannot be read.
        """
        found = journal.entries(application, limit=limit)
        entries = [entry for entry in reversed(found) if entry.kind != "change"]
        if since:
            later = [entry for entry in entries if entry.id >= since][: MAX_ENTRIES + 1]
            entries = [*_find_followed(entries, since), *later]
        rollouts = ((entry, journal.records(entry.id, *_NODE_EVENTS)) for entry in entries)
        return cls(rollouts, version_regex=version_regex)

    def _take(self, entry: Entry, records: Iterable[Record]) -> None:
        self._entries[entry.id] = entry
        forward = self._forward[entry.id] = self._goes_forward(entry)
        newest = self._newest
        updates = self._updates[entry.id] = self._updates_of(entry, records)
        for name, update in updates.items():
            self.nodes[name].take(
                update, forward=forward, unfinished=newest is not None and newest.result != "healthy"
            )
        if forward and updates and not all(update.back and update.done for update in updates.values()):
            self._newest = entry

    def _updates_of(self, entry: Entry, records: Iterable[Record]) -> dict[str, NodeUpdate]:
        before: Mapping[str, str] = {}
        installed = _read_installed(entry) if self._version_regex else {}
        updates: dict[str, NodeUpdate] = {}
        for record in records:
            match record.event:
                case events.RolloutStarted(before=before):
                    pass
                case events.NodeStarted(node=name, version=version) if name not in updates:
                    node = self.nodes.setdefault(name, NodeHistory())
                    had = self._find_installed(before.get(name, ""), node, installed.get(name))
                    node.see(had)
                    updates[name] = NodeUpdate(entry.id, version, had, tuple(node.healthy))
                case events.NodeFailed(node=name) as failed if name in updates:
                    updates[name].failure = failed
                    updates[name].done = updates[name].done and not failed.touched
                case events.NodeRolledBack(node=name, version=had) if name in updates and (
                    had and had != updates[name].version
                ):
                    updates[name].returned = True
                case events.NodeDone(node=name) if name in updates:
                    updates[name].done, updates[name].returned = True, False
                case _:
                    pass
        return updates

    def _find_installed(self, version: str, node: NodeHistory, installed: str | None) -> str:
        """Return what installers call the version that a node had before a rollout.

        Earlier versions of Rolldeck wrote down what the application calls it.
        """
        if version and self._version_regex:
            for known in filter(None, (installed, *reversed(node.healthy), *sorted(node.doubtful))):
                if find_reported_version(known, self._version_regex) == version:
                    return known
        return version

    def goes_forward(self, entry: int) -> bool:
        """Return whether a rollout is no rollback (see the top of the module), or is unknown."""
        return self._forward.get(entry, True)

    def _goes_forward(self, entry: Entry) -> bool:
        forward = self._forward.get(entry.follows) if entry.follows is not None else None
        if forward is None:
            return entry.kind != "rollback"
        return forward if is_resumption(entry) else not forward

    def failure(self, node: str, version: str) -> Failure | None:
        """Return the failure of a version on a node, unless the version was proven there since."""
        return self.nodes[node].failures.get(version) if node in self.nodes else None

    def way_back(self, entry: int | None = None) -> WayBack | None:
        """Return the way back from a rollout, or from the last one that went forward; None if there is none.

        From a rollback it leads to the versions that were there before it: somebody has asked for just that.
        """
        if entry is None:
            if self._newest is None:
                return None
            entry = self._first_of(self._newest)
        elif entry not in self._entries:
            return None
        together = self._and_later(entry)
        forward = self.goes_forward(entry)
        wanted, returned = dict[str, str](), dict[str, int]()
        for name, update in self._first_updates(together).items():
            last = self.nodes[name].updates[-1]
            if forward and last.back and (last.entry not in together or last.returned):
                returned[name] = last.entry
            else:
                wanted[name] = self.nodes[name].last_healthy(update) if forward else update.before
        known = {name: version for name, version in wanted.items() if version}
        return WayBack(entry, known, sorted(wanted.keys() - known), returned)

    def _first_updates(self, entries: Collection[int]) -> dict[str, NodeUpdate]:
        found: dict[str, NodeUpdate] = {}
        for entry in sorted(entries):
            found = {**self._updates[entry], **found}
        order = dict.fromkeys(name for entry in sorted(entries) for name in self._updates[entry])
        return {name: found[name] for name in order}

    def _first_of(self, entry: Entry) -> int:
        """Return the first of the rollouts that this one has resumed."""
        first = entry
        for earlier in reversed(self._entries.values()):  # newest first
            if is_resumption(first) and earlier.id == first.follows:
                first = earlier
        return first.id

    def _and_later(self, first: int) -> set[int]:
        """Return a rollout and all that have resumed it."""
        found = {first}
        for entry in self._entries.values():  # oldest first
            if is_resumption(entry) and entry.follows in found:
                found.add(entry.id)
        return found


def _find_followed(entries: Sequence[Entry], number: int) -> list[Entry]:
    """Return the rollouts that one follows, directly or through others, oldest first."""
    by_number = {entry.id: entry for entry in entries}
    found: list[Entry] = []
    entry = by_number.get(number)
    while entry is not None and entry.follows is not None and entry.follows < entry.id:
        entry = by_number.get(entry.follows)
        if entry is not None:
            found.insert(0, entry)
    return found


class _Node(msgspec.Struct):
    node: str
    installed: str | None = None


class _Planned(msgspec.Struct):
    nodes: list[_Node] = []


def _read_installed(entry: Entry) -> Mapping[str, str | None]:
    """Return the version that was on the disk of each node, as far as the plan of an entry can be read."""
    try:
        planned = msgspec.convert(entry.plan, _Planned)
    except msgspec.ValidationError:
        return {}
    return {node.node: node.installed for node in planned.nodes}


def is_resumption(entry: Entry) -> bool:
    """Return whether it resumes the rollout that it follows."""
    return entry.follows is not None and (entry.kind == "upgrade" or entry.plan.get("resumes") is True)


def _is_of_the_version(step: Step) -> bool:
    """Return whether a failure in this step concerns the version: it is being installed, or runs."""
    return step in ("install", *STEPS.after("install"))
