"""A node whose service was not stopped goes back, in which order nodes do, and who is out with them."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from backends.errors import BackendError, RolldeckError
from backends.model import Admin, AdminState, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.followers import (
    TrackTargets,
    followers,
    inherits,
    inherits_only,
    path,
    tracked_by,
    tracked_servers,
)
from orchestrator.balancers.group import present
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.quarantine import quarantine
from orchestrator.engine.steps.verify import prove, put_back
from orchestrator.events.ways_back import OutOfRotation
from orchestrator.node import Node
from orchestrator.planning.plan import Finding, Plan, PlannedNode, PreflightFailed, Severity


async def with_followers(
    balancers: Mapping[str, LoadBalancer], plan: Plan, out: Sequence[OutOfRotation]
) -> tuple[list[OutOfRotation], list[str]]:
    """Add where servers follow a node that is out, and are out because of it.

    Args:
        balancers: by name; each is read with all of its backends, if anything is out at all.
        plan: has the nodes.
        out: the nodes that are out.

    Returns:
        The same with what was found, and what could not be read, with the reason.
    """
    names = sorted({ref.instance for found in out for ref in plan.node(found.node).refs})
    snapshots, errors = await _read_all(balancers[name] for name in names if name in balancers)
    tracked = tracked_servers(snapshots)
    return (
        [
            msgspec.structs.replace(found, servers=[*found.servers, *where])
            if (where := _where(plan.node(found.node).refs, tracked, snapshots))
            else found
            for found in out
        ],
        [str(error) for error in errors],
    )


async def find_out_followers(
    balancers: Iterable[LoadBalancer], out: Collection[ServerRef], *, beside: Collection[str]
) -> tuple[list[Server], list[BackendError]]:
    """Find the servers of other backends that are not in rotation because they follow one that is out.

    Args:
        balancers: each on which a server is out is read with all of its backends; no other one is.
        out: the servers that are not in rotation.
        beside: backends whose servers are known already.

    Returns:
        The followers by name, and why a load balancer could not be read.
    """
    instances = {ref.instance for ref in out}
    snapshots, errors = await _read_all(balancer for balancer in balancers if balancer.name in instances)
    carried = (ref for ref in followers(tracked_servers(snapshots), out) if ref.backend not in beside)
    servers = present(carried, snapshots)
    return (
        [
            server
            for _, server in sorted(servers.items())
            if server.own_admin_state is AdminState.READY and not server.in_rotation
        ],
        errors,
    )


async def _read_all(balancers: Iterable[LoadBalancer]) -> tuple[list[Snapshot], list[BackendError]]:
    results = await asyncio.gather(*map(_read, balancers))
    return (
        [result for result in results if isinstance(result, Snapshot)],
        [result for result in results if isinstance(result, BackendError)],
    )


async def _read(balancer: LoadBalancer) -> Snapshot | BackendError:
    try:
        return await balancer.snapshot()
    except BackendError as error:
        return error


def _where(refs: Sequence[ServerRef], tracked: TrackTargets, snapshots: Sequence[Snapshot]) -> list[str]:
    servers = present(followers(tracked, refs), snapshots)
    return [
        f"{ref}: {server.admin_state} ({server.status}), because it follows {server.track_target}"
        for ref, server in sorted(servers.items())
        if inherits_only(server)
    ]


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
