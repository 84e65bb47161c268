"""Lists of names as short as they can be read: 400 names that count up are one, such as `web[001-400]`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MIN_RUN = 5  # names that count up; fewer are easier to read as they are
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_MAX_DIGITS = 9  # of a number that is counted; longer ones are no counters
_RESERVED = frozenset("[],")  # a name with one of these would look like a range or a list


class Own(str):
    """A part of a text in which it differs from the same text about another node: a name, address or port."""

    __slots__ = ()


def fold_names(names: Iterable[str], separator: str = ", ") -> str:
    """Return the names as a text, with ranges as in `list_folded`.

    Args:
        names: any text.
        separator: what is between two of them.
    """
    return separator.join(list_folded(names))


def list_folded(names: Iterable[str]) -> list[str]:
    """Return the names in their order; at least `MIN_RUN` that count up are written as a range.

    A range has the first and the last number, both as they are in the names: `web[001-400]` stands for web001
    to web400, and `web[8-12]` for web8 to web12.
    """
    listed = list(names)
    parts: list[str] = []
    at = 0
    while at < len(listed):
        best, longest = None, MIN_RUN - 1
        for count in _counts(listed[at]):
            length = 1
            while at + length < len(listed) and listed[at + length] == count.name(length):
                length += 1
            if length > longest:
                best, longest = count, length
        parts.append(listed[at] if best is None else best.folded(longest))
        at += 1 if best is None else longest
    return parts


def fold_set(names: Iterable[str]) -> str:
    """Return different names as a text like `fold_names`, where those of a range need not follow each other.

    Of `a1 on lb1, a1 on lb2, a2 on lb1, ...` two ranges are made: `a[1-400] on lb1, a[1-400] on lb2`.
    """
    left = dict.fromkeys(names)
    parts: list[str] = []
    for first in list(left):
        if first not in left:
            continue  # in a range already
        best, longest = None, MIN_RUN - 1
        for count in _counts(first):
            length = 1
            while count.name(length) in left:
                length += 1
            if length > longest:
                best, longest = count, length
        parts.append(first if best is None else best.folded(longest))
        for name in [first] if best is None else map(best.name, range(longest)):
            del left[name]
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class _Count:
    """One number of a name, from which it may count up."""

    before: str
    number: str
    after: str

    def name(self, steps: int) -> str:
        """Return the name that comes so many steps later."""
        return self.before + str(int(self.number) + steps).zfill(len(self.number)) + self.after

    def folded(self, length: int) -> str:
        """Return so many names, from this one on, as a range."""
        last = str(int(self.number) + length - 1).zfill(len(self.number))
        return f"{self.before}[{self.number}-{last}]{self.after}"


def _counts(name: str) -> Iterator[_Count]:
    if _RESERVED.intersection(name):
        return
    pieces = _DIGITS.split(name)  # every second one is a number
    for position in range(1, len(pieces), 2):
        number = pieces[position]
        before, after = "".join(pieces[:position]), "".join(pieces[position + 1 :])
        if len(number) <= _MAX_DIGITS and not before[-1:].isdigit() and not after[:1].isdigit():
            yield _Count(before, number, after)
