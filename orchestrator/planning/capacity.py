"""The capacity guard, which refuses a drain below the floor. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from backends.haproxy.columns import names_of
from backends.model import Server, ServerRef, Snapshot
from orchestrator.balancers.admin_state import (
    MAX_NAMED_SERVERS,
    TrackTargets,
    find_followers,
    find_track_targets,
    format_path,
    is_same_endpoint,
)
from orchestrator.errors import Refusal
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy, resolve_count


class CapacityViolation(Refusal):
    """Taking this node out now would break the capacity floor.

    Attributes:
        broken: the backends on load balancers that would be left with too few servers.
    """

    def __init__(self, broken: "tuple[Capacity, ...]") -> None:
        self.broken = broken
        super().__init__("; ".join(str(capacity) for capacity in broken))


CountsForFloor = Callable[[Server], bool]
"""Decides whether a server counts for the floor."""

IN_ROTATION: CountsForFloor = attrgetter("in_rotation")
RECEIVES_TRAFFIC: CountsForFloor = attrgetter("receives_traffic")

BackendKey = tuple[str, str]
"""A load balancer and one of its backends."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The servers of one backend on one load balancer that a drain would leave in rotation."""

    instance: str
    backend: str
    before: int  # servers in rotation now
    after: int  # servers in rotation once the drain is done
    floor: int
    traffic_servers_removed: int = 1  # servers that take traffic now and would not any more, proven or not
    takes_over: tuple[str, ...] = ()  # backup servers that serve then, and do not now
    carried: tuple[
        tuple[str, str], ...
    ] = ()  # pairs of "backend/server" that leaves and the one that it follows
    spare: int = 0  # backup servers that do not serve then, and would if no active one did

    @property
    def allowed(self) -> bool:
        """Whether the floor allows the drain. That of a node without traffic costs nothing, and is allowed.

        "Not counted as in rotation" would not do: after a reload of HAProxy every server is "UP 1/3" and
        none counts, but they carry all the traffic there is.
        """
        return self.after >= self.floor or not self.traffic_servers_removed

    @property
    def remaining(self) -> int:
        """How many more servers may leave. Backup servers do not serve beside an active server."""
        if self.floor <= 1 and self.spare >= self.floor:
            return self.after
        return max(0, self.after - self.floor)

    @property
    def notes(self) -> str:
        """What the numbers alone do not show, as a suffix to them; often empty."""
        named = [f"{name} (backup) takes over" for name in self.takes_over[:MAX_NAMED_SERVERS]]
        named += [f"{follower} follows {followed}" for follower, followed in self.carried[:MAX_NAMED_SERVERS]]
        return "".join(f"; {note}" for note in named)

    def __str__(self) -> str:
        return (
            f"{self.backend} on {self.instance}: in rotation {self.before} → {self.after}, floor"
            f" {self.floor}{self.notes}"
        )


def compute_floor(total: int, policy: Policy) -> int:
    """Return how many of `total` servers must stay in rotation, by the stricter of the two settings."""
    floor = resolve_count(policy.count_floor, total, up=True)
    if policy.max_unavailable is not None:
        floor = max(floor, total - resolve_count(policy.max_unavailable, total))
    return floor


def find_serving_backups(
    backups: Iterable[Server], *, all_of_them: bool, takes: CountsForFloor
) -> list[Server]:
    """Return which backup servers HAProxy uses while no active server takes traffic.

    Args:
        backups: the backup servers in HAProxy's order.
        all_of_them: as with `option allbackups`; otherwise only the first one that can take traffic serves.
        takes: whether a server can take traffic.
    """
    able = [server for server in backups if takes(server)]
    return able if all_of_them else able[:1]


def measure_capacity(
    snapshots: Mapping[str, Snapshot],
    leaving: Collection[ServerRef],
    policy: Policy,
    *,
    back: Collection[ServerRef] = (),
    counts: CountsForFloor = IN_ROTATION,
    with_followers: bool = True,
    ignored_backends: Collection[str] = (),
    all_backups: Collection[BackendKey] = (),
) -> tuple[Capacity, ...]:
    """Return what stays in rotation when `leaving` go, for each of their backends and their followers'.

    The floor is a number of active servers. Backup servers count only once no active one takes traffic any
    more: only then does HAProxy use them.

    Args:
        snapshots: what every load balancer says now; with all backends, to find followers in all of them.
        leaving: the servers that go.
        policy: has the floor.
        back: servers that count as in rotation, because earlier batches put them back. For plans only.
        counts: what a server must be to count.
        with_followers: whether servers that follow others go with them; a weight is not inherited.
        ignored_backends: backends where traffic to a machine may fail while it is worked on: followers with
            the same address and port have no floor there.
        all_backups: where `option allbackups` is set.
    """
    tracked = find_track_targets(snapshots.values()) if with_followers else {}
    carried = find_followers(tracked, leaving)
    servers = _by_backend(snapshots, {_backend_key(ref) for ref in carried.union(leaving)})
    own = [server for peers in servers.values() for server in peers if server.ref in leaving]
    carried -= {
        server.ref
        for (_, backend), peers in servers.items()
        if backend in ignored_backends
        for server in peers
        if server.ref in carried and is_same_endpoint(server, own)
    }
    going, back = carried.union(leaving), frozenset(back)

    def counts_then(server: Server) -> bool:
        return counts(server) or server.ref in back

    return tuple(
        _measure_backend(
            servers[key],
            going,
            policy,
            counts_then,
            all_backups=key in all_backups,
            carried=_follower_pairs(tracked, (ref for ref in carried if _backend_key(ref) == key)),
        )
        for key in sorted({_backend_key(ref) for ref in going})
        if key in servers
    )


