"""Values that the widgets show: immutable, in words and numbers, with nothing left to decide."""

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["ok", "moving", "bad", "out", "quiet"]
"""What a colour means: healthy in rotation, on its way or stale, broken, taken out on purpose, the rest."""

Sort = Literal["problems", "node", "sessions", "rate", "errors", "response"]

Key = tuple[str, str]
"""Backend and server name: what a row is, whatever the order."""


@dataclass(frozen=True, slots=True)
class Row:
    """One node in one backend, over all load balancers."""

    key: Key
    node: str
    backend: str
    admin: str  # "ready", "drain", "maint"; "maint/ready" where load balancers disagree
    health: str  # glyph and word: "▲ up", "△ 1/3", "▼ L4CON", "-" in maintenance
    kind: Kind
    version: str  # empty when it is not known
    weight: str
    sessions: int
    queue: int
    rate: float | None  # requests per second; None before the second look, and right after a reload
    errors: float | None  # share of responses 5xx, 0 to 1; None without requests
    response: int | None  # milliseconds
    trend: tuple[float, ...]  # requests per second, oldest first, at most 8
    since: int  # seconds since the operational state last changed
    marks: str  # one glyph for each load balancer, in their order: ✓ in rotation, ✗ not, ? not known
    note: str  # where they disagree, in words; else empty
    problem: bool  # it is not in rotation everywhere


class Rows(Protocol):
    """Rows in an order; made one by one when they are asked for, as there may be ten thousand."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Row: ...

    def key(self, index: int) -> Key: ...

    def index(self, key: Key) -> int | None:
        """Where a row stands now; None when it is not shown."""


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
