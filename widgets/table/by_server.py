"""All load balancers of a view merged into one row for each server; slow work is done once for each view."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Literal

from orchestrator.balancers.response_times import ResponseTime
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import RowIndex
from orchestrator.planning.server_pool import find_ignored_slots
from widgets.table.names import NameSet, TableNames
from widgets.table.server_status import (
    ABSENT,
    EMPTY,
    RowStatus,
    ServerState,
    is_draining,
    judge_server,
    merge_balancers,
)

GroupBy = Literal["server", "node"]
"""The grouping of rows: a server of one backend, or a node over all backends."""


RowKey = tuple[str, str]
"""Backend and server name, which identify a row. The row of a node has no backend: see `node_key`."""


NO_LINE = -1
BalancerLines = list[tuple[BalancerView, list[int]]]
"""A load balancer, and the index of its line for each server; `NO_LINE` where it does not have the server."""

_DIGITS = re.compile(r"([0-9]+)")


@lru_cache(maxsize=32_768)
def natural_sort_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts web2 before web10, for any text."""
    return tuple(
        (1, len(part.lstrip("0")), part.lstrip("0")) if number % 2 else (0, 0, part)
        for number, part in enumerate(_DIGITS.split(text.casefold()))
    )


class Aggregate(ABC):
    """The numbers of a row: sums, rates and trends over all server lines behind it.

    Only load balancers that are live count. Each number is computed when it is asked for.
    """

    def __init__(self, view: FleetView, lines: list[list[int]]) -> None:
        """Find the lines of live load balancers; nothing is added up yet.

        Args:
            view: of the poller.
            lines: for each load balancer, the index of its line for each server.
        """
        self.view = view
        self._all_lines: BalancerLines = list(zip(view.instances, lines, strict=True))
        self._live_lines: BalancerLines = [
            (instance, indexes) for instance, indexes in self._all_lines if instance.state == "live"
        ]

    @abstractmethod
    def _lines_of(self, row: int, lines: BalancerLines) -> list[tuple[BalancerView, int]]:
        """Return the lines behind a row, among these."""

    def lines_of(self, row: int) -> list[tuple[BalancerView, int]]:
        """Return the lines behind a row that are live; where none of them is, those that were read last."""
        return self._lines_of(row, self._live_lines) or self._lines_of(row, self._all_lines)

    def sessions(self, row: int) -> int:
        return sum(instance.columns.sessions[line] for instance, line in self.lines_of(row))

    def response(self, row: int) -> ResponseTime | None:
        """Return the slowest response time; None when none is known."""
        times = (instance.rates.response_time(line) for instance, line in self.lines_of(row))
        return max((time for time in times if time is not None), default=None)

    def rate(self, row: int) -> float | None:
        """Return the requests per second over all that are live; None when none of them knows."""
        rates = [instance.rates.rate(line) for instance, line in self._lines_of(row, self._live_lines)]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    def errors(self, row: int) -> tuple[float | None, bool]:
        """Return the ratio of requests that ended in an error for the client, between the last two polls.

        Returns:
            The ratio, None without requests; and whether it is known anywhere, which it is not in TCP mode.
        """
        counts = [instance.rates.counts(line) for instance, line in self._lines_of(row, self._live_lines)]
        known = [(requests, failed) for requests, failed in counts if failed is not None]
        requests, failures = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
        # One whose request began before the first of the two polls is an error without a request.
        return (failures / max(requests, failures) if requests or failures else None), bool(
            known or not counts
        )

    def trend(self, row: int) -> tuple[float, ...]:
        """Return the sums, aligned at the latest; as long as the shortest trend that has any value."""
        trends = [instance.rates.trend(line) for instance, line in self._lines_of(row, self._live_lines)]
        known = [trend for trend in trends if trend]
        shortest = min(map(len, known), default=0)
        return tuple(map(sum, zip(*(trend[-shortest:] for trend in known), strict=True))) if known else ()


