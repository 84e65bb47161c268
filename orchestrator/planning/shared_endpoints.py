"""The same machine behind other server lines, and other machines behind a node's: beyond the application."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.followers import (
    TrackTargets,
    describe_followers,
    followers,
    is_same_endpoint,
    returning_followers,
    tracked_servers,
)
from orchestrator.balancers.group import present
from orchestrator.planning.plan import Finding, Severity

MAX_LISTED_NODES = 8  # nodes of one backend that are named


@dataclass(frozen=True, slots=True)
class SharedEndpoints:
    """The load balancers with all of their backends.

    Attributes:
        snapshots: of those that could be read so.
        tracked: which of their servers follow another one.
        findings: what could not be read.
    """

    snapshots: Mapping[str, Snapshot]
    tracked: TrackTargets
    findings: tuple[Finding, ...] = ()

    def followers(self, refs: Collection[ServerRef]) -> tuple[ServerRef, ...]:
        """The servers that are carried along when these are taken out."""
        return tuple(sorted(followers(self.tracked, refs)))

    def returning(self, refs: Collection[ServerRef]) -> frozenset[ServerRef]:
        """The followers that are in rotation as soon as these are."""
        return returning_followers(self.servers(self.followers(refs)).values(), refs)

    def servers(self, refs: Collection[ServerRef]) -> dict[ServerRef, Server]:
        """Those of these that are there; no other is built."""
        return present(refs, self.snapshots.values())


async def read_shared_endpoints(balancers: Iterable[LoadBalancer]) -> SharedEndpoints:
    """Read all backends of these load balancers.

    One that cannot be read so is an error: what a drain also affects there would not be known.
    """

    async def read(balancer: LoadBalancer) -> Snapshot | Finding:
        try:
            return await balancer.snapshot()
        except BackendError as error:
            text = (
                "whether its nodes are also in other backends, or tracked there, could not be checked:"
                f" {error.problem}"
            )
            return Finding(Severity.ERROR, balancer.name, text)

    results = await asyncio.gather(*map(read, balancers))
    snapshots = {found.info.instance: found for found in results if isinstance(found, Snapshot)}
    return SharedEndpoints(
        snapshots,
        tracked_servers(snapshots.values()),
        tuple(found for found in results if isinstance(found, Finding)),
    )


def judge_shared_endpoints(
    shared: SharedEndpoints, mapped: Mapping[str, Sequence[ServerRef]], ignored_backends: Collection[str]
) -> list[Finding]:
    """Find server lines with a node's address and port that its turn would not take out.

    Stopping the service would cut what comes through them, and nothing here would notice: an error, unless
    somebody has said that it may be so. One that follows the node's own line is taken out with it. Each
    backend is one finding, whatever of it is concerned.

    Args:
        shared: all backends.
        mapped: the server lines of each node, on all load balancers.
        ignored_backends: backends in which that is accepted; only a warning then.
    """
    out = {name: {*refs, *shared.followers(refs)} for name, refs in mapped.items()}
    found: dict[str, list[tuple[str, Server]]] = {}
    for snapshot in shared.snapshots.values():
        for name, server in _left_in(mapped, out, snapshot.servers):
            found.setdefault(server.ref.backend, []).append((name, server))
    return [_finding(backend, left, ignored_backends) for backend, left in found.items()]


def judge_followers(name: str, refs: Sequence[ServerRef], shared: SharedEndpoints) -> Iterable[Finding]:
    """Say what a node that is taken out carries along; another machine is worth a warning."""
    carried = shared.followers(refs)
    if not carried:
        return
    servers = shared.servers((*refs, *carried))
    own = [servers[ref] for ref in refs if ref in servers]
    same = [ref for ref in carried if is_same_endpoint(servers[ref], own)]
    others = [ref for ref in carried if ref not in same]
    for severity, found in ((Severity.WARNING, others), (Severity.INFO, same)):
        for words in describe_followers(shared.tracked, found):
            yield Finding(severity, name, f"also affects {words}")


def _left_in(
    mapped: Mapping[str, Sequence[ServerRef]],
    out: Mapping[str, Collection[ServerRef]],
    servers: Sequence[Server],
) -> Iterator[tuple[str, Server]]:
    """The lines of one load balancer that are left in, each with the node that it is too."""
    own: dict[ServerRef, list[str]] = {}
    for name, refs in mapped.items():
        for ref in refs:
            own.setdefault(ref, []).append(name)
    # An address is empty where the socket's level hides it.
    places: dict[tuple[str, int], dict[str, None]] = {}
    for server in servers:
        if server.ref in own and server.address:
            places.setdefault((server.address, server.port), {}).update(dict.fromkeys(own[server.ref]))
    for server in servers:
        if server.admin_state is AdminState.MAINT:
            continue
        for name in places.get((server.address, server.port), ()):
            if server.ref not in out[name]:
                yield name, server


def _finding(backend: str, left: Sequence[tuple[str, Server]], unmanaged: Collection[str]) -> Finding:
    nodes: dict[str, dict[str, None]] = {}
    for name, server in left:
        nodes.setdefault(name, {})[server.ref.server] = None
    words = [
        name if list(servers) == [name] else f"{name} (as {', '.join(servers)})"
        for name, servers in nodes.items()
    ]
    more = f" and {len(words) - MAX_LISTED_NODES} more" if len(words) > MAX_LISTED_NODES else ""
    where = ", ".join(dict.fromkeys(server.ref.instance for _, server in left))
    one = len(words) == 1
    text = (
        f"has {'the node' if one else 'the nodes'} {', '.join(words[:MAX_LISTED_NODES])}{more} too"
        f" (on {where}),"
        f" {'which is' if one else 'which are'} not drained there: requests that come that way fail while"
        f" {'it is' if one else 'they are'} worked on"
    )
    if backend in unmanaged:
        return Finding(Severity.WARNING, f"backend {backend}", text)
    text += "; add it to `backends` (or `servers`), or accept that in `ignored_backends`"
    return Finding(Severity.ERROR, f"backend {backend}", text)