def check_capacity(
    snapshots: Mapping[str, Snapshot],
    leaving: Collection[ServerRef],
    policy: Policy,
    *,
    counts: CountsForFloor = IN_ROTATION,
    with_followers: bool = True,
    ignored_backends: Collection[str] = (),
    all_backups: Collection[BackendKey] = (),
) -> tuple[Capacity, ...]:
    """Return what `measure_capacity` does, and refuse it when a backend falls under its floor.

    Raises:
        CapacityViolation: with every backend that would be left with too little.
    """
    capacities = measure_capacity(
        snapshots,
        leaving,
        policy,
        counts=counts,
        with_followers=with_followers,
        ignored_backends=ignored_backends,
        all_backups=all_backups,
    )
    raise_if_violated(capacities)
    return capacities


def raise_if_violated(capacities: Iterable[Capacity]) -> None:
    """Raise CapacityViolation when any backend falls under its floor."""
    broken = tuple(found for found in capacities if not found.allowed)
    if broken:
        raise CapacityViolation(broken)


def _backend_key(ref: ServerRef) -> BackendKey:
    return ref.instance, ref.backend


def _by_backend(
    snapshots: Mapping[str, Snapshot], wanted: Collection[BackendKey]
) -> dict[BackendKey, list[Server]]:
    """Return the servers of these backends; of the others none is built."""
    found: dict[BackendKey, list[Server]] = {}
    for instance in {instance for instance, _ in wanted}:
        servers = snapshots[instance].servers
        for index, (backend, _) in enumerate(names_of(servers)):
            if (instance, backend) in wanted:
                found.setdefault((instance, backend), []).append(servers[index])
    return found


def _follower_pairs(tracked: TrackTargets, carried: Iterable[ServerRef]) -> tuple[tuple[str, str], ...]:
    return tuple((format_path(ref), format_path(tracked[ref])) for ref in sorted(carried))


def _measure_backend(
    servers: Sequence[Server],
    leaving: frozenset[ServerRef],
    policy: Policy,
    counts: CountsForFloor,
    *,
    all_backups: bool,
    carried: tuple[tuple[str, str], ...],
) -> Capacity:
    peers = [server for server in servers if not server.backup] or servers
    backups = [server for server in servers if server.backup] if peers is not servers else []

    def takes(server: Server) -> bool:
        return server.receives_traffic or counts(server)

    def spare(gone: frozenset[ServerRef]) -> list[Server]:
        able = (server for server in backups if server.ref not in gone)
        found = find_serving_backups(able, all_of_them=all_backups, takes=takes)
        return [server for server in found if counts(server)]

    def serving(gone: frozenset[ServerRef]) -> list[Server]:
        active = [server for server in peers if server.ref not in gone]
        if any(map(takes, active)):
            return [server for server in active if counts(server)]
        return spare(gone)

    before, after = serving(frozenset()), serving(leaving)
    return Capacity(
        instance=servers[0].ref.instance,
        backend=servers[0].ref.backend,
        before=len(before),
        after=len(after),
        floor=compute_floor(len(peers), policy),
        traffic_servers_removed=sum(server.ref in leaving and takes(server) for server in servers),
        takes_over=tuple(server.ref.server for server in after if server.backup and server not in before)
        if backups
        else (),
        carried=carried,
        spare=len([server for server in spare(leaving) if server not in after]),
    )


@dataclass(frozen=True, slots=True)
class Floors:
    """What the capacity guard knows of the load balancers now; attributes as in `measure_capacity`."""

    snapshots: Mapping[str, Snapshot]
    policy: Policy
    ignored_backends: Collection[str]
    all_backups: frozenset[BackendKey]
    counts: CountsForFloor = IN_ROTATION

    def without(
        self, leaving: Collection[ServerRef], back: Collection[ServerRef] = (), *, with_followers: bool = True
    ) -> tuple[Capacity, ...]:
        """Return what stays in rotation when some servers go and others are back by then."""
        return capacity.measure_capacity(
            self.snapshots,
            leaving,
            self.policy,
            back=back,
            counts=self.counts,
            with_followers=with_followers,
            ignored_backends=self.ignored_backends,
            all_backups=self.all_backups,
        )
