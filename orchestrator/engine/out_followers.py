"""Servers that are out because a node is: whoever follows it in any backend is named beside it at the end."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.followers import TrackTargets, followers, inherits_only, tracked_servers
from orchestrator.balancers.group import present
from orchestrator.events.ways_back import OutOfRotation
from orchestrator.planning.plan import Plan


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
