"""Completes the list of nodes that are out of rotation: followers, service discovery, commands that work."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.node_state import Activity, Registered
from backends.protocols import LoadBalancer, Registration
from orchestrator.balancers.admin_state import (
    TrackTargets,
    followers,
    inherits_only,
    tracked_servers,
)
from orchestrator.balancers.group import present
from orchestrator.events.ways_back import BackCommand, CommandKind, OutOfRotation, ready_command
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.planning.plan import Plan

NODE_CHECK_TIMEOUT_S = 10.0  # for one node, at the end: it may be the one that hangs


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


async def with_discovery_maintenance(
    application: Application, out: Sequence[OutOfRotation], unfinished: Collection[str]
) -> tuple[list[OutOfRotation], list[str]]:
    """Look at the nodes that were touched and are not done; of the others the end has been read back.

    Args:
        application: has the nodes.
        out: what is out of rotation in HAProxy.
        unfinished: names of nodes.

    Returns:
        The same with what is out in a registry, and what could not be asked, with the reason.
    """
    found = {entry.node: entry for entry in out}
    nodes = [node for node in application.nodes if node.name in unfinished]
    kept = [
        (node, node.registration)
        for node in nodes
        if node.registration and node.registration.sync_maintenance
    ]
    seen = await asyncio.gather(*(_look(registration) for _, registration in kept))
    unseen = dict.fromkeys(str(answer) for answer in seen if isinstance(answer, BackendError))
    for (node, registration), registered in zip(kept, seen, strict=True):
        if isinstance(registered, BackendError) or registered.set_by_rollout:
            what = "unknown" if isinstance(registered, BackendError) else "maintenance"
            found[node.name] = _added(application, node, registration, what, found.get(node.name))
    return list(found.values()), list(unseen)


async def _look(registration: Registration) -> Registered | BackendError:
    try:
        return await registration.query()
    except BackendError as error:
        return error


def _added(
    application: Application, node: Node, registration: Registration, what: str, known: OutOfRotation | None
) -> OutOfRotation:
    if known is None or known.intentional:
        before = known.servers if known is not None else []
        ready = [ready_command(application.name, node.name)]
        known = OutOfRotation(node=node.name, servers=before, intentional=False, commands=ready)
    back = registration.disable_command()
    by_hand = (
        [BackCommand("by_hand", f"{node.host.name}: {node.host.render(back)}")] if back is not None else []
    )
    servers = [*known.servers, f"{registration.name}: {what}"]
    return msgspec.structs.replace(known, servers=servers, commands=[*known.commands, *by_hand])


async def with_checked_commands(
    application: Application, out: Sequence[OutOfRotation], unfinished: Collection[str]
) -> list[OutOfRotation]:
    """Look whether `rolldeck ready` could work on the nodes that are to be put back.

    It proves a node, and starts nothing: nobody is told to type it where the service does not run, or is
    being stopped and would be killed while it serves. Neither is anybody told to start what runs.

    Args:
        application: has the nodes.
        out: those that are out of rotation, with the commands.
        unfinished: names of those that were touched and are not done; the others are as they were.
    """
    nodes = {node.name: node for node in application.nodes}
    return list(
        await asyncio.gather(
            *(
                _check_ready(nodes[entry.node], entry)
                if entry.node in unfinished and entry.node in nodes and _has(entry, "ready")
                else _check_start(nodes[entry.node], entry)
                if entry.node in nodes and _has(entry, "upgrade")
                else _unchanged(entry)
                for entry in out
            )
        )
    )


def _has(out: OutOfRotation, kind: CommandKind) -> bool:
    return any(command.kind == kind for command in out.commands)


async def _check_start(node: Node, out: OutOfRotation) -> OutOfRotation:
    """HAProxy has it as it was, and it is down. Where it is healthy, starting it would find nothing to do."""
    try:
        async with asyncio.timeout(NODE_CHECK_TIMEOUT_S):
            health = await node.health.check()
    except (BackendError, TimeoutError):
        return out
    if not health.ok:
        return out
    why = "its own health is good, but not HAProxy's checks of it"
    kept = [command for command in out.commands if command.kind != "upgrade"]
    return msgspec.structs.replace(out, not_ready=why, commands=kept)


async def _unchanged(out: OutOfRotation) -> OutOfRotation:
    return out


async def _check_ready(node: Node, out: OutOfRotation) -> OutOfRotation:
    health = None
    try:
        async with asyncio.timeout(NODE_CHECK_TIMEOUT_S):
            health = await node.health.check()
            service = await node.service.state()
    except (BackendError, TimeoutError) as error:
        if health is not None and health.ok:
            return out  # `ready` looks at its health alone, where the service manager says nothing
        why = f"it cannot be queried: {str(error) or 'no answer in time'}"
        return msgspec.structs.replace(out, not_ready=why)
    if service.stopping:
        why = f"its service is being stopped ({service.detail})"
        return msgspec.structs.replace(out, not_ready=why, stopped=True)
    if health.ok:
        return out
    if service.activity in (Activity.RUNNING, Activity.CHANGING):
        return msgspec.structs.replace(out, not_ready=f"it is not healthy: {health.detail}")
    why = f"its service does not run ({service.detail or service.activity})"
    return msgspec.structs.replace(out, not_ready=why, stopped=True)
