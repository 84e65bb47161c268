"""Values that the widgets show: immutable, in words and numbers, with nothing left to decide."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

Kind = Literal["ok", "moving", "bad", "out", "quiet"]
"""What a colour means: healthy in rotation, on its way or stale, broken, taken out on purpose, the rest."""

Sort = Literal["problems", "node", "sessions", "rate", "errors", "response"]

By = Literal["server", "node"]
"""What a row is: a node in one backend, or a machine over all backends."""

Key = tuple[str, str]
"""Backend and server name: what a row is, whatever the order. A node's row has no backend: see `node_key`."""


def node_key(node: str) -> Key:
    """The key of a node's row: no backend of HAProxy has an empty name."""
    return "", node


def node_of(key: Key, names: Mapping[Key, str]) -> str:
    """The node behind a row of either view; a server that belongs to none is its own.

    Args:
        key: of the row.
        names: the node of each server, by backend and server name.
    """
    return names.get(key, key[1])


@dataclass(frozen=True, slots=True)
class Row:
    """One node in one backend, or in all of them, over all load balancers."""

    key: Key
    node: str
    backend: str  # "api, shop" for a node that stands in several
    admin: str  # "ready", "drain", "maint"; "maint/ready" where load balancers or backends disagree
    health: str  # glyph and word: "▲ up", "△ 1/3", "▼ L4CON", "-" in maintenance
    kind: Kind
    version: str  # empty when it is not known
    weight: str
    sessions: int
    queue: int
    rate: float | None  # requests per second; None before the second look, and right after a reload
    errors: float | None  # share of requests that ended in an error for the client; None without requests
    response: int | None  # milliseconds
    trend: tuple[float, ...]  # requests per second, oldest first, at most 8
    since: int  # seconds since the operational state last changed
    marks: str  # one glyph for each load balancer, in their order: ✓ in rotation, ✗ not, ? not known
    note: str  # where they disagree, in words; else empty
    problem: bool  # it is not in rotation everywhere
    backends: int = 1  # how many names stand in `backend`
    errors_known: bool = True  # False in TCP mode


class Rows(Protocol):
    """Rows in an order; made one by one when they are asked for, as there may be ten thousand."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...

    def key(self, index: int) -> Key: ...

    def index(self, key: Key) -> int | None:
        """Where a row stands now; None when it is not shown.

        A key of the other view finds the row of the same machine, so that the cursor stays on it.
        """


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """One load balancer in the header."""

    name: str
    state: Literal["connecting", "live", "stale"]
    version: str  # short, such as "2.6.12"; empty before the first answer
    age: float  # seconds since the data shown were read
    note: str  # why it is stale, or "reloaded 12 s ago"; else empty


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what they are."""

    up: int
    draining: int
    maint: int
    down: int
    of: By = "server"


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the main view shows of HAProxy at one moment."""

    application: str
    instances: tuple[InstanceLine, ...]
    counts: Counts
    rows: Rows
    read_only: str  # why nothing can be changed; empty when it can


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What the operator wants to see, and in which order."""

    sort: Sort = "problems"
    reverse: bool = False
    filter: str = ""  # part of a node, backend or state
    problems_only: bool = False
    backend: str = ""  # only this one
    by: By = "server"

    def ordered(self, sort: Sort) -> "Arrangement":
        """In this order; reversed when it is in this order already."""
        return replace(self, sort=sort, reverse=sort == self.sort and not self.reverse)
