"""Start the service: asked AND port open."""

from backends.errors import Refused
from backends.model import Activity, ServiceState
from orchestrator.errors import StepFailed
from orchestrator.work import Work


async def start(work: Work) -> str | None:
    """Ask the service manager to start, and wait until the service runs and its port is open.

    Returns:
        What was done; None when it was up already.

    Raises:
        StepFailed: the start was refused, or the manager has given up on the service.
    """
    if _missing(work, *await work.look()) is None:
        return None
    timeout = work.policy.start_timeout
    try:
        await work.ask(work.node.service.start, timeout=timeout, what="start")
    except Refused as refused:
        raise StepFailed(f"start was refused: {refused}") from refused

    async def up() -> str | None:
        state, is_open = await work.look()
        reason = _missing(work, state, is_open)
        if reason and state.activity is Activity.FAILED:
            raise StepFailed(f"the service failed to start: {reason}")
        return reason

    await work.until(up, timeout=timeout, what="service to start")
    return f"running, port {work.node.port} open"


def _missing(work: Work, state: ServiceState, is_open: bool) -> str | None:
    """Why it is not up yet, or None."""
    if state.activity is not Activity.RUNNING:
        return f"service is {state.detail or state.activity}"
    return None if is_open else f"port {work.node.port} is closed"
