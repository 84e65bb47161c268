"""The rollout of one node: its steps in order, the decisions of operators, and what follows a failure."""

from collections.abc import Callable
from contextlib import nullcontext

from backends.errors import BackendError, RolldeckError
from backends.model import AdminState, ServerRef
from orchestrator.engine.control import ABORT, BACK, CONTINUE, RETRY, SKIP, RolloutControl
from orchestrator.engine.inventory_drift import confirm_inventory_drift
from orchestrator.engine.result import Progress, collect_versions
from orchestrator.engine.rollout_context import RolloutCallbacks
from orchestrator.engine.step_context import StepContext, run_step
from orchestrator.engine.steps.drain import still_in_maintenance
from orchestrator.engine.steps.install import await_end, prefetch
from orchestrator.engine.steps.quarantine import drain_at_once, quarantine, restore_untouched
from orchestrator.engine.way_back import find_version, lead_back, lead_forward, read_servers, show_log
from orchestrator.errors import Aborted, BadVersion, ServiceDiscoveryMaintenance, Skipped, StepFailed
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import (
    DecisionKind,
    NodeFailed,
    NodePutBack,
    NodeRolledBack,
    NodeSkipped,
    NodeStarted,
    NodeUpgraded,
    StepDone,
    StepStarted,
)
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.text import describe_mixed_versions
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Plan, PlannedNode, describe_load


