"""Servers and groups of servers in one poll, as they are compared. Values."""

from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.events.judgement import Group


class Row(NamedTuple):
    """One server in one poll.

    Attributes:
        node: its node.
        server: its name.
        group: which version it runs.
        requests: requests that it got; of failed checks, 1.
        errors: those that failed.
        weight: requests times its own error rate, as a multiple of its backend's.
        counted: errors that count as evidence against it.
    """

    node: str
    server: str
    group: Group
    requests: int
    errors: int
    weight: float
    counted: float


class Side(NamedTuple):
    """One of two groups of servers in one stratum: sums of what `Row` has.

    Attributes:
        requests: requests that they got.
        errors: those that failed.
        weight: requests times own error rates.
        counted: errors that count as evidence against them.
        cells: servers that had errors.
    """

    requests: int = 0
    errors: int = 0
    weight: float = 0.0
    counted: float = 0.0
    cells: int = 0

    def without(self, other: "Side") -> "Side":
        """Return what is left without some of the servers."""
        return Side._make(mine - others for mine, others in zip(self, other, strict=True))


def add_up(rows: Iterable[Row]) -> Side:
    """Return what servers got together."""
    requests = errors = cells = 0
    weight = counted = 0.0
    for row in rows:
        requests += row.requests
        weight += row.weight
        if row.errors:
            errors += row.errors
            counted += row.counted
            cells += 1
    return Side(requests, errors, weight, counted, cells)


def add_up_groups(rows: Iterable[Row]) -> tuple[Side, Side]:
    """Return what servers of the new version got together, and those of the old one."""
    rows = list(rows)
    return add_up(row for row in rows if row.group == "new"), add_up(
        row for row in rows if row.group == "old"
    )
