"""Servers stored as columns, so that thousands of them cost little while only a few are read in full."""

import re
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple, TypeVar, overload

from backends.haproxy.join import ENDINGS, FAILURES, RESPONSES, build_counters
from backends.haproxy.parse import MAX_COLUMNS, MAX_ROW_CHARS, MAX_ROWS
from backends.model import RequestCounters, Server

Name = tuple[str, str]
"""Backend and server name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Values of all servers, a sequence of each, in the servers' order. They never change.

    Counters may be read lazily.
    """

    names: list[Name]
    alike: list[int]  # the first server whose states, health and weights are the same as this one's
    sessions: list[int]
    counters: Sequence[RequestCounters]
    response: Sequence[int | None]  # milliseconds


class Columnar(Sequence[Server]):
    """Servers that are built one by one on access."""

    @abstractmethod
    def columns(self) -> Columns:
        """Return the columns, which cost little for all servers together."""

    @abstractmethod
    def server_like(self, first: int) -> Server:
        """Return a server in the same state as this one; it may be of another backend.

        Args:
            first: a value of `Columns.alike`.
        """

    @abstractmethod
    def count_queued(self) -> int:
        """Return how many requests wait for one of these servers; no server is built for it."""

    @abstractmethod
    def take(self, parts: Sequence[slice]) -> "Columnar":
        """Return some of the servers, in this order; no server is built for it."""


def names_of(servers: Sequence[Server]) -> Sequence[Name]:
    """Return backend and name of servers; of columns no server is built for it."""
    if isinstance(servers, Columnar):
        return servers.columns().names
    return [(server.ref.backend, server.ref.server) for server in servers]


def server_like(servers: Sequence[Server], first: int) -> Server:
    """Return a server in the same state as this one, to judge that; see `Columnar.server_like`."""
    return servers.server_like(first) if isinstance(servers, Columnar) else servers[first]


def count_queued(servers: Sequence[Server]) -> int:
    """Return how many requests wait for one of these servers; of columns no server is built for it."""
    if isinstance(servers, Columnar):
        return servers.count_queued()
    return sum(server.queue for server in servers)


def columns_of(servers: Sequence[Server]) -> Columns:
    """Return the columns of servers."""
    if isinstance(servers, Columnar):
        return servers.columns()
    first: dict[object, int] = {}
    return Columns(
        names=list(names_of(servers)),
        alike=[first.setdefault(_state(server), index) for index, server in enumerate(servers)],
        sessions=[server.sessions for server in servers],
        counters=[server.counters for server in servers],
        response=[server.response_time for server in servers],
    )


_state = attrgetter(
    *(
        "admin",
        "operational",
        "status",
        "weight",
        "effective_weight",
        "throttle",
        "has_checks",
        "track_target",
    ),
    *("check_status", "check_health", "check_rise", "check_fall", "backup", "empty_slot"),
)


_CHUNK_CHARS = 256 * 1024  # about 3 ms


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read of a reply's rows.

    Attributes:
        separator: between fields.
        runs: of fields, in the order of the header; each run, one field or several that are side by
            side, becomes one text.
        numbers: fields with digits in them.
        optional: those of `numbers` that may be empty.
    """

    separator: str
    runs: tuple[tuple[str, ...], ...]
    numbers: frozenset[str]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a reply, and from each what was wanted."""

    header: tuple[str, ...]
    lines: list[str]
    wanted: list[tuple[str, ...]]


def read(header: Sequence[str], body: str, wanted: Wanted) -> Rows | None:
    """Read the rows.

    Returns:
        None when the header or any row is unusual: a field that is missing, or is no number; or when the
        table is larger than any that HAProxy writes.
    """
    pattern = _compile_pattern(tuple(header), wanted) if len(header) <= MAX_COLUMNS else None
    if pattern is None:
        return None
    lines = body.removesuffix("\n").split("\n", MAX_ROWS) if body else []
    if len(lines) > MAX_ROWS or max(map(len, lines), default=0) > MAX_ROW_CHARS:
        return None
    if set(map(str.count, lines, repeat(wanted.separator))) - {len(header) - 1}:
        return None
    found = list[tuple[str, ...]]()
    begin = 0
    while begin < len(body):
        # In pieces: nothing else can run in the process while one is being matched.
        end = body.find("\n", begin + _CHUNK_CHARS)
        end = len(body) if end < 0 else end
        found += pattern.findall(body, begin, end)
        begin = end + 1
    return Rows(tuple(header), lines, found) if len(found) == len(lines) else None


