"""The judgement on the target version while its rollout runs.

The drift watcher feeds it with every snapshot, steps tell it which nodes come and go and ask it whether one
may be taken out or put back, and what it finds is emitted. Without a snapshot or with `verdict = "off"` it
objects to nothing.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from backends.model import Snapshot
from backends.protocols import Clock
from orchestrator.canary.joint_judge import Background, JointJudge
from orchestrator.canary.judgement import Judgement
from orchestrator.canary.poll import FAST_INTERVAL_S, FAST_PHASE_S, SLOW_INTERVAL_S, Lifetime, Poll
from orchestrator.canary.settings import CanarySettings
from orchestrator.canary.signals import FindNodes, PollSeries, is_sticky, read_lifetimes
from orchestrator.engine.measurements import Measurements
from orchestrator.engine.no_judgement import NoJudgement
from orchestrator.engine.node_groups import NodeGroups
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.events.judgement import Evidence, VerdictChanged, VerdictFields
from orchestrator.planning.application import Application
from orchestrator.planning.mapping import map_servers
from orchestrator.planning.plan import Plan

STALE_AFTER_S = 5.0  # without a poll, nothing is known of a load balancer
OBJECTION_EVIDENCE = 20.0  # with so much, a node on a ramp does not get more traffic
UNDECIDED_EVIDENCE = 1.5  # as good a version as the old one hardly ever has so much at the end of a bake
VERDICT_INTERVAL_S = 10.0  # between two events of the same verdict
FIRST_READ_TIMEOUT_S = 5.0  # for each load balancer to be read once, so that its history counts


@dataclass(slots=True)
class _Start:
    """What is read before the judge can be made."""

    at: float
    lifetimes: list[Lifetime] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    is_sticky: bool = False


class VersionJudgement(NoJudgement):
    """Judges the target version of one rollout, by all snapshots of the load balancers.

    Attributes:
        waits: whether a hold or a suspicion keeps nodes from being drained, which is not so in a rollback.
        is_sticky: whether anything ties clients to their servers, as far as the plan knows.
        found_bad: gets the node and the reason of each verdict "bad", for whoever takes the node out; also an
            error of the judgement itself, which has ended then.
    """

    def __init__(
        self,
        settings: CanarySettings,
        groups: NodeGroups,
        find_nodes: FindNodes,
        clock: Clock,
        bus: EventBus,
        *,
        version: str,
        balancers: Sequence[str],
        evidence: Evidence | None = None,
    ) -> None:
        """Begin without a snapshot.

        Args:
            settings: of the judgement.
            groups: which node runs which version.
            find_nodes: returns the node of each server of a snapshot.
            clock: the time.
            bus: gets the events.
            version: the target version, for reasons.
            balancers: the names of all load balancers.
            evidence: of the rollout that this one resumes.
        """
        super().__init__()
        self.settings = settings
        self.acts = settings.verdict == "stop"
        self.waits = True
        self.is_sticky = False
        self.found_bad: asyncio.Queue[tuple[str, str] | Exception] = asyncio.Queue()
        self._runs = settings.verdict != "off"
        self._returned = asyncio.Event()  # replaced at each return
        self._groups = groups
        self._find_nodes = find_nodes
        self._clock = clock
        self._bus = bus
        self._version = version
        self._evidence = evidence
        self._series = PollSeries(self._find_nodes, groups.group_of)
        self._measurements = Measurements(self._series)
        self._read: dict[str, float | None] = dict.fromkeys(balancers)
        self._start: _Start | None = None
        self._background = Background(version)
        self._calibrated_m: float | None = None
        self._judge: JointJudge | None = None
        self._last_return = -FAST_PHASE_S
        self._verdict: Judgement | None = None
        self._emitted: Judgement | None = None
        self._emitted_at = float("-inf")
        self._failures: dict[str, str] = {}
        self.bad_nodes: dict[str, str] = {}  # why, also after an operator has decided to go on
        self._bad = ""  # why the version is bad, until an operator decides to go on
        self._accepted: set[str] = set()

    @classmethod
    def of(
        cls, application: Application, plan: Plan, context: RolloutContext, clock: Clock, bus: EventBus
    ) -> "VersionJudgement":
        """Return the judgement on the target version of a plan."""
        nodes = plan.nodes_at_plan_time or application.nodes
        judgement = cls(
            application.canary,
            NodeGroups(plan, context.other_versions),
            lambda snapshot: map_servers(nodes, snapshot.servers, application.match),
            clock,
            bus,
            version=plan.version,
            balancers=tuple(application.balancer_group.balancers),
            evidence=context.evidence,
        )
        judgement._calibrated_m = application.calibrated_m
        judgement.waits = context.kind != "rollback"
        judgement.is_sticky = any(node.persistent for node in plan.nodes)
        return judgement

    # -- for steps ----------------------------------------------------------------------------

    def returns(self, node: str, version: str | None) -> None:
        self._groups.put_back(node, version)
        self._last_return = self._clock.monotonic()
        self._returned.set()
        self._returned = asyncio.Event()

    def leaves(self, node: str) -> None:
        self._groups.take_out(node)
        if self._judge is not None:
            self._judge.leave(node)

    def failure(self, node: str) -> str:
        return self._failures.get(node, "")

    @property
    def is_blind(self) -> bool:
        found = self._verdict
        if found is None or found.state != "blind":
            return found is None
        return not (self.undecided and found.requests >= self.settings.min_requests)

    @property
    def refusal(self) -> str:
        return self._bad

    @property
    def hold(self) -> str:
        verdict = self._verdict
        if not self.acts or verdict is None:
            return ""
        if self._bad or not self.waits:
            return self._bad
        return verdict.reason if verdict.state == "hold" and self.hold_cause not in self._accepted else ""

    @property
    def objection(self) -> str:
        found = self._verdict
        if not self.acts or found is None or found.evidence < OBJECTION_EVIDENCE:
            return self.refusal
        return found.reason or "it is not decided yet whether the new version fails more often"

    @property
    def undecided(self) -> str:
        found = self._verdict
        if not self.acts or found is None or found.errors < self.settings.least_errors:
            return ""
        if found.state == "bad" or found.evidence < UNDECIDED_EVIDENCE:
            return ""
        return (
            f"{found.errors:,} of {found.requests:,} requests failed and {found.other_errors:,} of"
            f" {found.other_requests:,} of the others, which is not decided yet"
        )

    @property
    def suspicion(self) -> str:
        known = {"slow", "unanswered"} & self._accepted  # to the operator, who has continued
        if not (self.acts and self.waits) or self._judge is None or known:
            return ""
        return self._judge.suspicion(self._clock.monotonic())

    @property
    def hold_cause(self) -> str:
        return self._verdict.cause if self._verdict is not None else ""

    @property
    def asks(self) -> bool:
        return self.hold_cause != "slow" or self.settings.on_slow != "hold"

    def accept_hold(self, cause: str) -> None:
        self._accepted.add(cause)

    def forgive(self) -> None:
        if self._bad:
            self._failures.clear()
            self._bad = ""
            self._verdict = None
            self._judge = JointJudge(self.settings, self._background)

    def has_old_version(self, node: str) -> bool:
        """Return whether a node is known not to run the target version, such as one that was put back."""
        return self._groups.group_of(node) == "old"

    # -- for the watcher ----------------------------------------------------------------------

    async def next_poll(self) -> None:
        """Wait until the next poll of a load balancer is due, more often for a while after a return."""
        recent = self._clock.monotonic() - self._last_return < FAST_PHASE_S
        if recent and self._runs:
            await self._clock.sleep(FAST_INTERVAL_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(SLOW_INTERVAL_S):
                await self._returned.wait()

    def add(self, snapshot: Snapshot, at: float) -> None:
        """Add the next snapshot of a load balancer, and judge.

        Args:
            snapshot: the snapshot.
            at: when it was read, in monotonic seconds.
        """
        if not self._runs:
            return
        try:
            self._take(snapshot, at)
        except Exception as defect:  # the watcher has more to do, and the rollout ends with it all the same
            self._runs, self._verdict = False, None
            self.found_bad.put_nowait(defect)

    def _take(self, snapshot: Snapshot, at: float) -> None:
        instance = snapshot.info.instance
        poll = self._series.add(snapshot, at)
        self._measurements.add(poll)
        if self._judge is None:
            self._begin(snapshot, poll, is_first=self._read.get(instance) is None)
        else:
            self._judge.add(poll)
        self._read[instance] = at
        if self._judge is not None:
            self._decide(self._judge, at)

    def _begin(self, snapshot: Snapshot, poll: Poll, *, is_first: bool) -> None:
        """Collect what was before, and make the judge once every load balancer was read."""
        start = self._start = self._start or _Start(poll.at)
        if is_first:
            nodes = self._find_nodes(snapshot)
            start.lifetimes += read_lifetimes(snapshot, nodes)
            start.is_sticky |= is_sticky(snapshot, {backend for backend, _ in nodes})
        start.polls.append(poll)
        unread = [name for name, at in self._read.items() if at is None and name != poll.balancer]
        if unread and poll.at - start.at < FIRST_READ_TIMEOUT_S:
            return
        self.is_sticky |= start.is_sticky
        self._background = Background(
            self._version, tuple(start.lifetimes), self.is_sticky, self._calibrated_m
        )
        self._judge = self._continue()
        for earlier in start.polls:
            self._judge.add(earlier)
        self._start = None

    def _continue(self) -> JointJudge:
        """Return a judge that continues from earlier evidence, if that can be understood."""
        try:
            judge = JointJudge(self.settings, self._background, self._evidence)
            judge.judge(self._clock.monotonic())
        except (LookupError, TypeError, ValueError, ArithmeticError):
            if self._evidence is None:
                raise
            text = "what the rollout before knew about its version cannot be understood: it is judged anew"
            self._bus.emit(NodeNote(node="", text=text))
            judge = JointJudge(self.settings, self._background)
        return judge

    def _decide(self, judge: JointJudge, at: float) -> None:
        """Judge, emit what is due, and note what follows from it."""
        if not self._groups.has_new and self._evidence is None:
            return
        stale = [
            name for name, read_at in self._read.items() if at - (read_at or float("-inf")) > STALE_AFTER_S
        ]
        verdict = judge.judge(at, stale=stale)
        before, self._verdict = self._verdict, verdict
        changed = before is None or (before.state, before.node) != (verdict.state, verdict.node)
        if verdict.state == "bad" and self.acts and verdict.node not in self._failures:
            self._bad = self._bad or verdict.reason
            self._failures[verdict.node] = self.bad_nodes[verdict.node] = verdict.reason
            self.found_bad.put_nowait((verdict.node, verdict.reason))
        if changed or at - self._emitted_at >= VERDICT_INTERVAL_S:
            self._emit(verdict, at)
        if self._measurements.are_due(at) or changed:
            self._bus.emit(self._measurements.take(at, self._stamped(judge)))

    def _emit(self, verdict: Judgement, at: float) -> None:
        self._emitted, self._emitted_at = verdict, at
        self._bus.emit(_make_event(self._version, verdict))

    def _stamped(self, judge: JointJudge) -> Evidence:
        return msgspec.structs.replace(judge.evidence, at=self._clock.time())

    def end(self) -> None:
        """Emit the last verdict, unless it was emitted, and what was measured last."""
        if self._judge is not None and self._groups.has_new:
            at = self._clock.monotonic()
            if self._verdict is not None and self._verdict != self._emitted:
                self._emit(self._verdict, at)
            self._bus.emit(self._measurements.take(at, self._stamped(self._judge)))


def _make_event(version: str, verdict: Judgement) -> VerdictChanged:
    fields = {name: getattr(verdict, name) for name in VerdictFields.__struct_fields__}
    return VerdictChanged(version=version, **fields)
