"""The nodes that earlier rollouts have not finished, from the latest events on each of them."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from backends.model import ServerRef
from backends.text import format_local_time
from orchestrator.events import events
from orchestrator.events.events import AnyEvent, CommandStarted, Record
from orchestrator.events.steps import Step
from orchestrator.journal.entries import Entry
from orchestrator.journal.store import Journal
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Unfinished

MAX_ENTRIES = 100  # newest entries that are read: a node that was left out longer ago is meant to be out

_NODE_EVENTS = (
    "node_started",
    "step_started",
    "command_started",
    "step_done",
    "node_upgraded",
    "node_rolled_back",
    "node_failed",
    "node_put_back",
)


@dataclass(frozen=True, slots=True)
class UnfinishedNode:
    """A node whose rollout has begun and was not completed.

    Attributes:
        node: its name.
        entry: the journal's entry of that rollout.
        target_version: the version that the node was to have.
        step: the step that was begun last; None if none was.
        failed: why it failed; empty if it was interrupted.
        originals: the states of its servers before the rollout.
        command: the command that the unfinished step began last, which may still run; None if there is none.
    """

    node: str
    entry: Entry
    target_version: str
    step: Step | None
    failed: str
    originals: Mapping[ServerRef, OriginalState]
    command: CommandStarted | None

    @property
    def text(self) -> str:
        """`left by rollout 12 (ann@here, 2026-11-25 03:12): failed at verify: ...`."""
        at = format_local_time(self.entry.began, "%Y-%m-%d %H:%M")
        where = f" at {self.step}" if self.step else ""
        what = f"failed{where}: {self.failed}" if self.failed else f"interrupted{where}"
        return f"left by rollout {self.entry.id} ({self.entry.operator}, {at}): {what}"

    def for_plan(self) -> Unfinished:
        """Return what preflight needs to know about it."""
        return Unfinished(
            self.entry.id,
            self.originals,
            self.text,
            self.command,
            self.target_version,
            only_drained=self.step in (None, "drain"),
        )


def unfinished_nodes(journal: Journal, application: str) -> dict[str, UnfinishedNode]:
    """Return the unfinished nodes by name, without those that were upgraded or changed manually since.

    A manual change that failed counts for nothing, and a change of the weight only for the weight. What
    cannot be read is left out here: see `describe_unreadable_entries`.

    Raises:
        JournalError: it cannot be read.
    """
    found: dict[str, UnfinishedNode] = {}
    decided: set[str] = set()
    weights: dict[str, int] = {}
    for entry in journal.entries(application, limit=MAX_ENTRIES):
        if entry.kind == "change":
            change = read_change(entry)
            nodes = change.nodes if entry.result == "healthy" else []
            if change.action == "weight":
                weights = dict.fromkeys(nodes, change.weight) | weights
            else:
                decided.update(nodes)
            continue
        for node, leftover in _list_nodes(entry, journal.records(entry.id, *_NODE_EVENTS)):
            # A rollout that has sent nothing says nothing of the node: an earlier one may have taken it out.
            if node in decided or (leftover is not None and _is_untouched(journal, leftover)):
                continue
            decided.add(node)
            if leftover is not None:
                found[node] = _replace_weight(leftover, weights.get(node))
    return found


class _Change(msgspec.Struct, frozen=True):
    """The parts of the plan of a manual change that are read here."""

    action: str = ""
    nodes: list[str] = []
    weight: int = 0


def read_change(entry: Entry) -> _Change:
    """Return what the plan of a manual change says; an empty change where it says something else."""
    try:
        return msgspec.convert(entry.plan, _Change)
    except msgspec.ValidationError:
        return _Change()


def describe_unreadable_entries(journal: Journal, application: str) -> list[str]:
    """Describe what of the journal cannot be read and may concern nodes that are out of rotation.

    What is older than the newest rollout that ended healthy was reported before that one.

    Raises:
        JournalError: it cannot be read.
    """
    found = []
    for entry in journal.entries(application, limit=MAX_ENTRIES, unknown=True):
        if entry.problem:
            found.append(f"entry {entry.id} cannot be read: {entry.problem}")
            continue
        if entry.kind != "change" and entry.result == "healthy":
            break
        rows = [
            (record.seq, record.event.problem)
            for record in journal.records(entry.id, *_NODE_EVENTS)
            if isinstance(record.event, events.Unreadable)
        ]
        if rows:
            (seq, problem), *more = rows
            others = f" (and {len(more)} more of its events)" if more else ""
            found.append(f"event {seq} of entry {entry.id} cannot be read{others}: {problem}")
    return found


def decided_since(journal: Journal, application: str, at: float) -> set[str]:
    """Return the nodes that were changed on this machine after a time, in seconds since 1970.

    Raises:
        JournalError: it cannot be read.
    """
    found: set[str] = set()
    for entry in journal.entries(application, limit=MAX_ENTRIES):
        if entry.began > at and entry.kind != "change":
            starts = journal.records(entry.id, "node_started")
            found.update(
                record.event.node for record in starts if isinstance(record.event, events.NodeStarted)
            )
        elif entry.began > at and entry.result == "healthy" and entry.plan.get("action") != "weight":
            found.update(entry.plan.get("nodes", []))
    return found


def find_unfinished_originals(records: Iterable[Record]) -> dict[str, dict[ServerRef, OriginalState]]:
    """Return the original state of the servers of each node whose update was not completed."""
    found: dict[str, dict[ServerRef, OriginalState]] = {}
    done: dict[str, dict[ServerRef, OriginalState]] = {}
    for record in records:
        match record.event:
            case events.NodeStarted(node=node, originals=originals):
                found.setdefault(node, dict(OriginalState.from_event(original) for original in originals))
            case events.NodeDone(node=node) | events.NodePutBack(node=node):
                done[node] = found.pop(node, {})
            case events.NodeFailed(node=node, touched=True) if done.get(node):
                found[node] = done.pop(node)  # after it was done: its version was bad
    return found


def _replace_weight(leftover: UnfinishedNode, weight: int | None) -> UnfinishedNode:
    """Return the node with the weight that an operator has set since."""
    if weight is None:
        return leftover
    originals = {ref: replace(original, weight=weight) for ref, original in leftover.originals.items()}
    return replace(leftover, originals=originals)


def _list_nodes(entry: Entry, records: Iterable[Record]) -> list[tuple[str, UnfinishedNode | None]]:
    """Return each node whose update has begun, with what is unfinished; None when it was completed."""
    updates = _Updates()
    for record in records:
        updates.apply(record.event)
    return [
        (node, None if node in updates.done else updates.left(entry, node))
        for node in updates.began
        if node not in updates.held or node in updates.done or updates.steps.get(node) != "drain"
    ]


@dataclass(slots=True)
class _Updates:
    """A fold over the events of a rollout: the updates of its nodes, by node."""

    began: dict[str, events.NodeStarted] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # the target version, as decided last
    steps: dict[str, Step] = field(default_factory=dict)  # the one that began last
    commands: dict[str, CommandStarted] = field(default_factory=dict)  # of which no end is known
    failed: dict[str, str] = field(default_factory=dict)  # why
    done: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)  # nothing was sent that changes them

    def apply(self, event: AnyEvent) -> None:
        match event:
            case events.NodeStarted(node=node, version=version):
                self.versions[node] = version
                # A retry begins no new update, and what was before the first one counts.
                if node in self.done:  # and put back: the update that follows is a new one
                    self.done.discard(node)
                    self.began[node] = event
                self.began.setdefault(node, event)
            case events.StepStarted(node=node, step=step):
                self.steps[node] = step
                self.failed.pop(node, None)
            case CommandStarted(node=node) as command:
                self.commands[node] = command
            case events.StepDone(node=node):
                self.commands.pop(node, None)
            case events.NodeFailed(node=node, touched=False):
                self.held.add(node)
            case events.NodeFailed(node=node, error=error):
                self.failed[node] = error
                self.done.discard(node)  # a version may turn out to be bad after its node was done
            case events.NodeDone(node=node) | events.NodePutBack(node=node):
                self.done.add(node)
            case _:
                pass

    def left(self, entry: Entry, node: str) -> UnfinishedNode:
        event = self.began[node]
        return UnfinishedNode(
            node,
            entry,
            self.versions[node],
            self.steps.get(node),
            self.failed.get(node, ""),
            dict(OriginalState.from_event(original) for original in event.originals),
            self.commands.get(node),
        )


def _is_untouched(journal: Journal, leftover: UnfinishedNode) -> bool:
    """Return whether its update sent nothing, so that somebody else took the node out.

    The commands of a rollout that was taken over are not known here, even if it ran on this machine; earlier
    versions wrote nothing of a takeover but the other machine's name.
    """
    taken_over = leftover.entry.is_taken_over or leftover.entry.host != socket.gethostname()
    if leftover.step not in (None, "drain") or taken_over:
        return False
    sendings = (record.event for record in journal.records(leftover.entry.id, "command_sending"))
    return not any(
        isinstance(event, events.CommandSending) and event.node == leftover.node for event in sendings
    )


_VERSION_EVENTS = ("rollout_started", "node_started", "step_done", "node_upgraded", "node_rolled_back")


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """The version of a node according to the newest rollout that knows it.

    Attributes:
        version: empty when its update was not finished, so that it may have either version.
        entry: the rollout.
        at: when it was so, seconds since 1970.
    """

    version: str
    entry: int
    at: float


def known_versions(journal: Journal, application: str) -> dict[str, KnownVersion]:
    """Return the known version of each node, by its name.

    Raises:
        JournalError: it cannot be read.
    """
    found: dict[str, KnownVersion] = {}
    for entry in journal.entries(application, limit=MAX_ENTRIES):
        if entry.kind != "change":
            found = dict(_read_versions(journal, entry)) | found
    return dict(sorted(found.items()))


def _read_versions(journal: Journal, entry: Entry) -> Mapping[str, KnownVersion]:
    found: dict[str, KnownVersion] = {}
    before: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for record in journal.records(entry.id, *_VERSION_EVENTS):
        match record.event:
            case events.RolloutStarted() as event:
                before = event.before
                found |= {node: KnownVersion(before[node], entry.id, record.at) for node in before}
            case events.NodeStarted(node=node, version=version):
                wanted[node] = version
            case events.StepDone(node=node, step="stop"):
                # Until its update is over it is unknown whether the old version would start again.
                found[node] = KnownVersion("", entry.id, record.at)
            case events.NodeDone(node=node, version=version) if version:
                found[node] = KnownVersion(version, entry.id, record.at)
            case events.StepDone(node=node, step="install") | events.NodeDone(node=node) if node in wanted:
                found[node] = KnownVersion(wanted[node], entry.id, record.at)
            case _:
                pass
    return found
