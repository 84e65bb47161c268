"""The status of an entry, and that of an application's last rollout, computed from events alone."""

import contextlib
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from backends.local_processes import is_process_running
from orchestrator.events import events
from orchestrator.events.actor import describe_origin
from orchestrator.events.events import Record, RolloutStarted
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.state import NodeState, Phase, RolloutState, is_done, is_under_way
from orchestrator.events.steps import STEPS
from orchestrator.events.text import format_reason
from orchestrator.events.ways_back import WayOn
from orchestrator.journal.entries import UNKNOWN, Entry
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES, known_versions


def entry_status(entry: Entry) -> str:
    """Return its result, or one word for why it has none.

    An entry without an end is "running" or "interrupted" on the machine that wrote it, and "no end"
    elsewhere, where nobody can see whether its process still runs. An unreadable entry is "unknown".
    """
    if entry.problem:
        return UNKNOWN
    if entry.ended is not None:
        return entry.result
    if entry.host != socket.gethostname():
        return "no end"
    return "running" if is_running(entry) else "interrupted"


def is_running(entry: Entry) -> bool:
    """Return whether the process that has begun it, on this machine, still runs."""
    return is_process_running(entry.pid, entry.process, entry.began)


Standing = Literal["running", "unfinished"]


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """A node that is not done."""

    node: str
    state: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A rollout that runs, or that was not finished.

    Attributes:
        standing: whether it runs.
        why: how it ended, or that it was interrupted; empty while it runs.
        entry: its number in this machine's journal; 0: it is another machine's.
        since: seconds since 1970.
        origin: from where, and with which credential, it was started; empty if unknown.
        phase: "progressing", "paused" or "aborting"; `phase_text` has it with who and why.
        questions: the decisions that are open.
        nodes: those that have something to do and are not done, in their order.
        touched: whether any node was changed.
        ways_on: what can be done about it, the first one first; empty while it runs.
        verdict: the last judgement on its version; None if there was none.
        source: "journal" or "consul".
        reason: why it was started, in the operator's words.
    """

    standing: Standing
    why: str
    entry: int
    kind: str
    version: str
    operator: str
    host: str
    pid: int
    since: float
    origin: str
    phase: Phase
    phase_by: str
    phase_reason: str
    phase_text: str
    done: int
    total: int
    nodes: tuple[NodeProgress, ...]
    questions: tuple[events.DecisionRequested, ...]
    touched: bool
    ways_on: tuple[WayOn, ...]
    verdict: VerdictChanged | None = None
    source: Literal["journal", "consul"] = "journal"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a rollout: what is known about it apart from its events."""

    application: str
    kind: str
    version: str
    operator: str
    host: str
    pid: int
    since: float
    entry: int = 0


def rollout_status(journal: Journal, application: str) -> RolloutStatus | None:
    """Return the status of the last rollout in this journal; None if it ended healthy.

    Raises:
        JournalError: it cannot be read.
    """
    entry = unfinished_rollout(journal, application)
    if entry is None:
        return None
    stands = entry_status(entry)
    identity = Identity(
        application, entry.kind, entry.version, entry.operator, entry.host, entry.pid, entry.began, entry.id
    )
    return status_of(
        identity,
        list(journal.records(entry.id)),
        f"{stands}{format_reason(stands, entry.reason)}",
        running=stands == "running",
    )


def status_of(identity: Identity, records: Iterable[Record], why: str, *, running: bool) -> RolloutStatus:
    """Return the status of a rollout, as far as its events go.

    Args:
        identity: of the rollout.
        records: in their order.
        why: how it ended.
        running: whether somebody carries it out now.
    """
    state, origin, reason = RolloutState(), "", ""
    before: dict[str, str] = {}
    touched: dict[str, None] = {}
    for record in records:
        with contextlib.suppress(LookupError, TypeError):  # where some are missing, as far as it goes
            state.apply(record)
        match record.event:
            case events.RolloutStarted() as event:
                origin, before, reason = describe_origin(event.origin), event.before, event.reason
            case events.CommandSending(node=node) | events.StepDone(node=node, changed=True):
                touched[node] = None
            case events.NodeFailed(node=node, touched=True) | events.NodeDone(node=node):
                touched[node] = None
            case _:
                pass
    planned = [node for batch in state.batches for node in batch]
    nodes = tuple(
        NodeProgress(name, str(found.state), found.step or "", found.reason)
        for name in planned
        if (found := state.nodes.get(name)) is not None
        and found.state is not NodeState.EXCLUDED
        and not is_done(found.state, state.kind)
    )
    own = touched.keys() & state.nodes.keys()
    return RolloutStatus(
        standing="running" if running else "unfinished",
        why="" if running else why,
        entry=identity.entry,
        kind=identity.kind,
        version=identity.version,
        operator=identity.operator,
        host=identity.host,
        pid=identity.pid,
        since=identity.since,
        origin=origin,
        phase=state.phase,
        phase_by=state.phase_by,
        phase_reason=state.phase_reason,
        phase_text=state.phase_text,
        done=len(planned) - len(nodes),
        total=len(planned),
        nodes=nodes,
        questions=tuple(state.questions.values()) if running else (),
        touched=bool(own),
        ways_on=() if running or not own else tuple(_list_ways_on(identity, state, own <= before.keys())),
        verdict=state.verdict,
        reason=reason,
    )


def _list_ways_on(identity: Identity, state: RolloutState, known: bool) -> list[WayOn]:
    if state.ended is not None and state.ended.ways_on:
        return state.ended.ways_on
    resume = WayOn(purpose="resume", command=f"rolldeck resume {identity.application}")
    if identity.kind != "upgrade" or not known or not identity.entry:
        return [resume]
    rollback = WayOn(purpose="rollback", command=f"rolldeck rollback {identity.application}")
    bad = any(
        node.state is NodeState.FAILED and node.step in STEPS.after("install")
        for node in state.nodes.values()
    )
    return [rollback, resume] if bad else [resume, rollback]


def at_work(status: RolloutStatus) -> list[NodeProgress]:
    """Return the nodes that it works on, or for which a decision is open."""
    asked = {question.subject for question in status.questions}
    return [node for node in status.nodes if is_under_way(node.state) or node.node in asked]


def unfinished_rollout(journal: Journal, application: str) -> Entry | None:
    """Return the newest rollout if it did not end healthy, else the newest that left the fleet mixed.

    A later rollout of some nodes, such as one that brings a failed node back, does not finish it: as long as
    some nodes have its version and others their previous one, it is unfinished.

    Raises:
        JournalError: it cannot be read.
    """
    rollouts = (entry for entry in journal.entries(application, limit=MAX_ENTRIES) if entry.kind != "change")
    versions: Mapping[str, str] | None = None
    for number, entry in enumerate(rollouts):
        if entry.result == "healthy":
            continue
        if number == 0:
            return entry
        if versions is None:
            found = known_versions(journal, application)
            versions = {node: known.version for node, known in found.items()}
        if _is_mixed(journal, entry, versions):
            return entry
    return None


class _Node(msgspec.Struct, frozen=True):
    node: str
    wanted: str


class _Plan(msgspec.Struct, frozen=True):
    """The parts of a plan in the journal that are read here."""

    nodes: list[_Node]
    batches: list[list[str]]


def _is_mixed(journal: Journal, entry: Entry, versions: Mapping[str, str]) -> bool:
    """Return whether some of its nodes have the new version and all others may have their previous one."""
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
