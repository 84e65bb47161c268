"""The agent checks of a node that is worked on."""

from collections.abc import Sequence

from backends.haproxy import commands
from backends.model import ServerRef
from orchestrator.engine.step_context import StepContext


async def silence_agents(context: StepContext, refs: Sequence[ServerRef]) -> None:
    """Disable agent checks: one that replies "ready" would put the server back in rotation."""
    agents = [ref for ref in refs if context.originals[ref].agent]
    await context.balancer_group.ensure(agents, commands.agent_off, lambda server: not server.agent)
