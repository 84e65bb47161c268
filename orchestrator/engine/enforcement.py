"""What follows from a verdict "bad": its node leaves rotation at once, and has failed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orchestrator.beside import running_beside
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.drift_watcher import DriftWatcher
from orchestrator.engine.node_rollout import NodeRollout
from orchestrator.engine.version_judgement import VersionJudgement
from orchestrator.errors import BadVersion
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote


class Enforcement:
    """Carries out what the judgement on a new version demands while a rollout goes on."""

    def __init__(
        self,
        judgement: VersionJudgement,
        find_rollout: Callable[[str], NodeRollout | None],
        control: RolloutControl,
        bus: EventBus,
    ) -> None:
        """Begin without a verdict.

        Args:
            judgement: names the nodes.
            find_rollout: returns the rollout of a node; None where it is not in the plan.
            control: of the rollout.
            bus: gets the events.
        """
        self._judgement = judgement
        self._find_rollout = find_rollout
        self._control = control
        self._bus = bus

    @asynccontextmanager
    async def beside(self, watcher: DriftWatcher) -> AsyncIterator[None]:
        """Run, and the drift watcher too, while the block runs and until everything is carried out.

        When one of both fails, no further node is drained.

        Raises:
            Exception: what has ended one of them.
        """
        works = {"watching for drift": watcher.run, "enforcing verdicts": self._run}
        async with running_beside(works) as tasks:
            for task in tasks:
                task.add_done_callback(self._stop_after_defect)
            yield
            await self._settle(tasks[1])

    def _stop_after_defect(self, task: "asyncio.Future[None]") -> None:
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._control.stop_new_drains(f"internal error: {defect!r}")

    async def _run(self) -> None:
        """Run until cancelled. Raises what has ended the judgement: new drains are stopped then."""
        found = self._judgement.found_bad
        while True:
            verdict = await found.get()
            try:
                if isinstance(verdict, Exception):
                    raise verdict
                await self._enforce(*verdict)
            finally:
                found.task_done()

    async def _settle(self, running: "asyncio.Future[None]") -> None:
        """Wait until everything is carried out, or `_run`, which is given, has failed."""
        settled = asyncio.ensure_future(self._judgement.found_bad.join())
        try:
            await asyncio.wait({settled, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()

    async def _enforce(self, node: str, reason: str) -> None:
        rollout = self._find_rollout(node)
        has_old_version = self._judgement.has_old_version(node)  # the verdict is that of a rollout before
        if not self._control.interactive or rollout is None or has_old_version:
            self._control.stop_new_drains(f"verdict bad: {reason}")
        if has_old_version:
            return
        if rollout is None:
            text = "is not part of this rollout, and was left in rotation with the version that is bad"
            self._bus.emit(NodeNote(node=node, text=text))
            return
        await rollout.leave_at_once()
        if not rollout.is_running:  # else its step fails by itself
            await rollout.fail_afterwards(BadVersion(reason))