class NodeRollout:
    """Takes one node through its steps; a failure does not end the rollout of another node."""

    def __init__(
        self,
        planned: PlannedNode,
        peers: tuple[str, ...],
        plan: Plan,
        context: StepContext,
        control: RolloutControl,
        bus: EventBus,
        progress: Progress,
        callbacks: RolloutCallbacks,
    ) -> None:
        self._callbacks = callbacks
        self._planned = planned
        self._name = planned.name
        self._peers = peers  # the nodes of its batch, itself included
        self._plan = plan
        self._context = context
        self._forward = context  # as it was for the first attempt with the target version
        self._steps: tuple[Step, ...] = tuple(planned.steps)
        self._control = control
        self._bus = bus
        self._progress = progress
        self.is_running = False

    async def run(self) -> None:
        """Run until the node is done, skipped or failed for good, or the rollout is aborted."""
        self.is_running = True
        try:
            with self._control.answer_waits.work(self._name):
                await self._run()
        finally:
            self.is_running = False

    async def leave_at_once(self) -> None:
        """Drain the node in the middle of whatever it does, as far as the floor allows."""
        with self._bus.commands_of(self._name, "verify"):
            await drain_at_once(self._context)

    async def fail_afterwards(self, error: RolldeckError) -> None:
        """Fail the node although its rollout is over, or there was nothing to do."""
        progress = self._progress
        for names in (progress.done, progress.unproven):
            names[:] = [name for name in names if name != self._name]
        self._context.step = "verify"
        if self._name not in progress.touched:
            self._emit_start()
            self._context.mark_touched()
        if await self._failed(error):
            await self.run()

    async def _run(self) -> None:
        while True:
            try:
                await self._run_steps()
            except Skipped as skipped:
                self._progress.skipped.append(self._name)
                self._bus.emit(NodeSkipped(node=self._name, who=skipped.by.name, **skipped.by.origin))
            except Aborted:
                pass
            except (StepFailed, BackendError) as error:
                if await self._failed(error):
                    continue
            return

    async def _run_steps(self) -> None:
        took = self._measure_time()
        await self._begin()
        if self._planned.running_command is not None:
            await await_end(self._context, self._planned.running_command)
        for step in self._steps:
            if self._plan.policy.confirm == "step":
                await self._confirm(f"{step}?", "step", step)
            # Last: a decision while the rollout is paused starts nothing yet.
            await self._control.checkpoint()
            await self._run_step(step)
        self._progress.done.append(self._name)
        baked = self._context.baked
        if baked is not None and (not baked.proven or self._context.judgement.undecided):
            self._progress.unproven.append(self._name)
        done = NodeRolledBack if self._progress.kind == "rollback" else NodeUpgraded
        self._bus.emit(done(node=self._name, version=self._context.wanted or "", **took()))

    def _measure_time(self) -> Callable[[], dict[str, float]]:
        """Return a function that returns how long work has taken since now: the fields of a `Timed` event."""
        control = self._control
        start_s, waited_s = control.elapsed_excluding_pauses(), control.answer_waits.seconds(self._name)

        def measure() -> dict[str, float]:
            return {
                "duration_s": round(control.elapsed_excluding_pauses() - start_s, 3),
                "answer_wait_s": round(control.answer_waits.seconds(self._name) - waited_s, 3),
            }

        return measure

    async def _run_step(self, step: Step) -> None:
        self._context.step = step
        with self._bus.commands_of(self._name, step):
            await self._carry_out(step)

    async def _carry_out(self, step: Step) -> None:
        took = self._measure_time()
        self._bus.emit(StepStarted(node=self._name, step=step))
        if step != "drain":  # which does that itself: it may wait for capacity first
            self._context.mark_touched()
        if step != "drain" and "drain" in self._steps:
            await still_in_maintenance(self._context)
        # Whoever sees that it will not become healthy need not wait for the deadline.
        may_fail = step in STEPS.after("install")
        offer = self._control.wait_cuts.offer(self._name, step, "fail-now")
        with offer if may_fail else nullcontext():
            detail = await run_step(step, self._context)
        self._bus.emit(
            StepDone(
                node=self._name,
                step=step,
                changed=detail is not None,
                detail=detail or "nothing to do",
                **took(),
            )
        )

    async def _begin(self) -> None:
        """Wait until no failure is open, have the node confirmed if need be, and read its original states."""
        control, progress = self._control, self._progress
        if self._name in progress.touched:
            return  # a retry: the node has begun, and its original states are known
        await control.await_decisions(self._name)
        control.raise_if_drains_stopped()
        with control.answer_waits.wait(self._name):
            await confirm_inventory_drift(self._name, self._plan, progress, control, self._callbacks)
        if self._plan.policy.confirm == "node":
            parts = filter(None, [self._planned.reason, describe_load(self._plan, self._name)])
            await self._confirm(f"take it out of rotation? {'; '.join(parts)}")
            control.raise_if_drains_stopped()
        self._context.originals = await self._read_originals()
        self._note_external_changes()
        self._emit_start()
        await self._callbacks.published()

    def _emit_start(self) -> None:
        """Note the original states, and emit them."""
        self._progress.originals[self._name] = self._context.originals
        self._context.desired_states.originals |= self._context.originals
        self._bus.emit(
            NodeStarted(
                node=self._name,
                version=self._context.wanted or "",
                originals=[original.to_event(ref) for ref, original in self._context.originals.items()],
            )
        )

    def _note_external_changes(self) -> None:
        """Note what somebody has changed on this node since the plan was made; that is kept."""
        for ref, now in self._context.originals.items():
            planned = self._planned.originals.get(ref)
            if planned is not None and now != planned:
                who = self._context.desired_states.who_set(ref, now, now.agent)
                self._context.note(
                    f"{who} set {ref} to {now.admin}, weight {now.weight}, since the plan was made: it will"
                    " be restored to that"
                )

    async def _read_originals(self) -> dict[ServerRef, OriginalState]:
        """Read the original states now: somebody may have changed one since the plan was made."""
        servers = await self._context.retry_until_reachable(self._context.servers)
        if self._planned.unfinished_rollout:
            return dict(self._planned.originals)  # the states of now are those that rollout has left
        found = {ref: OriginalState.of(server) for ref, server in servers.items()}
        for ref, planned in self._planned.originals.items():
            # Put in rotation on request (--force-ready), although a human had it out.
            if planned.admin is AdminState.READY and self._planned.force_ready:
                found[ref] = OriginalState.as_ready(servers[ref])
        return found

    async def _confirm(self, text: str, kind: DecisionKind = "node", step: Step | None = None) -> None:
        choices = (CONTINUE, SKIP, ABORT)
        choice, who = await self._control.request_decision(self._name, text, choices, kind, step)
        if choice == SKIP:
            raise Skipped(who)

    async def _failed(self, error: RolldeckError) -> bool:
        """Keep the node out, stop new drains, and have an operator decide; return whether to try again."""
        self._progress.failed.append(self._name)
        failed = sum(name in (*self._progress.failed, *self._progress.put_back) for name in self._peers)
        share = 100 * failed / len(self._peers)
        too_many = share > self._plan.policy.max_fail_percentage
        if too_many and not self._control.interactive:
            self._control.stop_new_drains(f"{self._name} failed")
        step = self._context.step
        self._progress.failed_at[self._name] = step
        with self._control.hold_new_drains(self._name):
            text = await self._leave(error)
            if not self._control.interactive:
                return False
            back = "; it was put back" if self._name in self._progress.put_back else ""
            is_again = await self._decide(f"{step} failed: {text}{back}")
            if isinstance(error, BadVersion) and not self._control.aborting:
                # That decision was about the version too.
                self._context.judgement.forgive()
            return is_again

    async def _leave(self, error: RolldeckError) -> str:
        """Take a node that has failed out of rotation, or put it back; return why it failed, in words."""
        step, text = self._context.step, error.beside(self._name)
        touched = self._name in self._progress.touched
        servers = await read_servers(self._context) if touched else []
        self._bus.emit(NodeFailed(node=self._name, step=step, error=text, touched=touched, servers=servers))
        left_as_is = step == "drain" or isinstance(error, ServiceDiscoveryMaintenance)
        if touched and not await self._put_back(error) and not left_as_is:
            await self._quarantine()
        if touched and STEPS.spec(step).logs_service:
            await show_log(self._context, step)
        return text

    async def _put_back(self, failure: RolldeckError) -> bool:
        """Put the node back if its service was not stopped; return whether it is as it was before."""
        if isinstance(failure, BadVersion):
            return False  # its new version runs
        step = self._context.step
        try:
            with self._bus.commands_of(self._name, step):
                back = await restore_untouched(self._context, self._planned)
        except RolldeckError as error:
            self._context.note(f"could not be brought to maintenance everywhere: {error.beside(self._name)}")
            return False
        if back:
            self._progress.failed.remove(self._name)
            self._progress.put_back.append(self._name)
            self._progress.touched.discard(self._name)
            self._bus.emit(NodePutBack(node=self._name, step=step, error=failure.beside(self._name)))
        return back

    async def _quarantine(self) -> None:
        try:
            with self._bus.commands_of(self._name, self._context.step):
                await quarantine(self._context)
        except RolldeckError as error:
            self._context.note(f"could not be brought to maintenance everywhere: {error.beside(self._name)}")

    async def _decide(self, text: str) -> bool:
        """Have operators decide what becomes of a node that has failed; return whether to try it again."""
        progress = self._progress
        version = await find_version(self._context, progress, self._callbacks)
        while True:
            choices = (RETRY, BACK, SKIP, ABORT) if version else (RETRY, SKIP, ABORT)
            try:
                choice, _ = await self._control.request_decision(
                    self._name, text, choices, "failure", version=version
                )
                if choice != BACK:
                    break
                text, version = await self._go_back(version)
            except Aborted:
                return False
        if choice == RETRY:
            for names in (progress.failed, progress.put_back):
                names[:] = [name for name in names if name != self._name]
            if progress.returned.pop(self._name, None) is not None:
                progress.touched.discard(self._name)  # it begins anew, from the state that it has now
                self._context.stop_sent = False
        return choice == RETRY

    async def _go_back(self, version: str) -> tuple[str, str]:
        """Bring the node back to an earlier version, and nothing else.

        Returns:
            What is to be decided now, and the version that it can still go back to, if it has failed again.

        Raises:
            Aborted: an operator has aborted the rollout meanwhile.
        """
        took = self._measure_time()
        self._context, self._steps = lead_back(self._context, version), tuple(STEPS)
        self._emit_start()
        try:
            await prefetch([self._context.node], lambda _: version, self._bus)
            for step in self._steps:
                await self._control.checkpoint()
                await self._run_step(step)
        except (StepFailed, BackendError) as error:
            return f"back to {version} failed at {self._context.step}: {await self._leave(error)}", version
        finally:
            self._context = lead_forward(self._context, self._forward)
        self._progress.returned[self._name] = version
        self._bus.emit(NodeRolledBack(node=self._name, version=version, **took()))
        return f"is back on {version}; {self._describe_versions()}: what now?", ""

    def _describe_versions(self) -> str:
        """Describe which versions the nodes of the application have now, as far as the rollout knows."""
        progress = self._progress
        unknown = progress.touched.difference(progress.done, progress.returned)
        versions = collect_versions(self._plan, progress.done, unknown, {}) | progress.returned
        return describe_mixed_versions(versions) or "all other nodes have it too"
