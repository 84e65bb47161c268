"""Start the service: asked AND port open."""

from backends.errors import Refused
from orchestrator.engine.health_gate import Liveness
from orchestrator.engine.step_context import Work
from orchestrator.errors import StepFailed


async def start(work: Work) -> str | None:
    """Ask the service manager to start, and wait until the service runs and its port is open.

    Returns:
        What was done; None when it was up already.

    Raises:
        StepFailed: the start was refused, the manager has given up on the service, or it is dead for good.
    """
    if await Liveness(work).missing(judge=False) is None:
        return None
    timeout = work.policy.start_timeout
    try:
        await work.ask(work.node.service.start, timeout=timeout, what="start")
    except Refused as refused:
        raise StepFailed(f"refused: {refused.beside_step(work.node.name)}") from refused

    await work.until(Liveness(work).missing, timeout=timeout, what="service to start")
    return f"running, port {work.node.port} open"
