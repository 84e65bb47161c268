"""Start the service: asked AND port open."""

from backends.errors import Refused
from backends.model import Activity
from orchestrator.errors import StepFailed
from orchestrator.work import Work


async def start(work: Work) -> str | None:
    """Ask the service manager to start, and wait until the service runs and its port is open.

    Returns:
        What was done; None when it was up already.

    Raises:
        StepFailed: the start was refused, or the manager has given up on the service.
    """
    if await _missing(work) is None:
        return None
    timeout = work.policy.start_timeout
    try:
        await work.ask(work.node.service.start, timeout=timeout, what="start")
    except Refused as refused:
        raise StepFailed(f"start was refused: {refused}") from refused

    async def up() -> str | None:
        reason = await _missing(work)
        if reason and (await work.node.service.state()).activity is Activity.FAILED:
            raise StepFailed(f"the service failed to start: {reason}")
        return reason

    await work.until(up, timeout=timeout, what="service to start")
    return f"running, port {work.node.port} open"


async def _missing(work: Work) -> str | None:
    """Why it is not up yet, or None."""
    state = await work.node.service.state()
    if state.activity is not Activity.RUNNING:
        return f"service is {state.detail or state.activity}"
    if not await work.node.port_probe.is_open():
        return f"port {work.node.port} is closed"
    return None
