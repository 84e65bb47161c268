"""The servers of a view grouped by node: once for each set of rows, and merged once for each combination."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter

from orchestrator.live.poller import BalancerView, FleetView
from widgets.table.by_server import (
    Aggregate,
    BalancerLines,
    GroupBy,
    RowKey,
    ServerRows,
    ServersByName,
    merge_by_name,
    natural_sort_key,
    node_key,
    node_of,
)
from widgets.table.names import NameSet, TableNames
from widgets.table.server_status import (
    ABSENT,
    EMPTY,
    RANK_BY_KIND,
    RowStatus,
    ServerState,
    difference_text,
    empty_slot_status,
    glyph,
    is_empty_slot,
    worst_of,
)

_Picker = Callable[[list[RowStatus]], "RowStatus | tuple[RowStatus, ...]"]


class NodeRows:
    """The nodes in their natural order, and the rows of their servers."""

    def __init__(self, servers: ServerRows) -> None:
        groups: dict[str, list[int]] = {}
        for row, node in enumerate(servers.nodes):
            groups.setdefault(node, []).append(row)
        self.servers = servers
        self.nodes = list(groups)
        self.keys = [node_key(node) for node in self.nodes]
        self.groups = list(groups.values())
        # The backends of each group, the same object for the same backends: thousands of nodes share one.
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        names = (tuple(servers.backends[row] for row in group) for group in self.groups)
        self.backend_names = [known.setdefault(backends, backends) for backends in names]
        self.pickers: list[_Picker] = [itemgetter(*group) for group in self.groups]
        joined = {
            backends: ", ".join(dict.fromkeys(sorted(backends, key=natural_sort_key))) for backends in known
        }
        self.backends = [joined[backends] for backends in self.backend_names]

    @cached_property
    def row_by_key(self) -> dict[RowKey, int]:
        return {key: row for row, key in enumerate(self.keys)}

    @cached_property
    def names(self) -> TableNames:
        return TableNames(self.servers.names.nodes, NameSet(self.backends))

    @cached_property
    def search_texts(self) -> list[str]:
        """The text that a filter searches, for each row."""
        texts = self.servers.search_texts
        return [" ".join([texts[row] for row in group]) for group in self.groups]

    def has_backend(self, row: int, backend: str) -> bool:
        return backend in self.backend_names[row]

    def rows_of(self, key: RowKey) -> tuple[int, ...]:
        """Return the row of a node, or of a server's node."""
        server = self.servers.row_by_key.get(key)
        row = self.row_by_key.get(key if server is None else node_key(self.servers.nodes[server]))
        return () if row is None else (row,)

    def backend_count(self, row: int) -> int:
        """Return in how many backends the node is."""
        return len(set(self.backend_names[row]))


class ServersByNode(Aggregate):
    """A view, with one status for each node."""

    def __init__(self, servers: ServersByName, rows: NodeRows) -> None:
        super().__init__(servers.view, servers.rows.lines)
        self.rows = rows
        self.statuses = _merge_statuses(servers, rows)
        self._servers = servers

    def last_known(self, row: int) -> RowStatus:
        """Return the status by what was read last, however old."""
        states: list[list[ServerState | None]] = [
            [self._servers.last_known(server)] for server in self.rows.groups[row]
        ]
        return merge_backends([""], self.rows.backend_names[row], states)

    def _lines_of(self, row: int, lines: BalancerLines) -> list[tuple[BalancerView, int]]:
        servers = self.rows.groups[row]
        return [
            (instance, indexes[server])
            for server in servers
            for instance, indexes in lines
            if indexes[server] >= 0
        ]


def _merge_statuses(servers: ServersByName, rows: NodeRows) -> list[RowStatus]:
    instances = [instance.name for instance in servers.view.instances]
    known: dict[object, RowStatus] = {}
    result = []
    for backends, pick in zip(rows.backend_names, rows.pickers, strict=True):
        picked = pick(servers.statuses)
        if isinstance(picked, RowStatus):
            result.append(picked)
            continue
        combination = id(backends), picked
        status = known.get(combination)
        if status is None:
            states = [server.states for server in picked]
            status = known[combination] = merge_backends(instances, backends, states)
        result.append(status)
    return result


class _Cache:
    """The last results, as in `widgets.table.by_server`."""

    rows: NodeRows | None = None
    grouped: tuple[ServersByName, ServersByNode] | None = None


def group_by_node(servers: ServersByName) -> ServersByNode:
    """Group the servers of a merged view by node; the same view is grouped once."""
    if _Cache.rows is None or _Cache.rows.servers is not servers.rows:
        _Cache.rows = NodeRows(servers.rows)
    if _Cache.grouped is None or _Cache.grouped[0] is not servers:
        _Cache.grouped = servers, ServersByNode(servers, _Cache.rows)
    return _Cache.grouped[1]


