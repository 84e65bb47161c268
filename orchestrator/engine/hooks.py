"""Hooks: the operator's own commands and URLs, which are called at moments of a rollout and may object.

Hooks are called for the same events that everybody reads. While a hook is called about a node, no other node
is taken out of rotation; an abort waits for no hook.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from backends.errors import BackendError, RolldeckError
from backends.hooks import Hook
from backends.protocols import Clock
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import StepFailed
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import AbortRequested, HookFired, Record, RolloutEnded
from orchestrator.events.json import format_time
from orchestrator.events.moments import MOMENTS, HookPayload
from orchestrator.planning.plan import Plan


class Hooks:
    """The hooks of one rollout."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        plan: Plan,
        control: RolloutControl,
        clock: Clock,
        bus: EventBus,
        operator: str,
        rollout: int | None = None,
    ) -> None:
        self._hooks = tuple(hooks)
        self._plan = plan
        self._control = control
        self._clock = clock
        self._bus = bus
        self._operator = operator
        self._rollout = rollout
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._awaited: set[asyncio.Task[None]] = set()  # the calls that the next drain awaits

    async def around(self, work: Callable[[], Awaitable[None]]) -> None:
        """Call the hooks of the start, then do the work and call hooks at its moments.

        Raises:
            StepFailed: a hook has objected to the start; the work was not begun.
            Aborted: the rollout was aborted before it began.
            Exception: what `work` raises.
        """
        if not self._hooks:
            return await work()
        failure: Exception | None = None
        unsubscribe = self._bus.subscribe(self._follow)
        try:
            async with self._group:
                try:
                    await self._start()
                    await work()
                except Exception as error:  # the group would wrap it, and end the hooks
                    failure = error
        finally:
            unsubscribe()
        if failure is not None:
            raise failure

    async def settled(self) -> None:
        """Wait for the hooks that were called about the nodes so far."""
        if self._awaited:
            await asyncio.wait(set(self._awaited))

    async def end(self, ended: RolloutEnded) -> Exception | None:
        """Call the hooks of the end; an objection is an event like all others, and changes nothing.

        Returns:
            The error because of which even that event could not be emitted, if there was one.
        """
        payload = self._payload("end", MOMENTS["end"].payload_fields(ended))
        unsubscribe = self._bus.subscribe(self._follow_abort)
        try:
            tasks = [
                asyncio.create_task(self._fire(hook, "end", "", payload)) for hook in self._hooks_at("end")
            ]
            self._running.update(tasks)
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            unsubscribe()
            self._running.clear()
        return next((result for result in results if isinstance(result, Exception)), None)

    async def _start(self) -> None:
        self._begin("start")
        await self.settled()
        self._control.raise_if_aborting()
        if self._control.stop_reason:
            raise StepFailed(f"{self._control.stop_reason}; no node was touched")

    def _follow(self, record: Record) -> None:
        self._follow_abort(record)
        for moment, spec in MOMENTS.items():
            if spec.event is not None and isinstance(record.event, spec.event):
                self._begin(moment, spec.payload_fields(record.event))

    def _follow_abort(self, record: Record) -> None:
        if isinstance(record.event, AbortRequested):
            for task in self._running:
                task.cancel()

    def _begin(self, moment: str, fields: Mapping[str, Any] | None = None) -> None:
        if self._control.aborting:
            return  # the hooks of the end get everything that has become of the nodes
        fields = fields or {}
        node, payload = fields.get("node", ""), self._payload(moment, fields)
        for hook in self._hooks_at(moment):
            task = self._group.create_task(self._fire(hook, moment, node, payload), name=f"hook {hook.name}")
            hold = ExitStack()
            if MOMENTS[moment].holds_drains:
                # Hold from now on, not from when the task runs: the next node may begin before that.
                hold.enter_context(self._control.hold_new_drains(f"{hook.name} {moment} {node}"))
                self._awaited.add(task)
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            task.add_done_callback(self._awaited.discard)
            task.add_done_callback(lambda _, hold=hold: hold.close())  # type: ignore[misc] # of the default

    async def _fire(self, hook: Hook, moment: str, node: str, payload: bytes) -> None:
        begun = self._clock.monotonic()

        def fired(error: str) -> None:
            seconds = round(self._clock.monotonic() - begun, 3)
            self._bus.emit(
                HookFired(
                    name=hook.name, moment=moment, node=node, ok=not error, duration_s=seconds, error=error
                )
            )

        try:
            await hook.fire(payload)
        except asyncio.CancelledError:
            fired("stopped, because the rollout was aborted")
            raise
        except RolldeckError as failure:
            error = failure.problem if isinstance(failure, BackendError) else str(failure)
        except (
            Exception
        ) as defect:  # a defect of the hook's adapter must not stop a rollout in the middle of a node
            error = f"internal error: {type(defect).__name__}"
        else:
            error = ""
        if error and hook.stops and moment != "end":
            self._control.stop_new_drains(
                f"hook {hook.name} at {moment}{f' of {node}' if node else ''}: {error}"
            )
        fired(error)

    def _hooks_at(self, moment: str) -> list[Hook]:
        return [hook for hook in self._hooks if moment in hook.on]

    def _payload(self, moment: str, fields: Mapping[str, Any]) -> bytes:
        payload = HookPayload(
            moment=moment,
            time=format_time(self._clock.time()),
            application=self._plan.application,
            version=self._plan.version,
            before={node.name: node.displayed_version for node in self._plan.nodes if node.has_version},
            operator=self._operator,
            rollout=self._rollout,
            journal_head=self._bus.journal_head,
            **fields,
        )
        return msgspec.json.encode(payload)
