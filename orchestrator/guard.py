"""The capacity guard: no drain when too little would stay in rotation. Pure; it refuses, it does not warn."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from backends.model import Server, ServerRef, Snapshot
from orchestrator.errors import GuardRefused
from orchestrator.policy import Policy, resolve

Counts = Callable[[Server], bool]
"""Whether a server counts for the floor."""

IN_ROTATION: Counts = attrgetter("in_rotation")
TAKES_TRAFFIC: Counts = attrgetter("takes_traffic")


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a drain would leave of one backend on one load balancer."""

    instance: str
    backend: str
    before: int  # servers in rotation now
    after: int  # servers in rotation once the drain is done
    floor: int
    taken: int = 1  # servers that take traffic now and would not any more, whatever they have to prove

    @property
    def allowed(self) -> bool:
        """A node that takes no traffic costs nothing, so it may always be worked on.

        "Not counted as in rotation" would not do: after a reload of HAProxy every server is "UP 1/3" and
        none counts, but they carry all the traffic there is.
        """
        return self.after >= self.floor or not self.taken

    def __str__(self) -> str:
        return (
            f"{self.backend} on {self.instance}: in rotation {self.before} → {self.after}, floor {self.floor}"
        )


def floor_of(total: int, policy: Policy) -> int:
    """How many of `total` servers must stay in rotation: the stricter of the two settings."""
    floor = resolve(policy.min_available, total, up=True)
    if policy.max_unavailable is not None:
        floor = max(floor, total - resolve(policy.max_unavailable, total))
    return floor


def capacity(
    snapshots: Mapping[str, Snapshot],
    leaving: Collection[ServerRef],
    policy: Policy,
    *,
    back: Collection[ServerRef] = (),
    counts: Counts = IN_ROTATION,
) -> tuple[Capacity, ...]:
    """What stays in rotation when `leaving` go, for each backend that they stand in.

    Backup servers do not count: they only serve when nothing else does. That is why they are not taken
    out while too little else is there.

    Args:
        snapshots: what every load balancer says now.
        leaving: the servers that go.
        policy: has the floor.
        back: servers to count as in rotation, because what comes first puts them back. For plans only.
        counts: what a server must be to count.
    """
    leaving, back = frozenset(leaving), frozenset(back)
    touched = sorted({(ref.instance, ref.backend) for ref in leaving})
    return tuple(
        _capacity_of(servers, leaving, policy, lambda server: counts(server) or server.ref in back)
        for instance, backend in touched
        if (servers := [each for each in snapshots[instance].servers if each.ref.backend == backend])
    )


def check(
    snapshots: Mapping[str, Snapshot],
    leaving: Collection[ServerRef],
    policy: Policy,
    *,
    counts: Counts = IN_ROTATION,
) -> tuple[Capacity, ...]:
    """`capacity`, refused when any of it falls under its floor.

    Raises:
        GuardRefused: with every backend that would be left with too little.
    """
    capacities = capacity(snapshots, leaving, policy, counts=counts)
    broken = tuple(each for each in capacities if not each.allowed)
    if broken:
        raise GuardRefused(broken)
    return capacities


def _capacity_of(
    servers: Sequence[Server], leaving: frozenset[ServerRef], policy: Policy, counts: Counts
) -> Capacity:
    peers = [each for each in servers if not each.backup] or servers
    serving = [each.ref for each in peers if counts(each)]
    return Capacity(
        instance=servers[0].ref.instance,
        backend=servers[0].ref.backend,
        before=len(serving),
        after=sum(ref not in leaving for ref in serving),
        floor=floor_of(len(peers), policy),
        taken=sum(each.ref in leaving and (each.takes_traffic or counts(each)) for each in servers),
    )
