"""Servers that are out because a node is: whoever follows it in any backend is named beside it at the end."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from backends.base import LoadBalancer
from backends.errors import BackendError
from backends.model import ServerRef, Snapshot
from orchestrator.events import OutOfRotation
from orchestrator.fleet import present
from orchestrator.followers import Tracked, followers, inherits_only, tracked_servers
from orchestrator.plan import Plan


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
    results = await asyncio.gather(*(_read(balancers[name]) for name in names if name in balancers))
    snapshots = [result for result in results if isinstance(result, Snapshot)]
    tracked = tracked_servers(snapshots)
    return (
        [
            msgspec.structs.replace(found, where=[*found.where, *where])
            if (where := _where(plan.node(found.node).refs, tracked, snapshots))
            else found
            for found in out
        ],
        [str(result) for result in results if isinstance(result, BackendError)],
    )


async def _read(balancer: LoadBalancer) -> Snapshot | BackendError:
    try:
        return await balancer.snapshot()
    except BackendError as error:
        return error


def _where(refs: Sequence[ServerRef], tracked: Tracked, snapshots: Sequence[Snapshot]) -> list[str]:
    servers = present(followers(tracked, refs), snapshots)
    return [
        f"{ref}: {server.admin_state} ({server.status}), because it follows {server.tracks}"
        for ref, server in sorted(servers.items())
        if inherits_only(server)
    ]
