"""Stop the service: asked, port closed AND process gone."""

from backends.errors import NotAsked, Refused, Unreachable
from backends.model import Activity
from orchestrator.engine.step_context import Work, both
from orchestrator.errors import StepFailed


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
        await work.ask(lambda: _send(work), timeout=timeout, what="stop")
    except Refused as refused:
        raise StepFailed(f"refused: {refused.beside_step(work.node.name)}") from refused
    await work.until(lambda: _running(work), timeout=timeout, what="service to stop")
    return "port closed, process gone"


async def _send(work: Work) -> None:
    """Ask for the stop, and remember that it may have been received."""
    before, work.stop_sent = work.stop_sent, True  # also when it is cancelled in the middle
    try:
        await work.node.service.stop()
    except (Unreachable, NotAsked):
        work.stop_sent = before
        raise


async def _running(work: Work) -> str | None:
    """Why it is not stopped yet, or None."""
    known = sorted(work.pids)
    (state, is_open), alive = await both(work.look(), _alive(work, known))
    work.pids.difference_update(pid for pid in known if pid not in alive)
    if state.pid is not None and state.pid not in known:
        work.pids.add(state.pid)  # what is seen for the first time is there until the next look
    reasons = []
    if state.activity in (Activity.RUNNING, Activity.CHANGING):
        reasons.append(f"service is {state.detail or state.activity}")
    if is_open and state.unwatched:
        reasons.append(state.unwatched)
    if is_open:
        reasons.append(f"port {work.node.port} is open")
    reasons += [f"process {pid} is there" for pid in sorted(work.pids)]
    return ", ".join(reasons) or None


async def _alive(work: Work, pids: list[int]) -> set[int]:
    return {pid for pid in pids if await work.node.host.alive(pid)}
