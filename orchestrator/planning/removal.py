"""What leaves the rotation with a server, what stays in, and in which order nodes come back."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.errors import BackendError
from backends.haproxy.columns import names_of
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.admin_state import (
    TrackTargets,
    describe_followers,
    followers,
    inherits,
    is_same_endpoint,
    path,
    returning_followers,
    tracked_by,
    tracked_servers,
)
from orchestrator.balancers.group import BalancerGroup, present
from orchestrator.node import Node
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import BackendKey, Capacity, Floors
from orchestrator.planning.findings import Facts, Finding, PreflightFailed, Severity, read_facts

Counted = Callable[[Mapping[str, Snapshot]], Mapping[str, Snapshot]]
"""What counts of the servers that were read."""

MAX_LISTED_NODES = 8  # nodes of one backend that are named


@dataclass(frozen=True, slots=True)
class Departure:
    """What it means when some servers go.

    Attributes:
        tracked: who follows whom, on all load balancers.
        followers: the servers that are carried along, in whatever backend.
        capacities: what stays, in each backend that they stand in.
        snapshots: what was read.
    """

    tracked: TrackTargets
    followers: frozenset[ServerRef]
    capacities: tuple[Capacity, ...]
    snapshots: Mapping[str, Snapshot]


async def measure_departure(
    balancer_group: BalancerGroup,
    leaving: Collection[ServerRef],
    policy: Policy,
    *,
    all_backends: bool = True,
    with_followers: bool = True,
    ignored_backends: Collection[str] = (),
    counted: Counted = dict,
) -> Departure:
    """Read every load balancer; touch nothing.

    Args:
        balancer_group: the load balancers.
        leaving: the servers that would go.
        policy: has the floor.
        all_backends: read the backends that are not ours too: followers may stand there.
        with_followers: whether followers go with them; see `measure_capacity`.
        ignored_backends: see `measure_capacity`.
        counted: leaves out what is no server, such as empty slots.

    Raises:
        BackendError: one of them cannot be read.
    """
    snapshots = await balancer_group.read_all(whole=all_backends and with_followers)
    tracked = tracked_servers(snapshots.values()) if with_followers else {}
    carried = followers(tracked, leaving)
    all_backups = await read_all_backups(balancer_group.balancers, snapshots, carried.union(leaving))
    floors = Floors(counted(snapshots), policy, ignored_backends, all_backups)
    return Departure(tracked, carried, floors.without(leaving, with_followers=with_followers), snapshots)


async def read_all_backups(
    balancers: Mapping[str, LoadBalancer], snapshots: Mapping[str, Snapshot], refs: Collection[ServerRef]
) -> frozenset[BackendKey]:
    """The configuration is read only where there is more than one backup server."""
    several = find_several_backups(snapshots, refs)
    names = {instance for instance, _ in several}
    facts = await read_facts({name: balancer for name, balancer in balancers.items() if name in names})
    return find_all_backups(facts, several)


def find_all_backups(facts: Mapping[str, Facts], several: Collection[BackendKey]) -> frozenset[BackendKey]:
    """Find the backends in which all backup servers serve together.

    Only HAProxy's configuration file tells. Where it cannot be read, the first one alone counts.

    Args:
        facts: of the load balancers.
        several: see `find_several_backups`.
    """
    together = {name: _all_backups(found) for name, found in facts.items()}
    return frozenset(place for place in several if place[1] in together.get(place[0], ()))


def _all_backups(facts: Facts) -> Collection[str]:
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
    return frozenset(place for place, count in counts.items() if count > 1)


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