def can_read(header: tuple[str, ...], wanted: Wanted) -> bool:
    """Return whether what is wanted can be read from rows with this header."""
    return _compile_pattern(header, wanted) is not None


def read_one(header: tuple[str, ...], line: str, wanted: Wanted) -> tuple[str, ...]:
    """Read what is wanted from one row. Raises ValueError when the row is unusual."""
    pattern = _compile_pattern(header, wanted)
    if pattern is None or (found := pattern.match(line)) is None:
        raise ValueError(line)
    return found.groups()


def join_tables(tables: Collection[Rows | None]) -> Rows | None:
    """Join tables one after the other; return None when one is missing, or their headers differ."""
    found_tables = [table for table in tables if table is not None]
    if len({table.header for table in found_tables}) != 1 or len(found_tables) != len(tables):
        return None
    if len(found_tables) == 1:
        return found_tables[0]
    lines = [line for table in found_tables for line in table.lines]
    return Rows(found_tables[0].header, lines, [found for table in found_tables for found in table.wanted])


@lru_cache(maxsize=16)
def _compile_pattern(header: tuple[str, ...], wanted: Wanted) -> re.Pattern[str] | None:
    """Return a pattern for a row up to the last field of interest.

    It is possessive, as nothing has to be tried twice. It is None when the header has the
    fields in another order.
    """
    begins, ends = set[int](), set[int]()
    for run in wanted.runs:
        at = header.index(run[0]) if run[0] in header else 0
        if header[at : at + len(run)] != run or at < max(ends, default=0):
            return None
        begins.add(at)
        ends.add(at + len(run) - 1)
    last = max(index for index, name in enumerate(header) if index in ends or name in wanted.numbers)
    text = f"[^{wanted.separator}\n]*+"
    fields = []
    for index, name in enumerate(header[: last + 1]):
        least = 0 if name in wanted.optional else 1
        field = f"[0-9]{{{least},18}}+" if name in wanted.numbers else text
        fields.append("(" * (index in begins) + field + ")" * (index in ends))
    rest = f"{wanted.separator}[^\n]*+" if last + 1 < len(header) else ""
    return re.compile(f"^{wanted.separator.join(fields)}{rest}$", re.MULTILINE)


T = TypeVar("T")

MAX_SINGLE_ROWS = 500  # rows that are read one by one; a reader of more wants all of them, as to sort them

_WANTED = Wanted(",", (("scur",), ("stot",), FAILURES, RESPONSES, ENDINGS, ("rtime",)), frozenset())


def has_all_counters(header: tuple[str, ...]) -> bool:
    """Return whether rows with this header have all counters."""
    return can_read(header, _WANTED)


class Counts(NamedTuple):
    """What one server has served so far."""

    counters: RequestCounters
    response: int | None  # milliseconds


class Counters:
    """The counters in rows of `show stat` that have been checked.

    Args:
        header: the header of the rows.
        lines: one for each server.
    """

    def __init__(self, header: tuple[str, ...], lines: list[str]) -> None:
        self._header = header
        self._lines = lines
        self._count = len(lines)
        self._known: dict[int, Counts] = {}
        self._all: list[Counts] | None = None

    def __len__(self) -> int:
        return self._count

    def of(self, index: int) -> Counts:
        """Return the counters of one server."""
        if self._all is not None:
            return self._all[index]
        if index not in self._known:
            if len(self._known) >= MAX_SINGLE_ROWS:
                return self._read_all()[index]
            self._known[index] = _build_counts(read_one(self._header, self._lines[index], _WANTED))
        return self._known[index]

    def _read_all(self) -> list[Counts]:
        rows = read(self._header, "\n".join(self._lines), _WANTED)
        if rows is None:
            raise ValueError("rows that were not checked")
        self._all, self._lines, self._known = [_build_counts(line) for line in rows.wanted], [], {}
        return self._all


class Counter(Sequence[T]):
    """One counter of all servers."""

    def __init__(self, counters: Counters, pick: Callable[[Counts], T]) -> None:
        self._counters = counters
        self._pick = pick

    def __len__(self) -> int:
        return len(self._counters)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return self._pick(self._counters.of(range(len(self))[index]))


def _build_counts(cells: Sequence[str]) -> Counts:
    scur, stot, failures, responses, endings, time = cells
    texts = [scur, stot, *failures.split(","), *responses.split(","), *endings.split(",")]
    found = build_counters(
        [int(text) if text else 0 for text in texts], http=texts[10] != "", has_total=texts[12] != ""
    )
    return Counts(found, int(time) if time and found.total else None)
