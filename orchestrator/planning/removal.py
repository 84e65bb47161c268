"""The removal of servers from rotation: what leaves with them, what stays, and the order of return."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.errors import BackendError
from backends.haproxy.columns import names_of
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.name_ranges import fold_names, list_folded
from backends.protocols import LoadBalancer
from orchestrator.balancers.admin_state import (
    TrackTargets,
    describe_followers,
    find_followers,
    find_returning_followers,
    find_track_targets,
    format_path,
    inherits,
    is_same_endpoint,
    track_targets_of,
)
from orchestrator.balancers.group import BalancerGroup, find_servers
from orchestrator.node import Node
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import IN_ROTATION, BackendKey, Capacity, CountsForFloor, Floors
from orchestrator.planning.findings import Facts, Finding, PreflightFailed, Severity, read_facts

Counted = Callable[[Mapping[str, Snapshot]], Mapping[str, Snapshot]]
"""Leaves out of the snapshots what does not count, such as empty slots."""

MAX_LISTED_NODES = 8  # nodes of one backend that are named


@dataclass(frozen=True, slots=True)
class Removal:
    """What the removal of some servers from the rotation does.

    Attributes:
        tracked: which server each follower follows, on all load balancers.
        followers: the servers that leave with them, in any backend.
        capacities: what stays in rotation in each of their backends.
        snapshots: what was read.
    """

    tracked: TrackTargets
    followers: frozenset[ServerRef]
    capacities: tuple[Capacity, ...]
    snapshots: Mapping[str, Snapshot]


async def measure_removal(
    balancer_group: BalancerGroup,
    leaving: Collection[ServerRef],
    policy: Policy,
    *,
    all_backends: bool = True,
    with_followers: bool = True,
    ignored_backends: Collection[str] = (),
    counted: Counted = dict,
    counts: CountsForFloor = IN_ROTATION,
) -> Removal:
    """Read every load balancer and compute what the removal of servers would do.

    Args:
        balancer_group: the load balancers.
        leaving: the servers that would leave.
        policy: has the floor.
        all_backends: read the backends of others too: followers may be in them.
        with_followers: whether followers leave with them; see `measure_capacity`.
        ignored_backends: see `measure_capacity`.
        counted: leaves out what does not count, such as empty slots.
        counts: what a server must be to count.

    Raises:
        BackendError: one of them cannot be read.
    """
    snapshots = await balancer_group.read_all(whole=all_backends and with_followers)
    tracked = find_track_targets(snapshots.values()) if with_followers else {}
    carried = find_followers(tracked, leaving)
    all_backups = await read_all_backups(balancer_group.balancers, snapshots, carried.union(leaving))
    floors = Floors(counted(snapshots), policy, ignored_backends, all_backups, counts)
    return Removal(tracked, carried, floors.without(leaving, with_followers=with_followers), snapshots)


async def read_all_backups(
    balancers: Mapping[str, LoadBalancer], snapshots: Mapping[str, Snapshot], refs: Collection[ServerRef]
) -> frozenset[BackendKey]:
    """Find the backends in which all backup servers serve together; reads facts only where that matters."""
    several = find_several_backups(snapshots, refs)
    names = {instance for instance, _ in several}
    facts = await read_facts({name: balancer for name, balancer in balancers.items() if name in names})
    return find_all_backups(facts, several)


def find_all_backups(facts: Mapping[str, Facts], several: Collection[BackendKey]) -> frozenset[BackendKey]:
    """Find the backends in which all backup servers serve together.

    Only HAProxy's configuration file says so. Where it cannot be read, the first one alone counts.

    Args:
        facts: the facts of the load balancers.
        several: see `find_several_backups`.
    """
    together = {name: _list_all_backups(found) for name, found in facts.items()}
    return frozenset(key for key in several if key[1] in together.get(key[0], ()))


def _list_all_backups(facts: Facts) -> Collection[str]:
    return () if isinstance(facts, BackendError) else facts.all_backups or ()


def find_several_backups(
    snapshots: Mapping[str, Snapshot], refs: Collection[ServerRef]
) -> frozenset[BackendKey]:
    """Find the backends of these servers that have more than one backup server."""
    counts = dict.fromkeys(((ref.instance, ref.backend) for ref in refs), 0)
    for instance, snapshot in snapshots.items():
        for index, (backend, _) in enumerate(names_of(snapshot.servers)):
            if (instance, backend) in counts and snapshot.servers[index].backup:
                counts[instance, backend] += 1
    return frozenset(key for key, count in counts.items() if count > 1)


@dataclass(frozen=True, slots=True)
class SharedEndpoints:
    """The load balancers with all of their backends.

    Attributes:
        snapshots: the snapshots of those that could be read.
        tracked: which of their servers follow another one.
        findings: what could not be read.
    """

    snapshots: Mapping[str, Snapshot]
    tracked: TrackTargets
    findings: tuple[Finding, ...] = ()

    def followers(self, refs: Collection[ServerRef]) -> tuple[ServerRef, ...]:
        """Return the servers that leave the rotation together with these."""
        return tuple(sorted(find_followers(self.tracked, refs)))

    def returning(self, refs: Collection[ServerRef]) -> frozenset[ServerRef]:
        """Return the followers that are in rotation again as soon as these are."""
        return find_returning_followers(self.servers(self.followers(refs)).values(), refs)

    def servers(self, refs: Collection[ServerRef]) -> dict[ServerRef, Server]:
        """Return those of these that are there; no other is built."""
        return find_servers(refs, self.snapshots.values())


async def read_shared_endpoints(balancers: Iterable[LoadBalancer]) -> SharedEndpoints:
    """Read all backends of these load balancers.

    One that cannot be read is an error finding: what a drain also affects there would not be known.
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
        find_track_targets(snapshots.values()),
        tuple(found for found in results if isinstance(found, Finding)),
    )


