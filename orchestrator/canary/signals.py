"""From the snapshots of load balancers to polls, which the judgement is fed with."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from backends.haproxy.columns import Columns, Name, columns_of
from backends.model import HASH_ALGORITHMS, AdminState, RequestCounters, Server, Snapshot
from orchestrator.balancers.request_errors import (
    Sample,
    Signals,
    compute_all_signals,
    compute_signals,
    went_back,
)
from orchestrator.canary.poll import MAX_OLD_SERVERS, Cell, Lifetime, Poll, Stratum
from orchestrator.events.judgement import Group

FindNodes = Callable[[Snapshot], Mapping[Name, str]]
"""Returns the node of each server of the application, by backend and server name."""

GroupOf = Callable[[str], Group]
"""Returns the group of a node, by its name."""

CHECK_INTERVAL_S = 0.9  # between two reads of failed checks, which cost more than all counters together


class _Growth(NamedTuple):
    """What was reported of a server so far, of what only grows. In TCP mode errors are not known."""

    requests: int = 0
    errors: int = 0
    soft: int = 0
    answered: int = 0
    broken: int = 0

    @classmethod
    def of(cls, signals: Signals) -> "_Growth":
        unknown = signals.hard is None
        # In TCP mode a refused connection is all that is known, and not an error rate.
        soft = signals.soft + (signals.refused if unknown else 0)
        return cls(signals.started, signals.hard or 0, soft, signals.answered, signals.broken)


_NOTHING = _Growth()


@dataclass(slots=True)
class _ServerSeries:
    """What was read of one server, since a baseline."""

    index: int  # in the snapshot
    name: Name
    node: str
    first: Sample | None = None  # the baseline; None: not read yet
    last: Sample | None = None
    reported: _Growth = _NOTHING
    response: int | None = None  # milliseconds, HAProxy's average
    check_failures: int = 0
    reported_check_failures: int = 0
    took_part: bool = False  # in the poll before
    sessions: int = 0

    def begin(self, sample: Sample) -> None:
        self.first = self.last = sample
        self.reported = _Growth()

    def has_gone_back(self, counters: RequestCounters) -> bool:
        return self.last is not None and went_back(self.last.server, counters)


@dataclass(slots=True)
class _BalancerSeries:
    """What was read of one load balancer."""

    at: float
    names: list[Name] = field(default_factory=list)
    backends: dict[str, list[_ServerSeries]] = field(default_factory=dict)
    backend_counters: dict[str, RequestCounters] = field(default_factory=dict)
    checks_at: float = float("-inf")


class PollSeries:
    """Compares each snapshot of a load balancer with those before.

    Only servers of the application are gone through, and of many old ones in a backend only some. Signals are
    those since a baseline, from which what was reported before is subtracted: what one poll sees half of
    cancels out, no number is negative, and nothing is lost.
    """

    def __init__(self, find_nodes: FindNodes, group_of: GroupOf) -> None:
        """Begin without a snapshot.

        Args:
            find_nodes: returns the node of each server; is called when the servers are others than before.
            group_of: returns the group of a node now.
        """
        self._find_nodes = find_nodes
        self._group_of = group_of
        self._balancers: dict[str, _BalancerSeries] = {}

    def add(self, snapshot: Snapshot, at: float) -> Poll:
        """Add the next snapshot of one load balancer, and compare it with the one before.

        Args:
            snapshot: the snapshot.
            at: when it was read, in monotonic seconds.

        Returns:
            The poll; the first one of a load balancer has no strata.
        """
        instance = snapshot.info.instance
        columns = columns_of(snapshot.servers)
        series = self._balancers.setdefault(instance, _BalancerSeries(at))
        duration_s = at - series.at
        if series.names != columns.names:
            self._index(series, snapshot, columns)
        reads_checks = at - series.checks_at >= CHECK_INTERVAL_S
        rows = {backend.name: backend.counters for backend in snapshot.backends}
        strata = []
        for backend, servers in series.backends.items():
            reader = _BackendReader(snapshot, columns, rows.get(backend), reads_checks=reads_checks)
            before = series.backend_counters.get(backend)
            begins = before is not None and reader.row is not None and went_back(before, reader.row)
            cells = reader.read(self._select(servers), begins_anew=begins)
            if cells:
                strata.append(Stratum(backend, cells))
        series.backend_counters = rows
        series.at = at
        series.checks_at = at if reads_checks else series.checks_at
        return Poll(instance, at, duration_s, strata)

    def _index(self, series: _BalancerSeries, snapshot: Snapshot, columns: Columns) -> None:
        """Find the servers of the application again: some were added, removed or moved."""
        nodes = self._find_nodes(snapshot)
        known = {server.name: server for servers in series.backends.values() for server in servers}
        series.names, series.backends = columns.names, {}
        for index, name in enumerate(columns.names):
            if (node := nodes.get(name)) is None:
                continue
            server = known.get(name)
            if server is None or server.node != node:
                server = _ServerSeries(index, name, node)
            server.index = index
            series.backends.setdefault(name[0], []).append(server)

    def _select(self, servers: list[_ServerSeries]) -> Iterator[tuple[_ServerSeries, Group]]:
        """Yield the servers to read, with their groups."""
        old = 0
        for server in servers:
            group = self._group_of(server.node)
            old += group == "old"
            if group != "old" or old <= MAX_OLD_SERVERS:
                yield server, group

    def sessions(self, balancer: str) -> dict[Name, int]:
        """Return the sessions in flight on each server of a load balancer, as they were read last."""
        series = self._balancers.get(balancer)
        lists = series.backends.values() if series is not None else ()
        return {server.name: server.sessions for servers in lists for server in servers}


class _BackendReader:
    """Reads the servers of one backend in one snapshot."""

    def __init__(
        self, snapshot: Snapshot, columns: Columns, row: RequestCounters | None, *, reads_checks: bool
    ) -> None:
        self._servers = snapshot.servers
        self._columns = columns
        self.row = row
        self._reads_checks = reads_checks

    def read(self, servers: Iterator[tuple[_ServerSeries, Group]], *, begins_anew: bool) -> list[Cell]:
        """Return the cells of a backend; none when a counter went back, and then all servers begin anew."""
        selected = list(servers)
        counters = [self._columns.counters[server.index] for server, _ in selected]
        if begins_anew or any(
            server.has_gone_back(now) for (server, _), now in zip(selected, counters, strict=True)
        ):
            for (server, _), now in zip(selected, counters, strict=True):
                server.begin(Sample(now, self.row))
                server.took_part, server.response = False, None
                self._read_check_failures(server)
                server.reported_check_failures = server.check_failures
            return []
        cells = [
            self._read_server(server, group, Sample(now, self.row))
            for (server, group), now in zip(selected, counters, strict=True)
        ]
        return [cell for cell in cells if cell is not None]

    def _read_server(self, server: _ServerSeries, group: Group, sample: Sample) -> Cell | None:
        server.sessions = sample.server.in_flight
        is_first = server.first is None
        if server.first is None:
            server.begin(sample)
        server.last = sample
        earlier, server.response = server.response, self._columns.response[server.index]
        self._read_check_failures(server)
        took_part, server.took_part = server.took_part, self._takes_part(server, group)
        signals = compute_signals(server.first or sample, sample) or Signals()
        now = _Growth(*map(max, _Growth.of(signals), server.reported))
        grown = _Growth(*(number - before for number, before in zip(now, server.reported, strict=True)))
        fell = took_part and self._head(server).admin_state is AdminState.READY
        counts = bool(group) and not is_first and (server.took_part or fell)
        failed_checks = max(0, server.check_failures - server.reported_check_failures)
        if counts and not grown.requests:
            # A late error counts with the next request, but requests may wait for an answer meanwhile.
            if not sample.server.in_flight:
                return None
            grown, now, failed_checks = _NOTHING, server.reported, 0
        server.reported = now
        server.reported_check_failures += failed_checks
        if not counts:
            return None
        return Cell(
            node=server.node,
            server=server.name[1],
            group=group,
            requests=grown.requests,
            errors=None if signals.hard is None else grown.errors,
            soft=grown.soft,
            check_failures=failed_checks,
            answered=grown.answered,
            response_time=server.response,
            total_answered=sample.server.answered,
            total_informational=sample.server.informational,
            earlier_response_time=earlier,
            broken=grown.broken,
            in_flight=sample.server.in_flight,
        )

    def _head(self, server: _ServerSeries) -> Server:
        """Return a server with the same states: of those that are alike, one is built."""
        return self._servers[self._columns.alike[server.index]]

    def _takes_part(self, server: _ServerSeries, group: Group) -> bool:
        """Return whether a server is in its group: it gets traffic as the others do.

        During a slow start an old server is no peer of others. The errors of a new one count from the first
        request on.
        """
        head = self._head(server)
        return head.receives_traffic and not head.backup and (head.throttle is None or group == "new")

    def _read_check_failures(self, server: _ServerSeries) -> None:
        if self._reads_checks:
            server.check_failures = self._servers[server.index].check_failures


def read_lifetimes(snapshot: Snapshot, nodes: Mapping[Name, str]) -> list[Lifetime]:
    """Return what the servers of these nodes did since HAProxy began to count.

    Args:
        snapshot: of one load balancer.
        nodes: the node of each server, by backend and server name.
    """
    columns = columns_of(snapshot.servers)
    rows = {backend.name: backend.counters for backend in snapshot.backends}
    found = []
    for index, name in enumerate(columns.names):
        if name not in nodes:
            continue
        signals = compute_all_signals(Sample(columns.counters[index], rows.get(name[0])))
        found.append(
            Lifetime(
                snapshot.info.instance,
                *name,
                requests=signals.started,
                errors=signals.hard,
                duration_s=float(snapshot.info.uptime),
                response_ms=columns.response[index],
            )
        )
    return found


def is_sticky(snapshot: Snapshot, backends: Collection[str]) -> bool:
    """Return whether any of these backends ties clients to servers, as far as a snapshot shows that."""
    return any(
        bool(backend.cookie) or backend.algorithm.startswith(HASH_ALGORITHMS)
        for backend in snapshot.backends
        if backend.name in backends
    )
