"""The number of servers in rotation and of those that may leave, computed cheaply from the live view."""

from collections import Counter
from collections.abc import Collection, Sequence

from backends.haproxy.columns import Name
from backends.model import Server, ServerRef
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import (
    RECEIVES_TRAFFIC,
    BackendKey,
    Capacity,
    compute_floor,
    find_serving_backups,
)
from orchestrator.planning.server_pool import find_empty_slots, find_ignored_slots


def measure_headroom(
    view: FleetView,
    backends: Sequence[str],
    policy: Policy,
    leaving: Collection[ServerRef] = (),
    all_backups: Collection[BackendKey] = (),
    *,
    kept: Collection[ServerRef] = (),
) -> tuple[tuple[Capacity, ...], tuple[str, ...]]:
    """Return what each load balancer has in rotation of each backend, and would have without some servers.

    This only informs; before each drain the capacity guard reads HAProxy itself.

    Args:
        view: the live state.
        backends: the backends to judge.
        policy: has the floor.
        leaving: servers that would go, with the ones that follow them.
        all_backups: where `option allbackups` is known to be set.
        kept: servers of nodes, which count even where name resolution has emptied their slot.

    Returns:
        The capacity of each backend on each load balancer that is live, and the names of the others.
    """
    live = view.live
    return (
        tuple(
            found
            for instance in live
            for found in _measure_balancer(instance, backends, policy, leaving, all_backups, kept)
        ),
        tuple(balancer.name for balancer in view.instances if balancer.state != "live"),
    )


def _measure_balancer(
    instance: BalancerView,
    backends: Sequence[str],
    policy: Policy,
    leaving: Collection[ServerRef],
    all_backups: Collection[BackendKey],
    kept: Collection[ServerRef],
) -> list[Capacity]:
    columns = instance.columns
    # Servers in the same state share one row in `alike`: of thousands of servers a handful is judged.
    own_slots = set[Name]()
    if find_empty_slots(instance.servers):  # rarely; there may be thousands of servers to go through
        own_slots.update((ref.backend, ref.server) for ref in kept if ref.instance == instance.name)
    ignored = find_ignored_slots(instance.servers, own_slots)
    groups = Counter(
        (name[0], at) for name, at in zip(columns.names, columns.alike, strict=True) if name not in ignored
    )
    found = []
    for backend in backends:
        own = [(instance.servers[at], count) for (name, at), count in groups.items() if name == backend]
        active = [(server, count) for server, count in own if not server.backup]
        peers = active or own
        if not peers:
            continue
        backups = _find_backups(instance, backend) if len(active) not in (0, len(own)) else []
        going = [
            server
            for ref in leaving
            if (ref.instance, ref.backend) == (instance.name, backend)
            and (server := instance.server((ref.backend, ref.server))) is not None
        ]
        gone = [server for server in going if not server.backup or peers is own]
        together = (instance.name, backend) in all_backups
        left = [server for server in backups if server not in going]
        spare_now, spare_then = (_find_spare(able, together=together) for able in (backups, left))
        before, serving = _count_serving(peers, [], spare_now)
        after, serving_then = _count_serving(peers, gone, spare_then)
        found.append(
            Capacity(
                instance=instance.name,
                backend=backend,
                before=before,
                after=after,
                floor=compute_floor(sum(count for _, count in peers), policy),
                traffic_servers_removed=sum(server.receives_traffic for server in going),
                takes_over=tuple(server.ref.server for server in serving_then if server not in serving),
                spare=len([server for server in spare_then if server not in serving_then]),
            )
        )
    return found


def _find_spare(backups: Sequence[Server], *, together: bool) -> list[Server]:
    """Return which of them are in rotation as soon as no active server takes traffic."""
    able = find_serving_backups(backups, all_of_them=together, takes=RECEIVES_TRAFFIC)
    return [server for server in able if server.in_rotation]


def _count_serving(
    peers: Sequence[tuple[Server, int]], gone: Sequence[Server], spare: list[Server]
) -> tuple[int, list[Server]]:
    """Return how many are in rotation without those that are gone, and which of them are backups."""
    taking = sum(count for server, count in peers if server.receives_traffic)
    if taking > sum(server.receives_traffic for server in gone):
        counted = sum(count for server, count in peers if server.in_rotation)
        return counted - sum(server.in_rotation for server in gone), []
    return len(spare), spare


def _find_backups(instance: BalancerView, backend: str) -> list[Server]:
    """Return the backup servers of a backend, in HAProxy's order."""
    columns = instance.columns
    return [
        instance.servers[index]
        for index, (name, at) in enumerate(zip(columns.names, columns.alike, strict=True))
        if name[0] == backend and instance.servers[at].backup
    ]


def find_tightest(capacities: Sequence[Capacity]) -> Capacity | None:
    """Return the backend that can lose the fewest servers; None when nothing is known."""
    return min(capacities, key=lambda found: (found.remaining, found.before - found.floor), default=None)
