"""Servers column by column: what thousands of them cost when only a few are looked at closely."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from backends.model import RequestCounters, Server

Name = tuple[str, str]
"""Backend and server name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """One sequence for each thing, all in the order of the servers. Never changed once made.

    Counters may be read only when they are asked for.
    """

    names: list[Name]
    alike: list[int]  # the first server whose states, health and weights are the same as this one's
    sessions: list[int]
    counters: Sequence[RequestCounters]
    response: Sequence[int | None]  # milliseconds


class Columnar(Sequence[Server]):
    """Servers that are built one by one when they are asked for."""

    @abstractmethod
    def columns(self) -> Columns:
        """What is cheap to have of all of them."""


def names_of(servers: Sequence[Server]) -> Sequence[Name]:
    """Backend and name of any servers; of thousands none is built for it."""
    if isinstance(servers, Columnar):
        return servers.columns().names
    return [(server.ref.backend, server.ref.server) for server in servers]


def columns_of(servers: Sequence[Server]) -> Columns:
    """The columns of any servers."""
    if isinstance(servers, Columnar):
        return servers.columns()
    first: dict[object, int] = {}
    return Columns(
        names=list(names_of(servers)),
        alike=[first.setdefault(_state(each), index) for index, each in enumerate(servers)],
        sessions=[each.sessions for each in servers],
        counters=[each.counters for each in servers],
        response=[each.response_time for each in servers],
    )


_state = attrgetter(
    *("admin", "operational", "status", "weight", "effective_weight", "throttle", "checked", "tracks"),
    *("check_status", "check_health", "check_rise", "check_fall", "backup", "empty_slot"),
)
