"""Counters of thousands of servers, read when somebody asks: a screenful is a hundredth of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar, overload

from backends.haproxy.rows import Wanted, fits, read, read_one
from backends.haproxy.servers import ENDINGS, FAILURES, RESPONSES, counted
from backends.model import RequestCounters

T = TypeVar("T")

FEW = 500  # rows that are read one by one; whoever wants more wants all, as for an order

_WANTED = Wanted(",", (("scur",), ("stot",), FAILURES, RESPONSES, ENDINGS, ("rtime",)), frozenset())


def readable(header: tuple[str, ...]) -> bool:
    """Whether rows with this header have all counters."""
    return fits(header, _WANTED)


class Counts(NamedTuple):
    """What one server has served so far."""

    counters: RequestCounters
    response: int | None  # milliseconds


class Counters:
    """The counters in rows of `show stat` that have been checked.

    Args:
        header: of the rows.
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
        """Those of one server."""
        if self._all is not None:
            return self._all[index]
        if index not in self._known:
            if len(self._known) >= FEW:
                return self._read_all()[index]
            self._known[index] = _counts(read_one(self._header, self._lines[index], _WANTED))
        return self._known[index]

    def _read_all(self) -> list[Counts]:
        rows = read(self._header, "\n".join(self._lines), _WANTED)
        if rows is None:
            raise ValueError("rows that were not checked")
        self._all, self._lines, self._known = [_counts(each) for each in rows.wanted], [], {}
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
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._pick(self._counters.of(range(len(self))[index]))


def _counts(cells: Sequence[str]) -> Counts:
    scur, stot, failures, responses, endings, time = cells
    texts = [scur, stot, *failures.split(","), *responses.split(","), *endings.split(",")]
    found = counted(
        [int(text) if text else 0 for text in texts], http=texts[10] != "", has_total=texts[12] != ""
    )
    return Counts(found, int(time) if time and found.total else None)
