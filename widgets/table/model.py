"""The rows of the server table: merged, sorted and filtered, and each built only when it is needed."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import neg
from typing import Literal, Protocol, Self

from backends.model import Server
from backends.text import counted
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.live.poller import BalancerView, FleetView
from widgets.row_options import RowOptions
from widgets.segments import Kind
from widgets.table.by_node import ServersByNode, group_by_node
from widgets.table.by_server import GroupBy, RowKey, ServersByName, merge_by_name
from widgets.table.names import TableNames

LONG_STALE_S = 10.0  # seconds after which stale data count as a failure
_RELOAD_SHOWN_S = 60.0
_MISSING = -1.0  # sorts after every number


Sort = Literal["problems", "node", "sessions", "rate", "errors", "response"]


@dataclass(frozen=True, slots=True)
class BalancerBadge:
    """A load balancer in the header."""

    name: str
    state: Literal["connecting", "live", "stale"]
    version: str  # short, such as "2.6.12"; empty before the first answer
    age_s: float  # since the data shown were read
    note: str  # why it is stale, or "reloaded 12 s ago"; else empty


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The number of rows in each group."""

    up: int
    draining: int
    maint: int
    down: int
    of: GroupBy = "server"


@dataclass(frozen=True, slots=True)
class TableOptions(RowOptions[Sort]):
    """Which rows to show; the filter is part of a node, backend or state."""

    sort: Sort = "problems"
    backend: str = ""  # only this one
    by: GroupBy = "server"

    def without_limits(self) -> Self:
        # Not `super()`, which knows the class only as it was without slots.
        return replace(RowOptions.without_limits(self), backend="")


@dataclass(frozen=True, slots=True)
class Row:
    """A server, or a node over all its backends, over all load balancers. `TableRows` makes it."""

    key: RowKey
    node: str
    backend: str  # "api, shop" for a node that is in several
    admin: str  # "ready", "drain", "maint"; "maint/ready" where load balancers or backends disagree
    health: str  # glyph and word: "▲ up", "△ 1/3", "▼ L4CON", "-" in maintenance
    kind: Kind
    version: str  # empty when it is not known
    weight: str
    sessions: int
    queue: int
    rate: float | None  # requests per second; None before the second poll, and right after a reload
    errors: float | None  # ratio of requests that ended in an error for the client; None without requests
    response: ResponseTime | None
    trend: tuple[float, ...]  # requests per second, oldest first, at most 8
    since_s: int  # since the operational state last changed
    glyphs: str  # one for each load balancer, in their order: ✓ in rotation, ✗ out, ? unknown
    note: str  # where they disagree, in words; else empty
    is_problem: bool  # it is not in rotation everywhere
    backend_count: int = 1  # how many names `backend` has
    errors_known: bool = True  # False in TCP mode
    address: str = ""  # with its port; "several" where load balancers or backends differ
    check: str = ""  # the last one, such as "L7OK 200 3 ms"
    changed_by: str = ""  # who changed it last, such as "drain by ann, 3 h ago"


