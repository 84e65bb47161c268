"""Own health in several consecutive checks, and whether a started service is up, starting, or dead."""

import contextlib
from dataclasses import replace

from backends.errors import BackendError
from backends.node_state import Activity, HealthResult, ServiceState
from orchestrator.engine.step_context import StepContext, gather_both
from orchestrator.errors import StepFailed


class ConsecutiveChecks:
    """Counts consecutive checks of a node's own health, at most one per `health_interval`.

    One good check proves little: a service that dies at once and is restarted is healthy for half a second.
    """

    def __init__(self, context: StepContext, *, queries_manager: bool = True) -> None:
        """Begin to count; nothing was checked yet.

        Args:
            context: the step context of the node.
            queries_manager: False where nothing was done to its service: its host may hang, and only its own
                health decides.
        """
        self._context = context
        self._queries_manager = queries_manager
        self._next = context.control.elapsed_excluding_pauses()
        self._wrong_version = 0
        # The times of the first and the last of the consecutive good checks.
        self._good_since = self._good_until = self._next
        self.reason = "not checked yet"
        self.good = 0  # consecutive good checks so far
        self.bad = 0
        self._stop_ruled_out = not queries_manager  # it is not being stopped, as far as its manager says

    @property
    def needed(self) -> int:
        return self._context.node.health_successes

    @property
    def lasted_s(self) -> float:
        """Seconds from the first to the last of the consecutive good checks, without pauses."""
        return self._good_until - self._good_since if self.good else 0.0

    async def check(self, *, immediate: bool = False) -> str | None:
        """Check health if it is time to; return None when enough consecutive checks were good, else why not.

        Args:
            immediate: check now, although the last check is not `health_interval` old.

        Raises:
            StepFailed: several consecutive checks were good, but another version runs.
        """
        if immediate or self._context.control.elapsed_excluding_pauses() >= self._next:
            await self._check()
            self._next = self._context.control.elapsed_excluding_pauses() + self._context.node.health_interval
        if self.good >= self.needed:
            return await self._being_stopped()
        return f"own health: {self.reason} ({self.good}/{self.needed})"

    async def _being_stopped(self) -> str | None:
        """Describe how a healthy service is being stopped, or None; queried until that is ruled out once."""
        if self._stop_ruled_out:
            return None
        with contextlib.suppress(BackendError):  # a service manager that cannot be queried is no failure here
            state = await self._context.node.service.state()
            if state.stopping:
                return f"its service is being stopped ({state.detail})"
        self._stop_ruled_out = True
        return None

    async def _check(self) -> None:
        result = await self._health()
        wanted = (
            None
            if self._context.wanted is None
            else self._context.node.reported_version(self._context.wanted)
        )
        other = result.ok and wanted is not None and result.version not in (None, wanted)
        if other:
            self.reason = f"{result.version} runs, expected {wanted}"
            self._wrong_version += 1
            if self._wrong_version >= self.needed:
                raise StepFailed(f"healthy, but {self.reason}")
        else:
            self.reason = result.detail
            self._wrong_version = 0
        if result.ok and not other:
            self._good_until = self._context.control.elapsed_excluding_pauses()
            if not self.good:
                self._good_since = self._good_until
            self.good, self.bad = self.good + 1, 0
        else:
            self.good, self.bad = 0, self.bad + 1

    async def _health(self) -> HealthResult:
        """Check own health and, in parallel, the service manager's verdict where it has one."""
        node = self._context.node
        if not self._queries_manager or self._context.self_checked is False:
            return await node.health.check()
        result, objection = await gather_both(node.health.check(), self._manager_objection())
        return replace(result, ok=False, detail=objection) if result.ok and objection else result

    async def _manager_objection(self) -> str:
        """Describe what its service manager finds unhealthy; empty where that checks no health."""
        context = self._context
        try:
            state = await context.node.service.state()
        except BackendError as error:
            problem = f"its service manager cannot be queried: {error.beside(context.node.name)}"
            if context.is_manual and context.self_checked is None:  # the operator may know better
                context.self_checked = False
                context.note(f"{problem}; whether that finds it healthy is unknown")
                return ""
            return problem
        context.self_checked = state.self_checked
        if not state.self_checked or state.activity is Activity.RUNNING:
            return ""
        return f"service is {state.detail or state.activity}"


class Liveness:
    """Checks a service that is to run, and gives it up when it is dead instead of waiting for its port.

    Its manager may start a service that has died again. So the step fails when the service is found dead
    again `start_grace` seconds after the first time: one that keeps crashing is not waited for, and one whose
    second start is slow has the time that any start has.
    """

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._pid: int | None = None  # as the manager reported it last
        self._dead_since: float | None = None  # seconds of `RolloutControl.elapsed_excluding_pauses`

    async def missing(self, *, judge: bool = True) -> str | None:
        """Check once.

        Args:
            judge: fail for a service that is dead; otherwise only describe it.

        Returns:
            Why the service is not up, or None.

        Raises:
            StepFailed: its manager has given up on it, or it is dead for longer than `start_grace`.
            BackendError: it could not be queried.
        """
        known = self._pid
        (state, is_open), alive = await gather_both(self._context.query_service(), self._alive(known))
        self._pid = state.pid
        ended = state.activity is Activity.RUNNING and known is not None and known == state.pid and not alive
        if state.activity is Activity.RUNNING and is_open:
            return None
        reason = self._reason(state, ended)
        if judge and state.activity is Activity.FAILED:
            raise StepFailed(f"its service manager has given up on it: {reason}")
        if judge and (ended or state.retrying or state.activity is Activity.STOPPED):
            self._judge(reason)
        return reason

    async def _alive(self, pid: int | None) -> bool:
        """Return whether the process is alive: a manager that checks once a minute may not know."""
        return pid is None or await self._context.node.host.alive(pid)

    def _reason(self, state: ServiceState, ended: bool) -> str:
        if state.activity is not Activity.RUNNING:
            return f"service is {state.detail or state.activity}"
        closed = f"port {self._context.node.port} is closed"
        return f"process {state.pid} has ended, {closed}" if ended else closed

    def _judge(self, reason: str) -> None:
        now, grace = self._context.control.elapsed_excluding_pauses(), self._context.policy.start_grace
        if self._dead_since is None:
            self._dead_since = now
        elif now - self._dead_since >= grace:
            raise StepFailed(f"the service died, and was not up again within {grace:g} s: {reason}")
