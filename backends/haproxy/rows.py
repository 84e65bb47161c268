"""Rows of a reply, each matched by one regular expression that is made for its header.

It takes out what is wanted of every row, proves that all other numbers are such, and leaves the rest of
the row as it came until somebody asks for it: cutting ten thousand rows of 200 fields into all of their
cells costs twice as much, and most of that is memory that nobody looks at.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

_PIECE = 256 * 1024  # characters; about 3 ms


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read of a reply's rows.

    Attributes:
        separator: between fields.
        runs: of fields, in the order of the header; each run, one field or several that stand side by
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
    """All rows of a reply: what was wanted of each, and the rows themselves."""

    header: tuple[str, ...]
    lines: list[str]
    wanted: list[tuple[str, ...]]


def read(header: Sequence[str], body: str, wanted: Wanted) -> Rows | None:
    """Read the rows.

    Returns:
        None when the header or any row is unusual: a field that is missing, or is no number.
    """
    pattern = _pattern(tuple(header), wanted)
    if pattern is None:
        return None
    lines = body.removesuffix("\n").split("\n") if body else []
    if set(map(str.count, lines, repeat(wanted.separator))) - {len(header) - 1}:
        return None
    found = list[tuple[str, ...]]()
    begin = 0
    while begin < len(body):
        # In pieces: nothing else can run in the process while one is being matched.
        end = body.find("\n", begin + _PIECE)
        end = len(body) if end < 0 else end
        found += pattern.findall(body, begin, end)
        begin = end + 1
    return Rows(tuple(header), lines, found) if len(found) == len(lines) else None


def fits(header: tuple[str, ...], wanted: Wanted) -> bool:
    """Whether what is wanted can be read of rows with this header."""
    return _pattern(header, wanted) is not None


def read_one(header: tuple[str, ...], line: str, wanted: Wanted) -> tuple[str, ...]:
    """What is wanted of one row. Raises ValueError when it is unusual."""
    pattern = _pattern(header, wanted)
    if pattern is None or (found := pattern.match(line)) is None:
        raise ValueError(line)
    return found.groups()


def joined(tables: Collection[Rows | None]) -> Rows | None:
    """One after the other; None when one is missing, or they are not alike."""
    every = [each for each in tables if each is not None]
    if len({each.header for each in every}) != 1 or len(every) != len(tables):
        return None
    if len(every) == 1:
        return every[0]
    lines = [line for each in every for line in each.lines]
    return Rows(every[0].header, lines, [found for each in every for found in each.wanted])


@lru_cache(maxsize=16)
def _pattern(header: tuple[str, ...], wanted: Wanted) -> re.Pattern[str] | None:
    """Matches a row up to the last field of interest; possessive, as nothing has to be tried twice."""
    begins, ends = set[int](), set[int]()
    for run in wanted.runs:
        at = header.index(run[0]) if run[0] in header else 0
        if header[at : at + len(run)] != run or at < max(ends, default=0):
            return None
        begins.add(at)
        ends.add(at + len(run) - 1)
    last = max(place for place, name in enumerate(header) if place in ends or name in wanted.numbers)
    text = f"[^{wanted.separator}\n]*+"
    fields = []
    for place, name in enumerate(header[: last + 1]):
        least = 0 if name in wanted.optional else 1
        field = f"[0-9]{{{least},18}}+" if name in wanted.numbers else text
        fields.append("(" * (place in begins) + field + ")" * (place in ends))
    rest = f"{wanted.separator}[^\n]*+" if last + 1 < len(header) else ""
    return re.compile(f"^{wanted.separator.join(fields)}{rest}$", re.MULTILINE)
