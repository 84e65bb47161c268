"""Every command that a rollout would send, without sending one. Pure."""

from collections.abc import Iterable, Sequence

from backends.haproxy import commands
from backends.model import AdminState, Registered, Server
from orchestrator.engine.steps.drain import in_maintenance, out
from orchestrator.engine.steps.verify import RESTORE, can_be_proven
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.planning.plan import PlannedCommand, PlannedNode


def commands_for(
    application: Application,
    node: Node,
    planned: PlannedNode,
    servers: Sequence[Server],
    version: str,
    registered: Registered | None = None,
) -> tuple[PlannedCommand, ...]:
    """In the order in which they would be sent, with a node as it was found."""
    leaves, returns = _registry(node, registered)
    by_step = {
        "drain": _drain(servers, leaves),
        "stop": [(node.host.name, node.host.render(node.service.stop_command()))],
        "install": [
            (node.host.name, node.host.render(command))
            for command in node.installer.install_commands(version)
        ]
        if planned.installed != version
        else [],
        "start": [(node.host.name, node.host.render(node.service.start_command()))],
        "verify": [*_verify(application, planned, servers), *returns],
    }
    return tuple(
        PlannedCommand(step, target, command) for step in planned.steps for target, command in by_step[step]
    )


def _registry(node: Node, seen: Registered | None) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What takes it out of a registry, and what brings it back; nothing where somebody else has it out."""
    registration = node.registration
    if registration is None or not registration.sync_maintenance or seen is None or not seen.exists:
        return [], []
    leave, back = (
        [(node.host.name, node.host.render(command))] if command is not None else []
        for command in (registration.enable_command(), registration.disable_command())
    )
    if seen.maintenance:
        return [], back if seen.set_by_rollout else []
    return leave, back


def prefetch_for(versions: Iterable[tuple[Node, str | None]]) -> tuple[PlannedCommand, ...]:
    """What runs on all nodes side by side before the first one is touched; None: only a look is planned."""
    return tuple(
        PlannedCommand("install", node.host.name, node.host.render(command))
        for node, version in versions
        if version is not None
        for command in node.installer.prefetch_commands(version)
    )


def _drain(servers: Sequence[Server], leaves: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for server in servers:
        if server.agent:
            yield server.ref.instance, commands.agent_off(server.ref)
    for server in servers:
        if not out(server):
            yield server.ref.instance, commands.drain(server.ref)
    yield from leaves
    for server in servers:
        if not in_maintenance(server):
            yield server.ref.instance, commands.maint(server.ref)


def _verify(
    application: Application, planned: PlannedNode, servers: Sequence[Server]
) -> Iterable[tuple[str, str]]:
    for server in servers:
        leaves = planned.originals[server.ref].admin is not AdminState.MAINT
        if leaves and application.policy.require_haproxy_checks and can_be_proven(server):
            yield server.ref.instance, commands.prove(server.ref)
    for ref, original in planned.originals.items():
        if original.admin is not AdminState.MAINT:
            yield ref.instance, RESTORE[original.admin](ref)
    for ref, original in planned.originals.items():
        if original.agent:
            yield ref.instance, commands.agent_on(ref)
