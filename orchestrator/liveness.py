"""Whether a service that has been started is up, is on its way, or has died."""

from backends.model import Activity, ServiceState
from orchestrator.errors import StepFailed
from orchestrator.work import Work, both


class Liveness:
    """Looks at a service that is to run, and gives it up when it is dead instead of waiting for its port.

    A service that dies may be started again by its manager. So it fails when it is found dead once more
    `start_grace` seconds after it was first found so: one that crashes again and again is not waited for, and
    one whose second start is slow has the time that any start has.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pid: int | None = None  # as the manager said at the last look
        self._dead_since: float | None = None  # seconds of `Control.worked`

    async def missing(self, *, judge: bool = True) -> str | None:
        """Look once.

        Args:
            judge: fail for a service that is dead; otherwise it is only said.

        Returns:
            Why it is not up, or None.

        Raises:
            StepFailed: its manager has given up on it, or it is dead for longer than `start_grace`.
            BackendError: it could not be seen.
        """
        known = self._pid
        (state, is_open), alive = await both(self._work.look(), self._alive(known))
        self._pid = state.pid
        ended = state.activity is Activity.RUNNING and known is not None and known == state.pid and not alive
        if state.activity is Activity.RUNNING and is_open:
            return None
        reason = self._reason(state, ended)
        if judge and state.activity is Activity.FAILED:
            raise StepFailed(f"its manager has given up on the service: {reason}")
        if judge and (ended or state.retrying or state.activity is Activity.STOPPED):
            self._judge(reason)
        return reason

    async def _alive(self, pid: int | None) -> bool:
        """A manager that looks once a minute calls a process running that has long ended."""
        return pid is None or await self._work.node.host.alive(pid)

    def _reason(self, state: ServiceState, ended: bool) -> str:
        if state.activity is not Activity.RUNNING:
            return f"service is {state.detail or state.activity}"
        closed = f"port {self._work.node.port} is closed"
        return f"process {state.pid} has ended, {closed}" if ended else closed

    def _judge(self, reason: str) -> None:
        now, grace = self._work.control.worked(), self._work.policy.start_grace
        if self._dead_since is None:
            self._dead_since = now
        elif now - self._dead_since >= grace:
            raise StepFailed(f"the service died, and was not up again within {grace:g} s: {reason}")
