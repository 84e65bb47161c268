"""Lists of names as short as they can be read: 400 names that count up are one, such as `web[001-400]`."""

import re
from collections.abc import Iterable, Sequence

MIN_RUN = 5  # names that count up; fewer are easier to read as they are
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_MAX_DIGITS = 9  # of a number that is counted; longer ones are no counters
_RESERVED = frozenset("[],")  # a name with one of these would look like a range or a list


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
        run, folded = _longest_run(listed, at)
        if run >= MIN_RUN:
            parts.append(folded)
            at += run
        else:
            parts.append(listed[at])
            at += 1
    return parts


def _longest_run(names: Sequence[str], start: int) -> tuple[int, str]:
    """Return how many names from this one on count up in one of its numbers, and them as a range."""
    first = names[start]
    if _RESERVED.intersection(first):
        return 1, first
    best = 1, first
    pieces = _DIGITS.split(first)  # every second one is a number
    for position in range(1, len(pieces), 2):
        number = pieces[position]
        before, after = "".join(pieces[:position]), "".join(pieces[position + 1 :])
        if len(number) > _MAX_DIGITS or before[-1:].isdigit() or after[:1].isdigit():
            continue
        length = 1
        while start + length < len(names):
            following = str(int(number) + length).zfill(len(number))
            if names[start + length] != before + following + after:
                break
            length += 1
        if length > best[0]:
            last = str(int(number) + length - 1).zfill(len(number))
            best = length, f"{before}[{number}-{last}]{after}"
    return best