class Rows(Protocol):
    """Rows in an order; each is made when it is asked for, as there may be ten thousand."""

    @property
    def names(self) -> TableNames:
        """The names of all rows, filtered out or not; the same object while nothing changes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...

    def key(self, index: int) -> RowKey: ...

    def index(self, key: RowKey) -> int | None:
        """Return where a row is now; None when it is not shown.

        A key of the other grouping finds the row of the same machine, so that the cursor stays on it.
        """


@dataclass(frozen=True, slots=True)
class MainViewModel:
    """Everything that the main view shows of HAProxy at one moment."""

    application: str
    instances: tuple[BalancerBadge, ...]
    counts: RowCounts
    rows: Rows
    read_only: str  # why nothing can be changed; empty when it can
    total: int = 0  # of the rows, also those that a filter hides


def build_view_model(
    view: FleetView,
    application_name: str,
    now: float,
    versions: Mapping[str, str],
    names: Mapping[RowKey, str],
    options: TableOptions,
    read_only: str,
    describe_change: Callable[[str], str] = lambda _: "",
) -> MainViewModel:
    """Return everything that the main view shows of HAProxy.

    Args:
        view: of the poller.
        application_name: what the application is called.
        now: monotonic seconds of the poller's clock.
        versions: the running version of each node.
        names: the node of each server, by backend and server; a server without one is its own node.
        options: which rows to show, in which order.
        read_only: why nothing can be changed; empty when it can.
        describe_change: returns who changed a node last, in words.
    """
    servers = merge_by_name(view, names)
    data = group_by_node(servers) if options.by == "node" else servers
    counts, total = _count_groups(data, options.by)
    return MainViewModel(
        application=application_name,
        instances=tuple(build_badge(instance, now) for instance in view.instances),
        counts=counts,
        rows=TableRows(data, sort_rows(data, options), versions, now, describe_change),
        read_only=read_only,
        total=total,
    )


class TableRows:
    """Implements `Rows`."""

    def __init__(
        self,
        data: ServersByName | ServersByNode,
        order: list[int],
        versions: Mapping[str, str],
        now: float,
        describe_change: Callable[[str], str],
    ) -> None:
        """Show these rows; none is built before it is drawn.

        Args:
            data: the merged view.
            order: indexes of the rows to show, in their order.
            versions: the running version of each node.
            now: monotonic seconds of the poller's clock.
            describe_change: returns who changed a node last, in words.
        """
        self._describe_change = describe_change
        self._data = data
        self._order = order
        self._versions = versions
        self._now = now

    @property
    def names(self) -> TableNames:
        return self._data.rows.names

    def __len__(self) -> int:
        return len(self._order)

    def key(self, index: int) -> RowKey:
        return self._data.rows.keys[self._order[index]]

    def index(self, key: RowKey) -> int | None:
        indexes = []
        for row in self._data.rows.rows_of(key):
            with suppress(ValueError):
                indexes.append(self._order.index(row))
        return min(indexes, default=None)

    def __getitem__(self, index: int) -> Row:
        data, row = self._data, self._order[index]
        rows, node = data.rows, data.rows.nodes[row]
        status = data.statuses[row]
        lines = data.lines_of(row)
        servers = [instance.servers[line] for instance, line in lines]
        admin, health, weight, note = status.admin, status.health, status.weight, status.note
        if status.group == "unknown":  # show what was read last, and how old that is
            last = data.last_known(row)
            age_s = max((_age(instance, self._now) for instance, _ in lines), default=0.0)
            admin, health, weight, note = last.admin, last.health, last.weight, f"stale {age_s:.0f} s"
        errors, errors_known = data.errors(row)
        return Row(
            key=rows.keys[row],
            node=node,
            backend=rows.backends[row],
            admin=admin,
            health=health,
            kind=status.kind,
            version=self._versions.get(node, ""),
            weight=weight,
            sessions=sum(server.sessions for server in servers),
            queue=sum(server.queue for server in servers),
            rate=data.rate(row),
            errors=errors,
            errors_known=errors_known,
            response=data.response(row),
            trend=data.trend(row),
            since_s=min((server.last_change for server in servers), default=0),
            glyphs=status.glyphs,
            note=note,
            is_problem=status.is_problem,
            backend_count=rows.backend_count(row),
            address=_only(_format_address(server) for server in servers),
            check=_describe_check(servers),
            changed_by=self._describe_change(node),
        )


def _only(texts: Iterable[str]) -> str:
    """Return the text that all have, or "several"."""
    found = set(texts)
    return found.pop() if len(found) == 1 else "several" if found else ""


def _format_address(server: Server) -> str:
    if not server.address or not server.port:
        return server.address
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


def _describe_check(servers: Sequence[Server]) -> str:
    """Describe the last check: of a server that fails it where there is one."""
    checked = [server for server in servers if server.check_status]
    server = next((server for server in checked if not server.checks_passed), next(iter(checked), None))
    if server is None:
        return ""
    took = f"{server.check_duration} ms" if server.check_duration is not None else ""
    why = "" if server.checks_passed else server.last_check
    return " ".join(filter(None, (server.check_status, server.check_code, took, why)))


def _count_groups(data: ServersByName | ServersByNode, of: GroupBy) -> tuple[RowCounts, int]:
    """Return the number of rows in each group, and of all rows; empty slots are none."""
    groups: Counter[str] = Counter()
    for status, count in Counter(data.statuses).items():
        groups[status.group] += count
    total = groups.total() - groups["empty"]
    return RowCounts(groups["up"], groups["draining"], groups["maint"], groups["down"], of), total


def build_badge(instance: BalancerView, now: float) -> BalancerBadge:
    """Return what the header shows of a load balancer; `now` is monotonic seconds of the poller's clock."""
    note = instance.failing
    if not note and instance.reloaded_at is not None and now - instance.reloaded_at < _RELOAD_SHOWN_S:
        note = f"reloaded {now - instance.reloaded_at:.0f} s ago"
    if not instance.failing and instance.unattributed:
        note = f"{counted(instance.unattributed, 'error')} not attributable to a server" + (
            f", {note}" if note else ""
        )
    version = instance.info.version.partition("-")[0] if instance.info is not None else ""
    return BalancerBadge(instance.name, instance.state, version, _age(instance, now), note)


def _age(instance: BalancerView, now: float) -> float:
    return 0.0 if instance.read_at is None else max(0.0, now - instance.read_at)


def sort_rows(data: ServersByName | ServersByNode, options: TableOptions) -> list[int]:
    """Return the indexes of the rows to show, in order.

    The rows are naturally sorted by node, and every sort here is stable.
    """
    rows, statuses, needle = data.rows, data.statuses, options.filter.casefold().strip()
    shown = [row for row, status in enumerate(statuses) if status.group != "empty"]
    if options.backend:
        shown = [row for row in shown if rows.has_backend(row, options.backend)]
    if options.problems_only:
        shown = [row for row in shown if statuses[row].is_problem]
    if needle:
        texts = rows.search_texts
        shown = [row for row in shown if needle in texts[row] or needle in statuses[row].search_text]
    if options.sort == "node":
        return shown[::-1] if options.reverse else shown
    values = _sort_values(data, options.sort)
    if not options.reverse:  # the most remarkable first
        return sorted(shown, key=values.__getitem__)
    return sorted(shown, key=[-value for value in values].__getitem__)


def _sort_values(data: ServersByName | ServersByNode, sort: str) -> list[float]:
    """Return what to sort each row by: the smaller the earlier."""
    if sort == "problems":
        return [status.rank for status in data.statuses]
    return list(map(neg, map(_number_getter(data, sort), range(len(data.statuses)))))


def _number_getter(data: ServersByName | ServersByNode, sort: str) -> Callable[[int], float]:
    getters: dict[str, Callable[[int], float]] = {
        "sessions": data.sessions,
        "rate": lambda row: _or_missing(data.rate(row)),
        "errors": lambda row: _or_missing(data.errors(row)[0]),
        "response": lambda row: _or_missing(response.ms if (response := data.response(row)) else None),
    }
    return getters[sort]


def _or_missing(value: float | None) -> float:
    return _MISSING if value is None else value
