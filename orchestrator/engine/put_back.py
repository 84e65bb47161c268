"""A node whose service was not stopped is proven as it is and goes back; and in which order nodes do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.errors import RolldeckError
from backends.model import Admin, AdminState, Server, ServerRef
from orchestrator.balancers.followers import TrackTargets, inherits, path, tracked_by
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.quarantine import quarantine
from orchestrator.engine.steps.verify import prove, put_back
from orchestrator.node import Node
from orchestrator.planning.plan import Finding, PlannedNode, PreflightFailed, Severity


async def put_back_untouched(context: StepContext, planned: PlannedNode) -> bool:
    """Prove the node on the version that it had, and give every server its original state.

    Nothing is done for a node that an earlier rollout had left out, or that is to be put in rotation on
    request: it was not serving before. Neither for one that is not healthy at the first look.

    Returns:
        Whether it is back as it was. If it was tried in vain, the node is in maintenance.
    """
    if context.stop_sent or planned.unfinished_rollout or planned.force_ready or "drain" not in planned.steps:
        return False
    own = replace(context, wanted=planned.running)
    try:
        if not (await own.node.health.check()).ok:
            return False
        await _keep_decisions(own)
    except RolldeckError as error:
        own.note(f"was not put back: {error.beside(own.node.name)}")
        return False
    try:
        await prove(own, ConsecutiveChecks(own, asks_manager=False))
        await put_back(own)
        await discovery.exit_maintenance(own)
    except RolldeckError as error:
        own.note(f"could not be put back: {error.beside(own.node.name)}")
        await quarantine(own)
        return False
    return True


async def _keep_decisions(context: StepContext) -> None:
    """What somebody has drained in the middle is theirs, and stays so."""
    for ref, server in (await context.retry_until_reachable(context.servers)).items():
        theirs = not context.desired_states.satisfied_by(server) and server.admin & Admin.FORCED_DRAIN
        if theirs and context.originals[ref].admin is AdminState.READY:
            context.originals[ref] = replace(context.originals[ref], admin=AdminState.DRAIN)
            context.note(f"somebody has drained {ref} meanwhile: it is left drained")


def in_return_order(
    nodes: Sequence[Node], mapped: Mapping[str, Sequence[ServerRef]], servers: Mapping[ServerRef, Server]
) -> list[Node]:
    """Put whoever is followed before those that follow it: nothing else ends what they inherit.

    Args:
        nodes: to be put back.
        mapped: the servers of each.
        servers: as they are now.

    Raises:
        PreflightFailed: one follows a server that is out and is not put back with it.
    """
    inheriting = tracked_by(server for server in servers.values() if inherits(server))
    errors = tuple(
        Finding(
            Severity.ERROR,
            str(ref),
            f"follows {path(followed)}, which is out, and cannot come back without that; put that back first",
        )
        for ref, followed in inheriting.items()
        if followed not in servers
    )
    if errors:
        raise PreflightFailed(errors)
    depths = {
        node.name: max((_depth(ref, inheriting) for ref in mapped[node.name]), default=0) for node in nodes
    }
    return sorted(nodes, key=lambda node: depths[node.name])


def _depth(ref: ServerRef, tracked: TrackTargets) -> int:
    """How many servers it inherits from, one after the other."""
    seen: list[ServerRef] = []
    while ref in tracked and ref not in seen:
        seen.append(ref)
        ref = tracked[ref]
    return len(seen)
