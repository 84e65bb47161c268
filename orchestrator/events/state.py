"""The state of a rollout, computed from its events alone, the same for every reader."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.events import events
from orchestrator.events.actor import describe_requester
from orchestrator.events.comparison import Comparison
from orchestrator.events.events import Record
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.spans import StepSpan, StepSpans, StepTimes
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.ways_back import OriginalStateRecord

StepEvent = events.StepStarted | events.Waiting | events.StepDone | events.Baked


class NodeState(enum.StrEnum):
    """The state of a node while no step runs; during a step it has the state of that step in `STEPS`."""

    PENDING = "pending"
    DRAINED = "drained"
    RAMPING = "ramping"  # watched in rotation with part of its weight
    BAKING = "baking"
    UPGRADED = "upgraded"
    ROLLED_BACK = "rolled back"
    SKIPPED = "skipped"
    EXCLUDED = "excluded"
    HELD = "held"
    FAILED = "failed"
    PUT_BACK = "put back"
    INTERRUPTED = "interrupted"  # it was under way when the rollout ended
    UNKNOWN = "unknown"


DONE = frozenset((NodeState.UPGRADED, NodeState.ROLLED_BACK))
_OVER = DONE | {
    NodeState.SKIPPED,
    NodeState.HELD,
    NodeState.FAILED,
    NodeState.PUT_BACK,
    NodeState.INTERRUPTED,
}
_LEFT_OUT = frozenset((NodeState.FAILED, NodeState.INTERRUPTED, NodeState.UNKNOWN))


def is_done(state: str, kind: events.RolloutKind) -> bool:
    """Return whether a node in this state has what the rollout was to bring to it.

    One that an operator has brought back during an upgrade has not.
    """
    return state == (NodeState.ROLLED_BACK if kind == "rollback" else NodeState.UPGRADED)


def is_under_way(state: str) -> bool:
    """Return whether a node in this state is in progress."""
    return state in STEPS.states or state in (NodeState.DRAINED, NodeState.RAMPING, NodeState.BAKING)


def is_watched(state: str) -> bool:
    """Return whether a node in this state is only watched in rotation: its deadline is no time-out."""
    return state in (NodeState.RAMPING, NodeState.BAKING)


Phase = Literal["planned", "progressing", "paused", "aborting", "healthy", "degraded", "aborted"]


@dataclass(slots=True)
class NodeStatus:
    """The status of one node, with a reason in words."""

    name: str
    state: str = NodeState.PENDING  # a `NodeState`, or that of a step
    step: Step | None = None
    reason: str = ""
    deadline: float | None = None  # of what it waits for, seconds since 1970
    steps: dict[Step, StepSpan] = field(default_factory=dict)  # the last try of each
    done: events.NodeDone | None = None  # how it was done; None until then
    baked: events.Baked | None = None  # how its last bake went
    times: StepTimes | None = None  # of that, without what people took to decide
    log: tuple[str, ...] = ()  # the last lines of its service, when it has failed; they are not cleaned
    servers: tuple[str, ...] = ()  # as HAProxy reported them when it failed
    originals: tuple[OriginalStateRecord, ...] = ()  # of its servers, since it was begun

    @property
    def at_work(self) -> bool:
        """Whether a step of it runs now."""
        span = self.steps.get(self.step) if self.step else None
        return is_under_way(self.state) and span is not None and not span.is_done

    def keeps_out(self, instance: str, backend: str, server: str) -> bool:
        """Return whether the rollout has taken this server out of rotation, and not put it back."""
        if not is_under_way(self.state) and self.state not in _LEFT_OUT:
            return False
        found = (
            original.admin == "ready" and original.weight > 0
            for original in self.originals
            if (original.instance, original.backend, original.server) == (instance, backend, server)
        )
        return any(found)

    def finish(self, state: NodeState, done: events.NodeDone) -> None:
        """Set the state of a node that is done."""
        self.state, self.step, self.done = state, None, done
        self.times = StepTimes.of(self.steps.values())
        self.reason, self.deadline = "", None


@dataclass(slots=True)
class RolloutState:
    """The state of a rollout so far: give it every record, in order, and read it at any moment."""

    application: str = ""
    kind: events.RolloutKind = "upgrade"
    version: str = ""
    before: dict[str, str] = field(default_factory=dict)  # versions by node, as far as they were known
    batches: list[list[str]] = field(default_factory=list)
    batch: int = 0  # the current one, from 1
    nodes: dict[str, NodeStatus] = field(default_factory=dict)
    phase: Phase = "planned"
    phase_by: str = ""  # who has paused or aborted it, and from where
    phase_reason: str = ""  # why it is paused
    immediate: bool = False  # aborting without waiting for the running steps
    questions: dict[str, events.DecisionRequested] = field(default_factory=dict)
    began: float = 0.0
    ended: events.RolloutEnded | None = None
    verdict: VerdictChanged | None = None  # the last one
    comparison: Comparison = field(default_factory=Comparison)  # of both versions, so far
    _spans: StepSpans = field(default_factory=StepSpans)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "RolloutState":
        state = cls()
        for record in records:
            state.apply(record)
        return state

    @property
    def phase_text(self) -> str:
        """The phase, and who has caused it, in words."""
        match self.phase:
            case "paused":
                return f"paused by {self.phase_by}" + (f": {self.phase_reason}" if self.phase_reason else "")
            case "aborting" if self.immediate:
                return f"aborting at once, requested by {self.phase_by}"
            case "aborting":
                return f"aborting, requested by {self.phase_by}; again cuts the running step short"
        return self.phase

    @property
    def done(self) -> int:
        """The number of nodes that are upgraded; in a rollback, of those that are rolled back."""
        return sum(is_done(node.state, self.kind) for node in self.nodes.values())

    @property
    def total(self) -> int:
        """The number of nodes with something to do."""
        return sum(len(batch) for batch in self.batches)

    def eta(self) -> StepTimes | None:
        """Estimate the remaining time from the nodes that are done; None before the first one.

        A batch takes as long as one of its nodes; of a batch in progress only the remaining part counts.
        """
        done = [node.times for node in self.nodes.values() if node.times is not None]
        if not done:
            return None
        working = sum(times.working for times in done) / len(done)
        waiting = sum(times.waiting for times in done) / len(done)
        batches = sum(self._share(batch) for batch in self.batches)
        return StepTimes(working * batches, waiting * batches)

    def _share(self, batch: list[str]) -> float:
        """Return the remaining part of a batch, 0 to 1: that of its slowest node."""
        return max((self._to_come(self.nodes[name]) for name in batch), default=0.0)

    @staticmethod
    def _to_come(node: NodeStatus) -> float:
        if node.state in _OVER:
            return 0.0
        done = sum(span.is_done for span in node.steps.values())
        return 1 - done / len(STEPS)

    def versions_before(self) -> str:
        """Return the version that the nodes had, or "several"; empty when none was known."""
        found = sorted({self.before[name] for batch in self.batches for name in batch if name in self.before})
        return found[0] if len(found) == 1 else "several" if found else ""

    def apply(self, record: Record) -> None:
        if isinstance(record.event, VerdictChanged):  # it names a node, and is of the whole rollout
            self._judge(record.event, record.at)
            return
        name = getattr(record.event, "node", None)
        if name is not None and (self.ended is not None or name not in self.nodes):
            return  # of a manual change: no part of this rollout
        self._spans.apply(record)
        if name is not None:
            self._apply_to(self.nodes[name], record)
        else:
            self._apply_to_rollout(record)

    def _apply_to_rollout(self, record: Record) -> None:
        match record.event:
            case events.RolloutStarted() as event:
                self._start(event, record.at)
            case events.BatchStarted(number=number):
                self.batch = number
            case events.DecisionRequested() as event:
                self.questions[event.question] = event
            case events.DecisionMade(question=question):
                self.questions.pop(question, None)
            case events.Paused(who=who, why=why, via=via):
                self.phase, self.phase_by, self.phase_reason = "paused", describe_requester(who, via), why
            case events.Resumed():
                self.phase, self.phase_by, self.phase_reason = "progressing", "", ""
            case events.AbortRequested(who=who, via=via, immediate=immediate):
                self.phase, self.phase_by, self.phase_reason = "aborting", describe_requester(who, via), ""
                self.immediate = immediate
                self.questions.clear()
            case events.RolloutEnded() as event:
                self._end(event)
            case _:
                pass

    def _judge(self, verdict: VerdictChanged, at: float) -> None:
        if self.began and self.ended is None:
            self.verdict = verdict
            self.comparison.apply(verdict, at)

    def _apply_to(self, node: NodeStatus, record: Record) -> None:
        match record.event:
            case events.NodeStarted(originals=originals):
                node.originals = tuple(originals)
            case events.StepStarted() | events.Waiting() | events.StepDone() | events.Baked() as event:
                self._apply_step(node, event, record.at)
            case events.NodeUpgraded() as event:
                node.finish(NodeState.UPGRADED, event)
            case events.NodeRolledBack() as event:
                node.finish(NodeState.ROLLED_BACK, event)
            case events.NodeSkipped(who=who, via=via):
                node.state, node.deadline = NodeState.SKIPPED, None
                node.reason = f"by {describe_requester(who, via)}"
            case events.NodeFailed(step=step, error=error, touched=touched, servers=servers):
                node.servers = tuple(servers)
                node.state = NodeState.FAILED if touched else NodeState.HELD
                node.step, node.reason, node.deadline = step, error, None
            case events.ServiceLog(lines=lines):
                node.log = tuple(lines)
            case events.NodePutBack(step=step, error=error):
                node.state, node.step, node.deadline = NodeState.PUT_BACK, None, None
                node.reason = f"failed at {step} before its service was stopped: {error}"
            case _:
                pass

    def _apply_step(self, node: NodeStatus, event: StepEvent, at: float) -> None:
        match event:
            case events.StepStarted(step=step):
                node.state, node.step = STEPS.spec(step).state, step
                node.reason, node.deadline, node.log, node.servers = "", None, (), ()
                if (span := self._spans.open_span(node.name)) is not None:
                    node.steps[step] = span
            case events.Waiting(words=words, remaining_s=left, baking=baking, weight_percent=percent):
                node.reason, node.deadline = words, at + left
                if baking:
                    node.state = NodeState.RAMPING if percent else NodeState.BAKING
            case events.StepDone(step=step):
                node.reason, node.deadline = "", None
                if step == "drain":
                    node.state = NodeState.DRAINED
            case events.Baked():
                node.baked = event

    def _start(self, event: events.RolloutStarted, at: float) -> None:
        self.application, self.version, self.kind = event.application, event.version, event.kind
        self.batches, self.began, self.phase = event.batches, at, "progressing"
        self.phase_by, self.phase_reason, self.immediate = "", "", False
        self.batch, self.ended, self.questions, self.before = 0, None, {}, dict(event.before)
        self._spans, self.verdict, self.comparison = StepSpans(), None, Comparison()
        self.nodes = {name: NodeStatus(name) for name in event.nodes}
        with_work = {name for batch in event.batches for name in batch}
        for name, node in self.nodes.items():
            if name not in with_work:
                node.state, node.reason = NodeState.EXCLUDED, "nothing to do"

    def _end(self, event: events.RolloutEnded) -> None:
        self.phase, self.ended = event.result, event
        for name in event.interrupted:
            node = self.nodes[name]
            node.state, node.reason, node.deadline = NodeState.INTERRUPTED, "", None
