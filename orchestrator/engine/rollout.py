"""A rollout, which carries out its plan batch by batch until everything is done or something fails."""

import asyncio

import msgspec

from backends.errors import RolldeckError
from backends.name_ranges import fold_names
from backends.protocols import Clock
from orchestrator.engine.control import ABORT, CONTINUE, SKIP, RolloutControl
from orchestrator.engine.desired_state import DesiredStates
from orchestrator.engine.drift_watcher import DriftWatcher, summarize
from orchestrator.engine.enforcement import Enforcement
from orchestrator.engine.final_state import read_final_state
from orchestrator.engine.hooks import Hooks
from orchestrator.engine.load_guard import LoadGuard
from orchestrator.engine.node_rollout import NodeRollout
from orchestrator.engine.out_of_rotation import add_discovery_maintenance, check_commands
from orchestrator.engine.result import Progress, collect_versions, find_cause, find_ways_on
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps.install import prefetch
from orchestrator.engine.version_judgement import VersionJudgement
from orchestrator.errors import Aborted, JournalError
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import (
    BatchStarted,
    ManualChangeStarted,
    NodeSkipped,
    Prefetched,
    Record,
    Result,
    RolloutEnded,
    RolloutStarted,
)
from orchestrator.planning.application import Application
from orchestrator.planning.findings import PreflightFailed, overridden_freezes
from orchestrator.planning.mapping import Endpoints
from orchestrator.planning.plan import Plan, describe_batch
from orchestrator.planning.server_pool import ServerPool


