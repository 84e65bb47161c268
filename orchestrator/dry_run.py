"""Every command that a rollout would send, without sending one. Pure."""

from collections.abc import Iterable, Sequence

from backends.haproxy import commands
from backends.model import AdminState
from orchestrator.application import Application
from orchestrator.node import Node
from orchestrator.plan import PlannedCommand, PlannedNode
from orchestrator.steps.verify import RESTORE


def commands_for(
    application: Application, node: Node, planned: PlannedNode, version: str
) -> tuple[PlannedCommand, ...]:
    """In the order in which they would be sent, with a node as it was found."""
    by_step = {
        "drain": _drain(planned),
        "stop": [(node.host.name, node.host.render(node.service.stop_command()))],
        "install": [
            (node.host.name, node.host.render(each)) for each in node.installer.install_commands(version)
        ]
        if planned.installed != version
        else [],
        "start": [(node.host.name, node.host.render(node.service.start_command()))],
        "verify": _verify(application, planned),
    }
    return tuple(
        PlannedCommand(step, target, command) for step in planned.steps for target, command in by_step[step]
    )


def prefetch_for(nodes: Sequence[Node], version: str) -> tuple[PlannedCommand, ...]:
    """What runs on all nodes side by side before the first one is touched."""
    return tuple(
        PlannedCommand("install", node.host.name, node.host.render(command))
        for node in nodes
        for command in node.installer.prefetch_commands(version)
    )


def _drain(planned: PlannedNode) -> Iterable[tuple[str, str]]:
    for ref, original in planned.originals.items():
        if original.agent:
            yield ref.instance, commands.agent_off(ref)
    for build in (commands.drain, commands.maint):
        for ref in planned.refs:
            yield ref.instance, build(ref)


def _verify(application: Application, planned: PlannedNode) -> Iterable[tuple[str, str]]:
    for ref, original in planned.originals.items():
        if original.admin is not AdminState.MAINT and application.policy.gate == "checks":
            yield ref.instance, commands.prove(ref)
    for ref, original in planned.originals.items():
        if original.admin is not AdminState.MAINT:
            yield ref.instance, RESTORE[original.admin](ref)
    for ref, original in planned.originals.items():
        if original.agent:
            yield ref.instance, commands.agent_on(ref)
