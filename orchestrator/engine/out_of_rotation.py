"""The full list of nodes that are out of rotation: followers, service discovery, commands that work."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.node_state import Activity, Registered
from backends.protocols import LoadBalancer, Registration
from orchestrator.balancers.admin_state import (
    TrackTargets,
    find_followers,
    find_track_targets,
    inherits_only,
)
from orchestrator.balancers.group import find_servers
from orchestrator.events.ways_back import BackCommand, CommandKind, OutOfRotation, make_ready_command
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.planning.plan import Plan

NODE_CHECK_TIMEOUT_S = 10.0  # for each node at the end: it may be the one that hangs


async def add_followers(
    balancers: Mapping[str, LoadBalancer], plan: Plan, out: Sequence[OutOfRotation]
) -> tuple[list[OutOfRotation], list[str]]:
    """Add the servers that follow a node that is out, and are out because of it.

    Args:
        balancers: the load balancers by name; they are read with all backends, if anything is out at all.
        plan: has the nodes.
        out: the nodes that are out.

    Returns:
        The nodes with these servers, and what could not be read, with the reason.
    """
    names = sorted({ref.instance for found in out for ref in plan.node(found.node).refs})
    snapshots, errors = await _read_all(balancers[name] for name in names if name in balancers)
    tracked = find_track_targets(snapshots)
    return (
        [
            msgspec.structs.replace(found, servers=[*found.servers, *where])
            if (where := _describe_followers(plan.node(found.node).refs, tracked, snapshots))
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
        balancers: the load balancers; those on which a server is out are read with all backends.
        out: the servers that are not in rotation.
        beside: backends whose servers are known already.

    Returns:
        The followers by name, and why a load balancer could not be read.
    """
    instances = {ref.instance for ref in out}
    snapshots, errors = await _read_all(balancer for balancer in balancers if balancer.name in instances)
    carried = (ref for ref in find_followers(find_track_targets(snapshots), out) if ref.backend not in beside)
    servers = find_servers(carried, snapshots)
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


def _describe_followers(
    refs: Sequence[ServerRef], tracked: TrackTargets, snapshots: Sequence[Snapshot]
) -> list[str]:
    servers = find_servers(find_followers(tracked, refs), snapshots)
    return [
        f"{ref}: {server.admin_state} ({server.status}), because it follows {server.track_target}"
        for ref, server in sorted(servers.items())
        if inherits_only(server)
    ]


async def add_discovery_maintenance(
    application: Application, out: Sequence[OutOfRotation], unfinished: Collection[str]
) -> tuple[list[OutOfRotation], list[str]]:
    """Add what is in maintenance in service discovery, for nodes that were touched and are not done.

    Args:
        application: has the nodes.
        out: what is out of rotation in HAProxy.
        unfinished: the names of these nodes; that the others are back was read before.

    Returns:
        What is out in HAProxy or service discovery, and what could not be queried, with the reason.
    """
    found = {entry.node: entry for entry in out}
    nodes = [node for node in application.nodes if node.name in unfinished]
    registered = [
        (node, node.registration)
        for node in nodes
        if node.registration and node.registration.sync_maintenance
    ]
    answers = await asyncio.gather(*(_query(registration) for _, registration in registered))
    unseen = dict.fromkeys(str(answer) for answer in answers if isinstance(answer, BackendError))
    for (node, registration), answer in zip(registered, answers, strict=True):
        if isinstance(answer, BackendError) or answer.set_by_rollout:
            what = "unknown" if isinstance(answer, BackendError) else "maintenance"
            found[node.name] = _add_registration(application, node, registration, what, found.get(node.name))
    return list(found.values()), list(unseen)


async def _query(registration: Registration) -> Registered | BackendError:
    try:
        return await registration.query()
    except BackendError as error:
        return error


def _add_registration(
    application: Application, node: Node, registration: Registration, what: str, known: OutOfRotation | None
) -> OutOfRotation:
    if known is None or known.intentional:
        before = known.servers if known is not None else []
        ready = [make_ready_command(application.name, node.name)]
        known = OutOfRotation(node=node.name, servers=before, intentional=False, commands=ready)
    back = registration.disable_command()
    manual = (
        [BackCommand("by_hand", f"{node.host.name}: {node.host.render(back)}")] if back is not None else []
    )
    servers = [*known.servers, f"{registration.name}: {what}"]
    return msgspec.structs.replace(known, servers=servers, commands=[*known.commands, *manual])


async def check_commands(
    application: Application, out: Sequence[OutOfRotation], unfinished: Collection[str]
) -> list[OutOfRotation]:
    """Check whether the commands would work on the nodes that are to be put back.

    `rolldeck ready` proves a node and starts nothing: it is not recommended where the service does not run,
    or is being stopped and would be killed while it serves. Neither is starting a service that runs.

    Args:
        application: has the nodes.
        out: the nodes that are out of rotation, with the commands.
        unfinished: the names of those that were touched and are not done; the others are as they were.
    """
    nodes = {node.name: node for node in application.nodes}
    return list(
        await asyncio.gather(
            *(
                _check_ready(nodes[entry.node], entry)
                if entry.node in unfinished and entry.node in nodes and _has(entry, "ready")
                else _check_start(nodes[entry.node], entry)
                if entry.node in nodes and _has(entry, "upgrade")
                else _keep(entry)
                for entry in out
            )
        )
    )


def _has(out: OutOfRotation, kind: CommandKind) -> bool:
    return any(command.kind == kind for command in out.commands)


async def _check_start(node: Node, out: OutOfRotation) -> OutOfRotation:
    """Drop the command that starts a node that is down in HAProxy, where its own health is good."""
    try:
        async with asyncio.timeout(NODE_CHECK_TIMEOUT_S):
            health = await node.health.check()
    except (BackendError, TimeoutError):
        return out
    if not health.ok:
        return out
    why = "its own health is good, but HAProxy's checks fail"
    kept = [command for command in out.commands if command.kind != "upgrade"]
    return msgspec.structs.replace(out, not_ready=why, commands=kept)


async def _keep(out: OutOfRotation) -> OutOfRotation:
    return out


async def _check_ready(node: Node, out: OutOfRotation) -> OutOfRotation:
    health = None
    try:
        async with asyncio.timeout(NODE_CHECK_TIMEOUT_S):
            health = await node.health.check()
            service = await node.service.state()
    except (BackendError, TimeoutError) as error:
        if health is not None and health.ok:
            return out  # `ready` checks only its health where the service manager does not answer
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