def translate_keys(
    keys: Iterable[RowKey], view: FleetView, names: Mapping[RowKey, str], by: GroupBy
) -> frozenset[RowKey]:
    """Return the keys of the same machines in the other grouping: nodes of servers, or servers of nodes.

    Args:
        keys: of rows of either grouping.
        view: of the poller.
        names: the node of each server, by backend and server name.
        by: what a row is in the grouping that the keys are translated to.
    """
    if by == "node":
        return frozenset(node_key(node_of(key, names)) for key in keys)
    wanted, rows = {node_of(key, names) for key in keys}, merge_by_name(view, names).rows
    return frozenset(key for key, node in zip(rows.keys, rows.nodes, strict=True) if node in wanted)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A node in one backend on one load balancer."""

    backend: str
    instance: str
    state: ServerState | None


def merge_backends(
    names: Sequence[str], backends: Sequence[str], states: Sequence[Sequence[ServerState | None]]
) -> RowStatus:
    """Merge the states of all servers of one node.

    Args:
        names: of the load balancers.
        backends: of the servers, one for each.
        states: for each server, one for each load balancer; None where the data are stale or have not been
            read yet.
    """
    if is_empty_slot(all_states := [state for server in states for state in server]):
        return empty_slot_status(tuple(all_states))
    cells = [
        _Cell(backend, name, state)
        for backend in dict.fromkeys(backends)
        for index, name in enumerate(names)
        for state in _drop_absent(
            [server[index] for server, own in zip(states, backends, strict=True) if own == backend]
        )
    ]
    glyphs = "".join(_merge_glyphs([cell.state for cell in cells if cell.instance == name]) for name in names)
    status = worst_of(tuple(cell.state for cell in cells), glyphs, _describe_differences(cells))
    # A filter finds each health, not only the worst one that is shown.
    healths = dict.fromkeys(state.health.casefold() for state in status.states if state is not None)
    return replace(status, search_text=" ".join((status.search_text, *healths)))


def _drop_absent(states: Sequence[ServerState | None]) -> Sequence[ServerState | None]:
    """Drop the names that a node does not have on a load balancer, where it has another one."""
    return [state for state in states if state not in (ABSENT, EMPTY)] or [ABSENT]


def _merge_glyphs(states: Sequence[ServerState | None]) -> str:
    """Merge the glyphs of all backends: in rotation only if in all of them; out outweighs unknown."""
    glyphs = set(map(glyph, states))
    return next((candidate for candidate in "✗?✓" if candidate in glyphs), "?")


def _describe_differences(cells: Sequence[_Cell]) -> str:
    """Name where the node differs from most; from the better state where there is no majority."""
    known = [(cell, cell.state) for cell in cells if cell.state is not None]
    known_cells, states = [cell for cell, _ in known], [state for _, state in known]
    cells_by_text: dict[str, list[_Cell]] = {}
    best: dict[str, int] = {}
    for cell, state in known:
        text = difference_text(state, states)
        cells_by_text.setdefault(text, []).append(cell)
        best[text] = max(best.get(text, 0), RANK_BY_KIND[state.kind])
    most_common = max(cells_by_text, key=lambda text: (len(cells_by_text[text]), best[text]), default="")
    return ", ".join(
        f"{text} {location}"
        for text, own in cells_by_text.items()
        if text != most_common
        for location in _describe_locations(own, known_cells)
    )


def _describe_locations(own: Sequence[_Cell], all_cells: Sequence[_Cell]) -> Sequence[str]:
    """Describe locations briefly but exactly: a whole backend, a whole load balancer, or one on the other."""
    backends = _covered(own, all_cells, lambda cell: cell.backend)
    rest = [cell for cell in own if cell.backend not in backends]
    if len({cell.backend for cell in all_cells}) == 1:
        return [f"on {cell.instance}" for cell in own]
    if rest:
        instances = _covered(own, all_cells, lambda cell: cell.instance)
        if all(cell.instance in instances for cell in own):
            return [f"on {instance}" for instance in instances]
    return [
        *(f"in {backend}" for backend in backends),
        *(f"in {cell.backend} on {cell.instance}" for cell in rest),
    ]


def _covered(own: Sequence[_Cell], all_cells: Sequence[_Cell], part: Callable[[_Cell], str]) -> Sequence[str]:
    """Return the parts all of whose cells are among these."""
    partial = {part(cell) for cell in all_cells if cell not in own}
    return [name for name in dict.fromkeys(map(part, own)) if name not in partial]
