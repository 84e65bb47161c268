"""Start the service: its manager reports it running AND its port is open."""

from backends.errors import Refused
from orchestrator.engine.health_gate import Liveness
from orchestrator.engine.step_context import Command, DryRunContext, StepContext
from orchestrator.errors import StepFailed


async def start(context: StepContext) -> str | None:
    """Start the service through its manager, and wait until it runs and its port is open.

    Returns:
        What was done; None when the service was up already.

    Raises:
        StepFailed: the start was refused, the manager has given up on the service, or it is dead for good.
    """
    if await Liveness(context).missing(judge=False) is None:
        return None
    timeout = context.policy.start_timeout
    try:
        await context.start_action(context.node.service.start, timeout=timeout, what="start")
    except Refused as refused:
        raise StepFailed(f"refused: {refused.beside_step(context.node.name)}") from refused

    await context.wait_for(Liveness(context).missing, timeout=timeout, what="service to start")
    return f"running, port {context.node.port} open"


def start_commands(context: DryRunContext) -> list[Command]:
    """List what a start would send."""
    host = context.node.host
    return [(host.name, host.render(context.node.service.start_command()))]