def judge_shared_endpoints(
    shared: SharedEndpoints, mapped: Mapping[str, Sequence[ServerRef]], ignored_backends: Collection[str]
) -> list[Finding]:
    """Find server lines with a node's address and port that its rollout would not take out of rotation.

    Stopping the service would cut what comes through them, and nothing would notice it. That is an error,
    unless the backend is accepted in `ignored_backends`. A line that follows the node's own one leaves with
    it. Each backend is one finding.

    Args:
        shared: all backends.
        mapped: the server lines of each node, on all load balancers.
        ignored_backends: backends in which that is only a warning.
    """
    out = {name: {*refs, *shared.followers(refs)} for name, refs in mapped.items()}
    found: dict[str, list[tuple[str, Server]]] = {}
    for snapshot in shared.snapshots.values():
        for name, server in _find_left_in(mapped, out, snapshot.servers):
            found.setdefault(server.ref.backend, []).append((name, server))
    return [_make_finding(backend, left, ignored_backends) for backend, left in found.items()]


def judge_followers(name: str, refs: Sequence[ServerRef], shared: SharedEndpoints) -> Iterable[Finding]:
    """Name the followers of a node that is taken out; those on another machine are worth a warning."""
    carried = shared.followers(refs)
    if not carried:
        return
    servers = shared.servers((*refs, *carried))
    own = [servers[ref] for ref in refs if ref in servers]
    same = [ref for ref in carried if is_same_endpoint(servers[ref], own)]
    others = [ref for ref in carried if ref not in same]
    for severity, found in ((Severity.WARNING, others), (Severity.INFO, same)):
        for parts in describe_followers(shared.tracked, found):
            yield Finding.of(severity, name, "also affects ", *parts)


def _find_left_in(
    mapped: Mapping[str, Sequence[ServerRef]],
    out: Mapping[str, Collection[ServerRef]],
    servers: Sequence[Server],
) -> Iterator[tuple[str, Server]]:
    """Yield the lines of one load balancer that would stay in rotation, each with its node."""
    own: dict[ServerRef, list[str]] = {}
    for name, refs in mapped.items():
        for ref in refs:
            own.setdefault(ref, []).append(name)
    # An address is empty where the socket's level hides it.
    node_names: dict[tuple[str, int], dict[str, None]] = {}
    for server in servers:
        if server.ref in own and server.address:
            node_names.setdefault((server.address, server.port), {}).update(dict.fromkeys(own[server.ref]))
    for server in servers:
        if server.admin_state is AdminState.MAINT:
            continue
        for name in node_names.get((server.address, server.port), ()):
            if server.ref not in out[name]:
                yield name, server


def _make_finding(
    backend: str, left: Sequence[tuple[str, Server]], ignored_backends: Collection[str]
) -> Finding:
    nodes: dict[str, dict[str, None]] = {}
    for name, server in left:
        nodes.setdefault(name, {})[server.ref.server] = None
    names = [
        name if list(servers) == [name] else f"{name} (as {fold_names(servers)})"
        for name, servers in nodes.items()
    ]
    listed, more = list_folded(names), ""
    if len(listed) > MAX_LISTED_NODES:
        listed, more = names[:MAX_LISTED_NODES], f" and {len(names) - MAX_LISTED_NODES} more"
    where = ", ".join(dict.fromkeys(server.ref.instance for _, server in left))
    one = len(names) == 1
    text = (
        f"has {'the node' if one else 'the nodes'} {', '.join(listed)}{more} too"
        f" (on {where}),"
        f" {'which is' if one else 'which are'} not drained there: requests that come that way fail while"
        f" {'it is' if one else 'they are'} worked on"
    )
    if backend in ignored_backends:
        return Finding(Severity.WARNING, f"backend {backend}", text)
    text += "; add it to `backends` (or `servers`), or accept that in `ignored_backends`"
    return Finding(Severity.ERROR, f"backend {backend}", text)


def sort_for_return(
    nodes: Sequence[Node], mapped: Mapping[str, Sequence[ServerRef]], servers: Mapping[ServerRef, Server]
) -> list[Node]:
    """Sort nodes so that one that is followed comes before its followers: only that ends what they inherit.

    Args:
        nodes: the nodes to put back.
        mapped: the servers of each node.
        servers: the servers as they are now.

    Raises:
        PreflightFailed: a node follows a server that is out and is not put back with it.
    """
    inheriting = track_targets_of(server for server in servers.values() if inherits(server))
    errors = tuple(
        Finding(
            Severity.ERROR,
            str(ref),
            f"follows {format_path(followed)}, which is out, and cannot return without it:"
            " put that server back first",
        )
        for ref, followed in inheriting.items()
        if followed not in servers
    )
    if errors:
        raise PreflightFailed(errors)
    depths = {
        node.name: max((_count_depth(ref, inheriting) for ref in mapped[node.name]), default=0)
        for node in nodes
    }
    return sorted(nodes, key=lambda node: depths[node.name])


def _count_depth(ref: ServerRef, tracked: TrackTargets) -> int:
    """Return how many servers a server inherits from, one after the other."""
    followed: list[ServerRef] = []
    while ref in tracked and ref not in followed:
        followed.append(ref)
        ref = tracked[ref]
    return len(followed)
