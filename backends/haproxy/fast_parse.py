"""A fast parser of replies: it stores them as columns, and builds a `Server` on access.

A poll of ten thousand servers changes all of them, but only a screenful is visible. The results are the same
as those of `parse` and `join`, which are used for replies that are unusual in any way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, repeat
from operator import attrgetter
from typing import overload

from backends.haproxy.columns import (
    Columnar,
    Columns,
    Counter,
    Counters,
    Rows,
    Wanted,
    has_all_counters,
    join_tables,
    read,
)
from backends.haproxy.join import ENDINGS, FAILURES, LOADS, RESPONSES, build_backend, build_server
from backends.haproxy.parse import (
    BACKEND_ROW,
    MAX_NAME_CHARS,
    MAX_ROW_CHARS,
    SERVER_ROW,
    STAT_FIELDS,
    STAT_NEEDED,
    STATE_FIELDS,
    Row,
)
from backends.haproxy.slices import join_parts
from backends.haproxy.slots import FIELDS, Line, build_line, find_empty_slots, may_be_empty
from backends.model import Backend, Operational, Server

_STAT = Wanted(
    separator=",",
    runs=(
        *(
            ("pxname",),
            ("svname",),
            ("scur",),
            ("status", "weight", "act", "bck"),
            ("iid",),
            ("sid",),
            ("throttle",),
        ),
        *(("tracked",), ("type",), ("check_status",), ("check_rise", "check_fall", "check_health")),
    ),
    numbers=frozenset(
        (
            *("qcur", "scur", "stot", "weight", "iid", "sid", "throttle", "type", "lastchg", "rtime"),
            *("chkfail", "check_duration", "check_rise", "check_fall", "check_health"),
            *(*RESPONSES, *FAILURES, *ENDINGS, *LOADS),
        )
    ),
    optional=frozenset(
        (
            *("stot", "throttle", "lastchg", "rtime", "chkfail", "check_duration"),
            *("check_rise", "check_fall", "check_health", *RESPONSES, *FAILURES, *ENDINGS, *LOADS),
        )
    ),
)
_STATE = Wanted(
    separator=" ",
    runs=(("be_id",), ("srv_id",), ("srv_op_state", "srv_admin_state", "srv_uweight"), ("srv_check_state",)),
    numbers=frozenset(
        (
            *("srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight"),
            *("srv_check_state", "srv_agent_state", "srv_port"),
        )
    ),
)
_TYPE = _STAT.runs.index(("type",))
_STATES = _STATE.runs.index(("srv_op_state", "srv_admin_state", "srv_uweight"))
_OPERATIONAL = frozenset(str(state.value) for state in Operational)


@dataclass(frozen=True, slots=True)
class _Tables:
    """Both replies of one load balancer as they came, row by row the same servers."""

    stat_header: tuple[str, ...]
    stat: list[str]
    state_header: tuple[str, ...]
    state: list[str]

    def row(self, index: int) -> Row:
        """Return all fields of one server, from both tables."""
        state = _pick_fields(self.state_header, self.state[index].split(_STATE.separator), STATE_FIELDS)
        return {
            **state,
            **_pick_fields(self.stat_header, self.stat[index].split(_STAT.separator), STAT_FIELDS),
        }


class Servers(Columnar):
    """Servers of one load balancer. Their fields have been checked."""

    def __init__(
        self,
        instance: str,
        tables: _Tables,
        columns: Columns,
        empty: frozenset[int],
        whole: "tuple[Servers, Mapping[int, int]] | None" = None,
    ) -> None:
        self._instance = instance
        self._tables = tables
        self._columns = columns
        self._empty = empty  # slots, by their index
        self._built: dict[int, Server] = {}
        # Of some servers: all of them, and where those are that share the states of these.
        self._whole = whole

    def columns(self) -> Columns:
        return self._columns

    def server_like(self, first: int) -> Server:
        if self._whole is None:
            return self[first]
        servers, firsts = self._whole
        return servers[firsts[first]]  # so that it is built once for all applications

    def count_queued(self) -> int:
        at = self._tables.stat_header.index("qcur")
        return sum(int(line.split(_STAT.separator, at + 1)[at]) for line in self._tables.stat)

    def take(self, parts: Sequence[slice]) -> "Servers":
        whole, tables = self._columns, self._tables
        first: dict[int, int] = {}
        stat = join_parts(tables.stat, parts)
        counters = Counters(tables.stat_header, stat)
        columns = Columns(
            names=join_parts(whole.names, parts),
            alike=[first.setdefault(at, index) for index, at in enumerate(join_parts(whole.alike, parts))],
            sessions=join_parts(whole.sessions, parts),
            counters=Counter(counters, attrgetter("counters")),
            response=Counter(counters, attrgetter("response")),
        )
        own = _Tables(tables.stat_header, stat, tables.state_header, join_parts(tables.state, parts))
        empty = self._empty
        if empty:
            kept = join_parts(range(len(whole.names)), parts)
            empty = frozenset(index for index, at in enumerate(kept) if at in empty)
        firsts = {index: at for at, index in first.items()}
        return Servers(self._instance, own, columns, empty, (self, firsts))

    def __len__(self) -> int:
        return len(self._columns.names)

    @overload
    def __getitem__(self, index: int) -> Server: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Server]: ...
    def __getitem__(self, index: int | slice) -> Server | Sequence[Server]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        index = range(len(self))[index]
        if index not in self._built:
            row = self._tables.row(index)
            built = build_server(self._instance, row, row)
            self._built[index] = replace(built, empty_slot=True) if index in self._empty else built
        return self._built[index]


def fast_join(
    instance: str, stats: Sequence[str], states: Sequence[str]
) -> tuple[tuple[Backend, ...], Servers] | None:
    """Join the replies to `show stat` and `show servers state`.

    Returns:
        None when anything about them is unusual: quotes, another order, a field that is no number, more rows
        or longer ones than HAProxy writes.
    """
    stat = join_tables([_read_stat_rows(text) for text in stats])
    state = join_tables([_read_state_rows(text) for text in states])
    if stat is None or state is None:
        return None
    stat, others = _take_out_others(stat)
    if len(stat.lines) != len(state.lines):
        return None
    empty = _find_empty(state)
    columns = _build_columns(stat, state, empty)
    if columns is None:
        return None
    backends = tuple(build_backend(instance, row) for row in others if row["type"] == BACKEND_ROW)
    tables = _Tables(stat.header, stat.lines, state.header, state.lines)
    return backends, Servers(instance, tables, columns, empty)


def _read_stat_rows(text: str) -> Rows | None:
    head, _, body = text.partition("\n")
    header = head.removeprefix("# ").split(",")
    if '"' in body or not head.startswith("# pxname,") or len(head) > MAX_ROW_CHARS:
        return None
    if not set(header) >= set(STAT_NEEDED):
        return None
    return read(header, body, _STAT)


def _read_state_rows(text: str) -> Rows | None:
    version, _, rest = text.partition("\n")
    head, _, body = rest.partition("\n")
    header = head.removeprefix("# ").split()
    if version != "1" or not head.startswith("# ") or len(head) > MAX_ROW_CHARS:
        return None
    if not set(header) >= set(STATE_FIELDS):
        return None
    return read(header, body, _STATE)


def _take_out_others(stat: Rows) -> tuple[Rows, list[Row]]:
    """Take out the few rows that are no servers."""
    others = [index for index, row in enumerate(stat.wanted) if row[_TYPE] != SERVER_ROW]
    lines = [stat.lines[index].split(_STAT.separator) for index in others]
    rows = [_pick_fields(stat.header, cells, STAT_FIELDS) for cells in lines]
    for index in reversed(others):
        del stat.lines[index], stat.wanted[index]
    return stat, rows


def _pick_fields(header: tuple[str, ...], cells: list[str], names: tuple[str, ...]) -> Row:
    """Return the named fields of a row; those that this HAProxy does not have are empty."""
    present, absent = _locate_fields(header, names)
    return {**{name: cells[at] for name, at in present}, **dict.fromkeys(absent, "")}


@lru_cache(maxsize=16)
def _locate_fields(
    header: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    present = tuple((name, header.index(name)) for name in names if name in header)
    return present, tuple(name for name in names if name not in header)


def _find_empty(state: Rows) -> frozenset[int]:
    """Return the indexes of empty slots; this costs next to nothing while no server is in maintenance."""
    admins = [row[_STATES] for row in state.wanted]
    out = {admin for admin in set(admins) if may_be_empty(int(admin.split(_STATE.separator)[1]))}
    if not out:
        return frozenset()

    def line(text: str) -> Line:
        row = _pick_fields(state.header, text.split(_STATE.separator), FIELDS)
        return build_line(row["be_id"], row)

    lines = {at: line(state.lines[at]) for at, admin in enumerate(admins) if admin in out}
    return find_empty_slots(lines, lambda: map(line, state.lines))


def _build_columns(stat: Rows, state: Rows, empty: frozenset[int]) -> Columns | None:
    """Build the columns; None when the tables do not have the same servers, or not all that is counted."""
    if not stat.wanted or not has_all_counters(stat.header):
        return None
    backends, names, sessions, status, iid, sid, throttle, *rest = zip(*stat.wanted, strict=True)
    tracked, _, check, health = rest
    be_id, srv_id, states, checked = zip(*state.wanted, strict=True)
    if iid != be_id or sid != srv_id or len(set(zip(iid, sid, strict=True))) != len(iid):
        return None
    if max(map(len, chain(backends, names))) > MAX_NAME_CHARS:
        return None
    if {number.partition(" ")[0] for number in set(states)} - _OPERATIONAL:
        return None
    first: dict[tuple[str | bool, ...], int] = {}
    slots = [at in empty for at in range(len(names))] if empty else repeat(False, len(names))
    alike = zip(states, checked, status, throttle, tracked, check, health, slots, strict=True)
    counters = Counters(stat.header, stat.lines)
    return Columns(
        names=list(zip(backends, names, strict=True)),
        alike=[first.setdefault(fields, index) for index, fields in enumerate(alike)],
        sessions=list(map(int, sessions)),
        counters=Counter(counters, attrgetter("counters")),
        response=Counter(counters, attrgetter("response")),
    )
