"""A forecast of what the remaining servers carry when others leave. Pure.

The number of servers says nothing about their load: two of four servers that are at 65 % cannot carry it all.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from backends.haproxy.columns import names_of
from backends.model import Backend, Server, ServerRef, Snapshot
from orchestrator.balancers.load_history import MIN_RATE_WINDOW_S, LoadHistory, MeasuredLoad
from orchestrator.planning.load_grade import (
    MIN_UPTIME_S,
    Group,
    LoadForecast,
    Survivor,
    algorithm_of,
    grade_group,
    is_machine_idle,
    is_machine_proven,
)

MIN_SESSIONS_FOR_RATIO = 30  # sessions that a server must have begun for its rate to be known well


def forecast_loads(
    snapshots: Mapping[str, Snapshot],
    leaving: Collection[ServerRef],
    history: LoadHistory | None = None,
    *,
    have_left: bool = False,
) -> tuple[LoadForecast, ...]:
    """Return what remaining servers would carry, for each backend that loses a server with traffic.

    Args:
        snapshots: what every load balancer says now.
        leaving: the servers that go, with their followers.
        history: the polls of the last seconds, as far as there were any.
        have_left: whether they have left already, so that the others carry everything now.
    """
    history, gone = history or LoadHistory(), frozenset(leaving)
    found = (
        _group_servers(snapshots[instance], backend, servers, gone, history)
        for (instance, backend), servers in sorted(_find_servers(snapshots, gone).items())
        if have_left or any(_has_traffic(server) for server in servers if server.ref in gone)
    )
    groups = [group for group in found if group is not None]
    by_machine: dict[object, list[Survivor]] = defaultdict(list)
    for group in groups:
        for survivor in group.survivors:
            by_machine[survivor.machine].append(survivor)
    is_idle = all(map(is_machine_idle, by_machine.values()))
    proven = {machine for machine, rows in by_machine.items() if is_machine_proven(rows)}
    return tuple(grade_group(group, is_idle=is_idle, proven=proven) for group in groups)


def sustained_rate(busiest_second: float) -> float:
    """Return the mean rate that explains the rate of the busiest second, which is about m + 4√m."""
    return float((math.sqrt(4 + busiest_second) - 2) ** 2)


def _find_servers(
    snapshots: Mapping[str, Snapshot], leaving: Collection[ServerRef]
) -> dict[tuple[str, str], list[Server]]:
    wanted = {(ref.instance, ref.backend) for ref in leaving}
    found: dict[tuple[str, str], list[Server]] = {}
    for instance in {instance for instance, _ in wanted} & snapshots.keys():
        servers = snapshots[instance].servers
        for index, (backend, _) in enumerate(names_of(servers)):
            if (instance, backend) in wanted:
                found.setdefault((instance, backend), []).append(servers[index])
    return found


def _has_traffic(server: Server) -> bool:
    return server.receives_traffic and not server.backup


def _group_servers(
    snapshot: Snapshot,
    name: str,
    servers: Sequence[Server],
    leaving: frozenset[ServerRef],
    history: LoadHistory,
) -> Group | None:
    """Return the servers of one backend that remain.

    Returns:
        None when none remains. Backup servers never count: HAProxy does not use them beside an active one.
    """
    active = [server for server in servers if not server.backup]
    staying = [server for server in active if server.receives_traffic and server.ref not in leaving]
    if not staying:
        return None
    backend = next((found for found in snapshot.backends if found.name == name), None)
    loads = {server.ref: history.measure(server) for server in active}
    instance, is_old = snapshot.info.instance, snapshot.info.uptime >= MIN_UPTIME_S
    return Group(
        instance,
        name,
        backend,
        [
            Survivor(
                server,
                loads[server.ref],
                rate_then,
                sessions_then,
                sustained_rate(server.load.rate_max) if is_old else 0.0,
                server.load.sessions_max if is_old else 0,
            )
            for server, rate_then, sessions_then in _spread(staying, loads, backend)
        ],
        len(active),
        sum(server.queue for server in active) + (backend.queue if backend is not None else 0),
        history.queue_share(instance, name),
        snapshot.info.uptime,
    )


def _spread(
    staying: Sequence[Server], loads: Mapping[ServerRef, MeasuredLoad], backend: Backend | None
) -> list[tuple[Server, float, float]]:
    """Return the servers that remain, each with its rate and its sessions then.

    Sessions grow at least as the rate does (Little's law); near the limit of a server they grow faster.
    """
    kept = {server.ref for server in staying}
    # With those that have left just now: what they had in the last seconds, the others have from now on.
    gone = [load for ref, load in loads.items() if ref not in kept]
    gone_rate, gone_sessions = sum(load.rate for load in gone), sum(load.sessions for load in gone)
    rate, sessions = (
        sum(load.rate for load in loads.values()),
        sum(load.sessions for load in loads.values()),
    )
    is_even = _is_even(backend)
    found = []
    for server, share in _find_shares(staying, loads, backend):
        load = loads[server.ref]
        # The sum of all says more than the rate of each, which varies by chance and with what was out.
        rate_then = rate * share if is_even else load.rate + gone_rate * share
        sessions_then = sessions * share if is_even else load.sessions + gone_sessions * share
        if load.duration_s >= MIN_RATE_WINDOW_S and load.rate * load.duration_s >= MIN_SESSIONS_FOR_RATIO:
            sessions_then = load.sessions * rate_then / load.rate
        found.append((server, rate_then, sessions_then))
    return found


def _is_even(backend: Backend | None) -> bool:
    """Return whether the rates of servers differ by their weights alone."""
    even = ("roundrobin", "static-rr", "random")
    return backend is not None and not backend.cookie and algorithm_of(backend) in even


def _find_shares(
    staying: Sequence[Server], loads: Mapping[ServerRef, MeasuredLoad], backend: Backend | None
) -> list[tuple[Server, float]]:
    """Return the servers that remain, each with the share that it gets of what others leave behind."""
    amounts = [float(server.effective_weight) for server in staying]
    if algorithm_of(backend) == "leastconn" and all(loads[server.ref].rate for server in staying):
        # All have as many in flight, so a server that answers faster gets more.
        amounts = [loads[server.ref].rate for server in staying]
    total = sum(amounts)
    return [(server, amount / total) for server, amount in zip(staying, amounts, strict=True)]
