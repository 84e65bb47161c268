"""Every command that a rollout would send, without sending one. Pure."""

from collections.abc import Iterable

from orchestrator.engine.steps.registry import DryRunContext, step_commands
from orchestrator.node import Node
from orchestrator.planning.plan import PlannedCommand


def commands_for(context: DryRunContext) -> tuple[PlannedCommand, ...]:
    """The commands of all planned steps, in the order in which they would be sent."""
    return tuple(
        PlannedCommand(step, target, command)
        for step in context.planned.steps
        for target, command in step_commands(step, context)
    )


def prefetch_for(versions: Iterable[tuple[Node, str | None]]) -> tuple[PlannedCommand, ...]:
    """The commands that run on all nodes in parallel before the first one is touched.

    Args:
        versions: each node with the version that it is to have; None where nothing is to be upgraded.
    """
    return tuple(
        PlannedCommand("install", node.host.name, node.host.render(command))
        for node, version in versions
        if version is not None
        for command in node.installer.prefetch_commands(version)
    )
