"""What all widgets of the main view share: kinds, keys of rows, and the state of each load balancer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

LONG_STALE_S = 10.0  # seconds after which old data are more than a hiccup

Kind = Literal["ok", "moving", "bad", "out", "quiet"]
"""What a color means: healthy in rotation; changing or stale; broken; taken out on purpose; the rest."""

Sort = Literal["problems", "node", "sessions", "rate", "errors", "response"]

GroupBy = Literal["server", "node"]
"""What a row is: a server of one backend, or a node over all backends."""

RowKey = tuple[str, str]
"""Backend and server name, which identify a row. The row of a node has no backend: see `node_key`."""


def node_key(node: str) -> RowKey:
    """Return the key of a node's row: no backend of HAProxy has an empty name."""
    return "", node


def node_of(key: RowKey, names: Mapping[RowKey, str]) -> str:
    """Return the node behind a row of either grouping; a server that belongs to none is its own.

    Args:
        key: of the row.
        names: the node of each server, by backend and server name.
    """
    return names.get(key, key[1])


@dataclass(frozen=True, slots=True)
class BalancerBadge:
    """One load balancer in the header."""

    name: str
    state: Literal["connecting", "live", "stale"]
    version: str  # short, such as "2.6.12"; empty before the first answer
    age_s: float  # since the data shown were read
    note: str  # why it is stale, or "reloaded 12 s ago"; else empty


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows are in which group."""

    up: int
    draining: int
    maint: int
    down: int
    of: GroupBy = "server"


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Which rows the operator wants to see, and in which order."""

    sort: Sort = "problems"
    reverse: bool = False
    filter: str = ""  # part of a node, backend or state
    problems_only: bool = False
    backend: str = ""  # only this one
    by: GroupBy = "server"

    def sorted_by(self, sort: Sort) -> "TableOptions":
        """Return these options with another sort order, or reversed when it is the same order."""
        return replace(self, sort=sort, reverse=sort == self.sort and not self.reverse)
