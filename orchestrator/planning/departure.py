"""What leaves the rotation with a server: read from the load balancers as a whole, right before it goes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from backends.errors import BackendError
from backends.haproxy.columns import names_of
from backends.model import ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.followers import TrackTargets, followers, tracked_servers
from orchestrator.balancers.group import BalancerGroup, Facts, read_facts
from orchestrator.planning import capacity
from orchestrator.planning.capacity import BackendKey, Capacity
from orchestrator.planning.policy import Policy

Counted = Callable[[Mapping[str, Snapshot]], Mapping[str, Snapshot]]
"""What counts of the servers that were read."""


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


@dataclass(frozen=True, slots=True)
class Floors:
    """What is known of the load balancers now, for the guard; attributes as in `measure_capacity`."""

    snapshots: Mapping[str, Snapshot]
    policy: Policy
    ignored_backends: Collection[str]
    all_backups: frozenset[BackendKey]

    def without(
        self, leaving: Collection[ServerRef], back: Collection[ServerRef] = (), *, with_followers: bool = True
    ) -> tuple[Capacity, ...]:
        """What stays in rotation when some servers go and others are back by then."""
        return capacity.measure_capacity(
            self.snapshots,
            leaving,
            self.policy,
            back=back,
            with_followers=with_followers,
            ignored_backends=self.ignored_backends,
            all_backups=self.all_backups,
        )


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
