"""The fast way from replies to servers: cut once, kept as columns, each `Server` built when it is asked for.

A poll of ten thousand servers changes all of them, but nobody looks at more than a screenful. What is
read here means the same as in `parse` and `servers`; what is odd in any way is left to them.
"""

from collections.abc import Iterable, Sequence
from typing import overload

from backends.columns import Columnar, Columns
from backends.haproxy.parse import BACKEND_ROW, SERVER_ROW, STAT_FIELDS, STAT_NEEDED, STATE_FIELDS
from backends.haproxy.servers import RESPONSES, backend, server
from backends.model import Backend, Operational, Server

Table = dict[str, list[str]]

_ALIKE = (
    *("srv_admin_state", "srv_op_state", "srv_uweight", "srv_check_state", "status", "weight", "throttle"),
    *("check_status", "check_health", "check_rise", "check_fall", "tracked", "bck"),
)
_NUMBERS = (
    *("srv_admin_state", "srv_agent_state", "srv_port", "srv_uweight", "srv_iweight", "srv_check_state"),
    *("weight", "scur", "qcur"),
)
_PERHAPS = (  # empty: does not apply
    *("check_health", "check_rise", "check_fall", "check_duration", "chkfail", "throttle", "lastchg"),
)


class Servers(Columnar):
    """Servers of one load balancer, by their columns. All fields have been checked."""

    def __init__(self, instance: str, table: Table, columns: Columns) -> None:
        self._instance = instance
        self._table = table
        self._columns = columns
        self._built: dict[int, Server] = {}

    def columns(self) -> Columns:
        return self._columns

    def __len__(self) -> int:
        return len(self._columns.names)

    @overload
    def __getitem__(self, index: int) -> Server: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Server]: ...
    def __getitem__(self, index: int | slice) -> Server | Sequence[Server]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        index = range(len(self))[index]
        if index not in self._built:
            row = {name: column[index] for name, column in self._table.items()}
            self._built[index] = server(self._instance, row, row)
        return self._built[index]


def fast_join(
    instance: str, stats: Iterable[str], states: Iterable[str]
) -> tuple[tuple[Backend, ...], Servers] | None:
    """Join the replies to `show stat` and `show servers state` by columns.

    Returns:
        None when anything about them is unusual: quotes, another order, a field that is no number.
    """
    stat = _joined(_stat_table(text) for text in stats)
    state = _joined(_state_table(text) for text in states)
    if stat is None or state is None:
        return None
    others = _take_others(stat)
    if stat["iid"] != state["be_id"] or stat["sid"] != state["srv_id"]:
        return None
    if len(set(zip(stat["iid"], stat["sid"], strict=True))) != len(stat["iid"]):
        return None
    table = state | stat
    try:
        _check(table)
        servers = Servers(instance, table, _columns(table))
    except ValueError:
        return None
    return tuple(backend(row) for row in others if row["type"] == BACKEND_ROW), servers


def _take_others(table: Table) -> list[dict[str, str]]:
    """Take out the few rows that are no servers."""
    others = [index for index, kind in enumerate(table["type"]) if kind != SERVER_ROW]
    rows = [{name: column[index] for name, column in table.items()} for index in others]
    for column in table.values():
        for index in reversed(others):
            del column[index]
    return rows


def _check(table: Table) -> None:
    """Raises ValueError when building any of the servers would; equal cells are looked at once."""
    for name in _NUMBERS:
        for cell in set(table[name]):
            int(cell)
    for name in _PERHAPS:
        for cell in set(table[name]):
            int(cell or 0)
    for cell in set(table["srv_op_state"]):
        Operational(int(cell))
    if any("-" in cell for cell in set(table["srv_admin_state"])):
        raise ValueError("not a bit field")


def _columns(table: Table) -> Columns:
    first: dict[tuple[str, ...], int] = {}
    answers = [_counts(table[name]) for name in RESPONSES]
    return Columns(
        names=list(zip(table["pxname"], table["svname"], strict=True)),
        alike=[
            first.setdefault(state, index)
            for index, state in enumerate(zip(*(table[name] for name in _ALIKE), strict=True))
        ],
        sessions=list(map(int, table["scur"])),
        queue=list(map(int, table["qcur"])),
        requests=list(map(sum, zip(*answers, strict=True))),
        errors_5xx=answers[-1],
        response=[
            int(time) if total and time else None
            for total, time in zip(_counts(table["stot"]), table["rtime"], strict=True)
        ],
    )


def _counts(column: list[str]) -> list[int]:
    return [int(cell) if cell else 0 for cell in column]


def _joined(tables: Iterable[Table | None]) -> Table | None:
    result: Table = {}
    for table in tables:
        if table is None:
            return None
        for name, column in table.items():
            result[name] = result[name] + column if name in result else column
    return result or None


def _stat_table(text: str) -> Table | None:
    head, _, body = text.partition("\n")
    header = head.removeprefix("# ").split(",")
    if '"' in body or header[-1] or not head.startswith("# pxname,"):
        return None
    # Every row ends with an empty field; its place takes the end of the line, which proves the width.
    cells = _cut(body, "\n,", ",", len(header))
    where = {name: header.index(name) for name in STAT_FIELDS if name in header}
    if cells is None or not where.keys() >= set(STAT_NEEDED):
        return None
    table = {name: cells[place :: len(header)][: len(cells) // len(header)] for name, place in where.items()}
    rows = len(table["type"])
    return table | {name: [""] * rows for name in STAT_FIELDS if name not in where}


def _state_table(text: str) -> Table | None:
    version, _, rest = text.partition("\n")
    head, _, body = rest.partition("\n")
    header = head.removeprefix("# ").split()
    if version != "1" or not head.startswith("# ") or not set(header) >= set(STATE_FIELDS):
        return None
    stride = len(header) + 1
    cells = _cut(body, " \n ", " ", stride)
    if cells is None:
        return None
    return {name: cells[header.index(name) :: stride][: len(cells) // stride] for name in STATE_FIELDS}


def _cut(body: str, end: str, separator: str, stride: int) -> list[str] | None:
    """All cells of all rows in one list, every `stride`-th of them the end of a row; None when one is not."""
    if body and not body.endswith("\n"):
        body += "\n"
    cells = body.replace("\n", end).split(separator)
    ends = cells[stride - 1 :: stride]
    rows = body.count("\n")
    if ends != ["\n"] * rows or len(cells) != rows * stride + 1:
        return None
    return cells