class Rollout:
    """Runs a plan once.

    Attributes:
        defect: the error in our own code that has stopped the rollout, if there was one.
    """

    def __init__(
        self,
        application: Application,
        plan: Plan,
        control: RolloutControl,
        clock: Clock,
        bus: EventBus,
        operator: Actor,
        context: RolloutContext | None = None,
    ) -> None:
        context = context or RolloutContext()
        self._callbacks = context.callbacks
        self._application = application
        self._plan = plan
        self._control = control
        self._clock = clock
        self._bus = bus
        self._operator = operator
        self._hooks = Hooks(application.hooks, plan, control, clock, bus, operator.name, context.number)
        self._other_versions = context.other_versions
        self._progress = Progress(context.kind)
        self._reason = context.reason
        self._desired_states = DesiredStates(
            {ref: original for node in plan.nodes for ref, original in node.originals.items()},
            left_out={
                ref for node in plan.nodes if node.unfinished_rollout or node.force_ready for ref in node.refs
            },
        )
        names = {ref: node.name for node in plan.nodes for ref in node.refs}
        self._pool = ServerPool(
            names, application.balancer_group.backends, is_rollback=context.kind == "rollback"
        )
        done = self._progress.done  # what these serve with is another version
        self._load_guard = LoadGuard(
            None if context.kind == "rollback" else clock,  # a repair must not wait for less traffic
            plan.policy,
            application.balancer_group.balancers,
            lambda ref: "upgraded" if names.get(ref) in done else "",
        )
        self._endpoints = Endpoints(plan.nodes_at_plan_time or application.nodes, application.match)
        self._rollouts: dict[str, NodeRollout] = {}  # of the nodes that were or are worked on
        self._judgement = VersionJudgement.of(application, plan, context, clock, bus)
        self.defect: BaseException | None = None
        self._blocked = ""  # see `RolloutEnded.blocked`

    async def run(self) -> RolloutEnded:
        """Carry out the plan; return how it ended and what is out of rotation, whatever happened.

        Raises:
            PreflightFailed: the plan has errors; no changes made.
        """
        if self._plan.errors:
            raise PreflightFailed(self._plan.errors)
        start = self._clock.monotonic()
        self._bus.emit(
            RolloutStarted(
                application=self._plan.application,
                version=self._plan.version,
                nodes=[node.name for node in self._plan.nodes],
                batches=[list(batch) for batch in self._plan.batches],
                operator=self._operator.name,
                before={node.name: node.displayed_version for node in self._plan.nodes if node.has_version},
                kind=self._progress.kind,
                reason=self._reason,
                **self._operator.origin,
            )
        )
        for event in overridden_freezes(self._plan.findings, self._operator):
            self._bus.emit(event)
        work = asyncio.ensure_future(self._hooks.around(self._work))
        self._control.on_immediate_abort(work.cancel)
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()  # nothing may continue unseen, and what is out is named all the same
            await asyncio.wait({work})
            await self._finish(work, start)
            raise
        return await self._finish(work, start)

    async def _finish(self, work: "asyncio.Future[None]", start: float) -> RolloutEnded:
        result, reason = self._judge(work)
        ended = await self._end(result, reason, start)
        try:
            self._bus.emit(ended)
        except Exception as error:  # a journal on a full disk must not hide what is out of rotation
            self.defect = self.defect or error
            if isinstance(error, JournalError):
                ended = msgspec.structs.replace(ended, blocked=str(error))
        hook_defect = await self._hooks.end(ended)
        self.defect = self.defect or hook_defect
        return ended

    async def _work(self) -> None:
        """Carry out the batches, with the drift watcher in parallel."""
        if not self._plan.batches:
            return
        balancer_group = self._application.balancer_group
        balancer_group.track_reloads()
        balancer_group.on_snapshot = self._load_guard.note
        watcher = DriftWatcher(
            balancer_group,
            self._desired_states,
            self._pool,
            self._control,
            self._clock,
            self._bus,
            self._judgement,
        )
        enforcement = Enforcement(self._judgement, self._find_rollout, self._control, self._bus)
        unsubscribe = self._bus.subscribe(self._note_manual_change)
        began = self._clock.monotonic()
        try:
            async with enforcement.beside(watcher):
                await self._batches()
        finally:
            unsubscribe()
            await watcher.count_last()
            self._judgement.end()
            balancer_group.stop_tracking()
            self._bus.emit(summarize(watcher.traffic.totals(), self._clock.monotonic() - began))

    def _note_manual_change(self, record: Record) -> None:
        if isinstance(record.event, ManualChangeStarted):
            for node in self._plan.nodes:
                if node.name in record.event.nodes:
                    self._desired_states.manual_changes |= dict.fromkeys(node.refs, record.event)

    async def _batches(self) -> None:
        await self._control.checkpoint()
        await self._prefetch()
        for number, names in enumerate(self._plan.batches, 1):
            await self._hooks.settled()
            await self._control.checkpoint()
            if self._control.stop_reason:
                return
            if self._plan.policy.confirm == "batch" and not await self._confirmed(number):
                continue
            self._bus.emit(BatchStarted(number=number, nodes=list(names)))
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._run_node(name, names), name=f"node {name}")

    async def _run_node(self, name: str, peers: tuple[str, ...]) -> None:
        try:
            if name not in self._rollouts:  # else its version turned out to be bad before it began
                self._rollouts[name] = self._node_rollout(name, peers)
                await self._rollouts[name].run()
        finally:
            self._pool.end(name)
            self._load_guard.release(name)

    def _find_rollout(self, name: str) -> NodeRollout | None:
        """Return the rollout of a node that runs the target version, worked on or not."""
        if name not in self._rollouts and any(node.name == name for node in self._plan.nodes):
            self._rollouts[name] = self._node_rollout(name, (name,))
        return self._rollouts.get(name)

    def _node_rollout(self, name: str, peers: tuple[str, ...]) -> NodeRollout:
        planned = self._plan.node(name)
        work = StepContext(
            node=next(node for node in self._application.nodes if node.name == name),
            refs=planned.refs,
            originals=planned.originals,
            wanted=self._plan.target_version(name),
            stops="stop" in planned.steps,
            balancer_group=self._application.balancer_group,
            policy=self._plan.policy,
            clock=self._clock,
            control=self._control,
            bus=self._bus,
            mark_touched=lambda: self._touch(name),
            desired_states=self._desired_states,
            followers=frozenset(planned.followers),
            inherited=frozenset(planned.inherited),
            ignored_backends=self._application.ignored_backends,
            load_guard=self._load_guard,
            resumes_drain=planned.only_drained,
            pool=self._pool,
            judgement=self._judgement,
            endpoints=self._endpoints,
            lifetimes=self._plan.drain_basis.lifetimes,
            ramped=frozenset(planned.ramped),
        )
        return NodeRollout(
            planned, peers, self._plan, work, self._control, self._bus, self._progress, self._callbacks
        )

    def _touch(self, name: str) -> None:
        self._progress.touched.add(name)
        self._pool.begin(name)
        self._judgement.leaves(name)

    async def _prefetch(self) -> None:
        """Bring the package to every node before the first one is out of rotation."""
        start = self._clock.monotonic()
        todo = {name for batch in self._plan.batches for name in batch}
        nodes = [node for node in self._application.nodes if node.name in todo]
        if await prefetch(nodes, self._plan.target_version, self._bus):
            self._bus.emit(Prefetched(duration_s=round(self._clock.monotonic() - start, 3)))

    async def _confirmed(self, number: int) -> bool:
        names = self._plan.batches[number - 1]
        after = describe_batch(self._plan, number)
        choice, who = await self._control.request_decision(
            f"batch {number}", f"take out {fold_names(names)}? {after}", (CONTINUE, SKIP, ABORT), "batch"
        )
        if choice == SKIP:
            self._progress.skipped.extend(names)
            for name in names:
                self._bus.emit(NodeSkipped(node=name, who=who.name, **who.origin))
        return choice == CONTINUE

    def _judge(self, work: "asyncio.Future[None]") -> tuple[Result, str]:
        """Judge how the rollout ended: the result, and why."""
        failure = None if work.cancelled() else find_cause(work.exception())
        for error in (failure, self._control.unrecorded):  # an abort may have ended it before that was raised
            if not isinstance(error, RolldeckError):
                self.defect = self.defect or error
        names = {name for batch in self._plan.batches for name in batch}
        all_done = names <= {*self._progress.done}
        if (self._control.aborting and not all_done) or work.cancelled():
            return self._judge_cut()
        if isinstance(failure, JournalError):
            self._blocked = str(failure)
        if isinstance(failure, RolldeckError):
            return "degraded", str(failure)
        if failure is not None:
            return "degraded", f"internal error: {failure!r}"
        result, reason = self._progress.judge(self._control.stop_reason, self._control.forbidden)
        failed, refusal = self._progress.failed, self._judgement.refusal
        bad = [why for name, why in self._judgement.bad_nodes.items() if name in failed or why == refusal]
        words = [why for why in dict.fromkeys(bad) if why not in reason]
        return result, "; ".join([reason, *(f"verdict bad: {why}" for why in words)])

    def _judge_cut(self) -> tuple[Result, str]:
        """Judge a rollout that was aborted or cancelled before everything was done."""
        try:
            self._control.raise_if_aborting()
        except Aborted as aborted:
            return "aborted", str(aborted)
        if self._control.stop_reason:  # and it was cut short: another operator holds its lock
            return "degraded", self._control.stop_reason
        return "aborted", "cancelled"

    async def _end(self, result: Result, reason: str, start: float) -> RolloutEnded:
        progress, plan = self._progress, self._plan
        unfinished = progress.touched.difference(progress.done, progress.returned)
        versions = collect_versions(plan, progress.done, unfinished, self._other_versions) | progress.returned
        out, unseen = await read_final_state(
            self._application,
            plan,
            progress.originals,
            unfinished,
            now=self._clock.time(),
            pool=self._pool,
            versions=versions,
        )
        out, unqueried = await add_discovery_maintenance(self._application, out, unfinished)
        unseen += unqueried
        out = await check_commands(self._application, out, unfinished)
        others = [entry.node for entry in out if entry.by_others and entry.node in progress.done]
        if result == "healthy" and (unseen or any(not entry.intentional for entry in out)):
            result, reason = "degraded", "not everything is back in rotation"
        elif result == "healthy" and others:
            result, reason = "degraded", f"taken out by somebody else: {fold_names(others)}"
        done = {*progress.done, *progress.failed_nodes, *progress.skipped, *progress.put_back}
        names = [name for batch in self._plan.batches for name in batch]
        return RolloutEnded(
            result=result,
            reason=reason,
            upgraded=list(progress.done) if progress.kind == "upgrade" else [],
            rolled_back=list(progress.done if progress.kind == "rollback" else progress.returned),
            failed=progress.failed_nodes,
            skipped=list(progress.skipped),
            interrupted=[name for name in names if name in progress.touched and name not in done],
            pending=[name for name in names if name not in progress.touched and name not in done],
            out_of_rotation=out,
            unreachable_balancers=unseen,
            duration_s=round(self._clock.monotonic() - start, 3),
            answer_wait_s=round(self._control.answer_waits.total_s, 3),
            held=progress.held_nodes,
            versions=versions,
            ways_on=[] if result == "healthy" else find_ways_on(plan, progress),
            blocked=self._blocked,
            unproven=list(self._progress.unproven),
            put_back=list(progress.put_back),
        )
