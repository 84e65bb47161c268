"""How the last rollout of an application stands: it runs, or it was not finished; from its events alone."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from orchestrator import events
from orchestrator.actor import began
from orchestrator.advice import AFTER_INSTALL
from orchestrator.events import Record, WayOn
from orchestrator.journal.standing import standing
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import unfinished
from orchestrator.state import AT_WORK, DONE, NodeState, Phase, RolloutState

Standing = Literal["running", "unfinished"]

_DONE = (*DONE, NodeState.EXCLUDED)


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """One node that is not done."""

    node: str
    state: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A rollout that runs, or that was not finished.

    Attributes:
        standing: which of the two.
        why: how it ended, or that it was interrupted; empty while it runs.
        entry: its number in this machine's journal; 0: it is another machine's.
        since: seconds since 1970.
        origin: from where, and with which credential, it was begun; empty: not known.
        phase: "progressing", "paused" or "aborting"; `phase_text` has it with who and why.
        questions: that wait for an answer.
        nodes: that have something to do and are not done, in their order.
        touched: whether any node was.
        ways_on: what can be done about it, the first one first; empty while it runs.
        source: "journal" or "consul".
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
    source: Literal["journal", "consul"] = "journal"


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a rollout beside its events."""

    application: str
    kind: str
    version: str
    operator: str
    host: str
    pid: int
    since: float
    entry: int = 0


def rollout_status(journal: Journal, application: str) -> RolloutStatus | None:
    """The last rollout in this journal; None when it has ended well.

    Raises:
        JournalError: it cannot be read.
    """
    entry = unfinished(journal, application)
    if entry is None:
        return None
    stands = standing(entry)
    identity = Identity(
        application, entry.kind, entry.version, entry.operator, entry.host, entry.pid, entry.began, entry.id
    )
    why = f"{stands}: {entry.reason}" if entry.reason and not entry.reason.startswith(stands) else ""
    return status_of(
        identity, list(journal.records(entry.id)), why or entry.reason or stands, running=stands == "running"
    )


def status_of(identity: Identity, records: Iterable[Record], why: str, *, running: bool) -> RolloutStatus:
    """From its events, as far as they go.

    Args:
        identity: of the rollout.
        records: in their order.
        why: how it ended.
        running: whether somebody carries it out now.
    """
    state, origin = RolloutState(), ""
    before: dict[str, str] = {}
    touched: dict[str, None] = {}
    for record in records:
        with contextlib.suppress(LookupError, TypeError):  # where some are missing, as far as it goes
            state.apply(record)
        match record.event:
            case events.RolloutStarted() as event:
                origin, before = began(event.origin), event.before
            case events.CommandSending(node=node) | events.StepDone(node=node, changed=True):
                touched[node] = None
            case events.NodeFailed(node=node, touched=True) | events.NodeDone(node=node):
                touched[node] = None
            case _:
                pass
    planned = [node for batch in state.batches for node in batch]
    nodes = tuple(
        NodeProgress(name, found.state.value, found.step or "", found.reason)
        for name in planned
        if (found := state.nodes.get(name)) is not None and found.state not in _DONE
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
        ways_on=() if running or not own else tuple(_ways_on(identity, state, own <= before.keys())),
    )


def _ways_on(identity: Identity, state: RolloutState, known: bool) -> list[WayOn]:
    if state.ended is not None and state.ended.ways_on:
        return state.ended.ways_on
    resume = WayOn(purpose="resume", command=f"rolldeck resume {identity.application}")
    if identity.kind != "upgrade" or not known or not identity.entry:
        return [resume]
    rollback = WayOn(purpose="rollback", command=f"rolldeck rollback {identity.application}")
    bad = any(node.state is NodeState.FAILED and node.step in AFTER_INSTALL for node in state.nodes.values())
    return [rollback, resume] if bad else [resume, rollback]


def at_work(status: RolloutStatus) -> list[NodeProgress]:
    """The nodes that it works on, or about which somebody is asked."""
    asked = {question.subject for question in status.questions}
    states = {state.value for state in AT_WORK}
    return [node for node in status.nodes if node.state in states or node.node in asked]
