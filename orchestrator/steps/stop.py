"""Stop the service: asked, port closed AND process gone."""

from backends.errors import Refused
from backends.model import Activity
from orchestrator.errors import StepFailed
from orchestrator.work import Work


async def stop(work: Work) -> str | None:
    """Ask the service manager to stop, and wait until it is true.

    A manager's own word is not enough: Monit says "Not monitored" after a stop that failed, and a port
    closes before the process has finished what is in flight.

    Returns:
        What was done; None when it was stopped already.
    """
    if await _running(work) is None:
        return None
    timeout = work.policy.stop_timeout
    try:
        await work.ask(work.node.service.stop, timeout=timeout, what="stop")
    except Refused as refused:
        raise StepFailed(f"stop was refused: {refused}") from refused
    await work.until(lambda: _running(work), timeout=timeout, what="service to stop")
    return "port closed, process gone"


async def _running(work: Work) -> str | None:
    """Why it is not stopped yet, or None."""
    state, is_open = await work.look()
    if state.pid is not None:
        work.pids.add(state.pid)
    reasons = []
    if state.activity in (Activity.RUNNING, Activity.CHANGING):
        reasons.append(f"service is {state.detail or state.activity}")
    if is_open:
        reasons.append(f"port {work.node.port} is open")
    for pid in sorted(work.pids):
        if await work.node.host.alive(pid):
            reasons.append(f"process {pid} is there")
        else:
            work.pids.discard(pid)
    return ", ".join(reasons) or None