class ServerRows:
    """The servers in the natural order of their nodes, and the line of each load balancer for them."""

    def __init__(self, listings: tuple[RowIndex, ...], names: Mapping[RowKey, str]) -> None:
        keys = dict.fromkeys(name for listing in listings for name in listing.names)
        nodes = {key: node_of(key, names) for key in keys}
        self.keys = sorted(
            keys, key=lambda key: (natural_sort_key(nodes[key]), natural_sort_key(key[0]), key)
        )
        self.nodes = [nodes[key] for key in self.keys]
        self.backends = [key[0] for key in self.keys]
        self.lines = [[listing.index.get(key, NO_LINE) for key in self.keys] for listing in listings]

    def has_backend(self, row: int, backend: str) -> bool:
        return self.backends[row] == backend

    def rows_of(self, key: RowKey) -> tuple[int, ...]:
        """Return the row of a server, or the rows of all servers of a node."""
        if (row := self.row_by_key.get(key)) is not None:
            return (row,)
        if key[0]:
            return ()
        return tuple(row for row, node in enumerate(self.nodes) if key == node_key(node))

    def backend_count(self, row: int) -> int:
        """Return in how many backends the row is: a server is in one."""
        return 1

    @cached_property
    def row_by_key(self) -> dict[RowKey, int]:
        return {key: row for row, key in enumerate(self.keys)}

    @cached_property
    def names(self) -> TableNames:
        return TableNames(NameSet(self.nodes), NameSet(self.backends))

    @cached_property
    def search_texts(self) -> list[str]:
        """The text that a filter searches, for each row."""
        return [
            f"{node} {key[0]} {key[1]}".casefold() for node, key in zip(self.nodes, self.keys, strict=True)
        ]


class ServersByName(Aggregate):
    """A view, with one status for each server."""

    def __init__(self, view: FleetView, rows: ServerRows, statuses: list[RowStatus]) -> None:
        super().__init__(view, rows.lines)
        self.rows = rows
        self.statuses = statuses

    def last_known(self, row: int) -> ServerState:
        """Return the state that was read last, however old."""
        lines = self.lines_of(row)
        return judge_server(lines[0][0].servers[lines[0][1]]) if lines else ABSENT

    def _lines_of(self, row: int, lines: BalancerLines) -> list[tuple[BalancerView, int]]:
        return [(instance, indexes[row]) for instance, indexes in lines if indexes[row] != NO_LINE]


class _Cache:
    """The last results: the view is shown more often than anything in it changes."""

    rows: ServerRows | None = None
    listings: tuple[RowIndex, ...] = ()
    names: dict[RowKey, str] | None = None
    merged: ServersByName | None = None


def merge_by_name(view: FleetView, names: Mapping[RowKey, str]) -> ServersByName:
    """Merge the load balancers of a view; the same view with the same names is merged once."""
    listings = tuple(instance.rows for instance in view.instances)
    if _Cache.rows is None or _Cache.listings != listings or names != _Cache.names:
        _Cache.rows, _Cache.listings, _Cache.names = ServerRows(listings, names), listings, dict(names)
        _Cache.merged = None
    if _Cache.merged is None or _Cache.merged.view is not view:
        _Cache.merged = ServersByName(view, _Cache.rows, _merge_statuses(view, _Cache.rows, names))
    return _Cache.merged


def _merge_statuses(view: FleetView, rows: ServerRows, names: Mapping[RowKey, str]) -> list[RowStatus]:
    columns = [
        _judge_servers(instance, lines, rows.keys, names)
        for instance, lines in zip(view.instances, rows.lines, strict=True)
    ]
    known: dict[tuple[ServerState | None, ...], RowStatus] = {}
    instances = [instance.name for instance in view.instances]
    result = []
    for states in zip(*columns, strict=True):
        status = known.get(states)
        if status is None:
            status = known[states] = merge_balancers(instances, states)
        result.append(status)
    return result


def _judge_servers(
    instance: BalancerView, lines: list[int], keys: list[RowKey], names: Mapping[RowKey, str]
) -> list[ServerState | None]:
    """Return a state for each row; servers in the same state share one.

    The slot of a node never counts as an empty one.
    """
    if instance.state != "live":
        return [None] * len(lines)
    columns = instance.columns
    idle, busy = {}, {}
    for first in set(columns.alike):
        server = instance.servers[first]
        idle[first] = EMPTY if server.empty_slot else judge_server(server)
        if is_draining(server):
            busy[first] = judge_server(server, has_sessions=True)
    states: list[ServerState | None] = [
        busy[first] if sessions and first in busy else idle[first]
        for first, sessions in zip(columns.alike, columns.sessions, strict=True)
    ]
    states.append(ABSENT)  # at `NO_LINE`, the end
    if EMPTY in idle.values():
        ignored = find_ignored_slots(instance.servers)
        for key, line in zip(keys, lines, strict=True):
            if states[line] is EMPTY and (key in names or key not in ignored):
                states[line] = judge_server(instance.servers[line])
    return [states[line] for line in lines]


def node_key(node: str) -> RowKey:
    """Return the key of a node's row: no backend of HAProxy has an empty name."""
    return "", node


def node_of(key: RowKey, names: Mapping[RowKey, str]) -> str:
    """Return the node behind a row of either grouping; a server that belongs to none is its own.

    Args:
        key: of the row.
        names: the node of each server, by backend and server name.
    """
    return names.get(key, key[1])
