"""Whether servers can carry a load that was forecast for them: impossible, proven or unproven. Pure.

The rules, and how well they do, are explained in `docs/capacity.md`.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from backends.model import HASH_ALGORITHMS, Backend, Server, ServerRef
from orchestrator.balancers.load_history import MeasuredLoad, QueueShare

Grade = Literal["proven", "unproven", "impossible"]
"""Whether servers can carry a load.

proven: they have carried as much, or have next to nothing to do;
unproven: nobody knows;
impossible: requests would have to queue, or do so now.
"""

MIN_UPTIME_S = 3600  # of HAProxy, for its highest values to count as proof
PEAK_SHARE = 0.95  # of the highest load that was carried earlier
RECENT_PEAK_SHARE = 1.1  # of what was carried a moment ago: a step that no trial could tell from noise
RECENT_SESSIONS_SHARE = 1.25  # likewise; how many are in flight varies more
IDLE_SESSIONS = 1.0  # with fewer in flight, even a node that does one thing at a time is not overloaded then
LIMIT_SHARE = 0.8  # of `maxconn`; beyond it, nothing is proven
ROOM_NEEDED = 1.1  # slots for each session that has to be carried
MIN_QUEUE_SAMPLES = 3
MIN_RATE = 0.05  # per second; less is none


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """The load of the servers of one backend on one load balancer when others have left.

    Attributes:
        instance: the load balancer.
        backend: the backend.
        servers: how many remain.
        active_servers: how many there are, in rotation or not; without backup servers.
        rate: sessions per second now, as a mean of those that remain.
        rate_then: likewise when the others have left.
        sessions: sessions in flight now, likewise.
        sessions_then: likewise when the others have left; at least.
        limit: how many sessions all that remain may have at once; None where one of them has no `maxconn`.
        carried: the least that any of them is known to have carried, in sessions per second; None: not known.
        queue: requests that wait now, for any server of the backend.
        grade: whether they can carry it.
        reason: why it is graded so.
        certain: False for "impossible" by a few polls, which measure no mean yet.
        unit: of the rates.
    """

    instance: str
    backend: str
    servers: int
    active_servers: int
    rate: float
    rate_then: float
    sessions: float
    sessions_then: float
    limit: int | None
    carried: float | None
    queue: int
    grade: Grade = "unproven"
    reason: str = ""
    certain: bool = True
    unit: str = "rps"

    @property
    def all_sessions_then(self) -> float:
        """The sessions in flight on all servers that remain."""
        return self.sessions_then * self.servers

    @property
    def is_refused(self) -> bool:
        """Whether it is certain that it cannot be carried."""
        return self.grade == "impossible" and self.certain

    @property
    def is_notable(self) -> bool:
        """Whether there is a load to speak of."""
        return self.grade != "proven" or self.rate_then >= MIN_RATE

    def __str__(self) -> str:
        growth = f"+{100 * (self.rate_then / self.rate - 1):.0f} %; " if self.rate >= MIN_RATE else ""
        return (
            f"{self.instance} {self.backend}: {format_number(self.rate)} → {format_number(self.rate_then)}"
            f" {self.unit} per server ({growth}{self.reason}: {self.grade})"
        )


class Survivor(NamedTuple):
    """A server that remains.

    Attributes:
        server: as it is now.
        now: its load now.
        rate_then: its sessions per second when the others have left.
        sessions_then: its sessions in flight then.
        peak: the highest rate that it is known to have carried through this load balancer; 0: not known.
        sessions_peak: likewise of sessions in flight.
    """

    server: Server
    now: MeasuredLoad
    rate_then: float
    sessions_then: float
    peak: float
    sessions_peak: int

    @property
    def machine(self) -> tuple[str, int] | ServerRef:
        """What its lines on several load balancers have in common."""
        return (self.server.address, self.server.port) if self.server.address else self.server.ref

    @property
    def has_room(self) -> bool:
        """Whether its limit is far enough from what is forecast; without a limit it is."""
        limit = self.server.load.session_limit
        return not limit or self.sessions_then <= LIMIT_SHARE * limit

    @property
    def is_proven(self) -> bool:
        if not self.has_room:
            return False
        now = self.now
        if now.carried and self.rate_then <= RECENT_PEAK_SHARE * now.carried:
            return self.sessions_then <= 1 + RECENT_SESSIONS_SHARE * now.carried_sessions
        return self.rate_then <= PEAK_SHARE * self.peak and self.sessions_then <= self.sessions_peak


class Group(NamedTuple):
    """The servers of one backend on one load balancer that remain.

    Attributes:
        instance: the load balancer.
        name: of the backend.
        backend: what is known of it.
        survivors: the servers.
        active_servers: how many there are, in rotation or not; without backup servers.
        queue: requests that wait now.
        queue_share: in how many of the last polls some did.
        uptime: seconds since HAProxy began to count.
    """

    instance: str
    name: str
    backend: Backend | None
    survivors: Sequence[Survivor]
    active_servers: int
    queue: int
    queue_share: QueueShare
    uptime: int


def algorithm_of(backend: Backend | None) -> str:
    """Return the algorithm without its parameters; empty when it is not known."""
    return backend.algorithm.partition("(")[0] if backend is not None else ""


def worst_grade(forecasts: Iterable[LoadForecast]) -> Grade:
    """Return the worst grade; "impossible" only where that is certain. Nothing to carry is proven."""
    found = list(forecasts)
    if any(forecast.is_refused for forecast in found):
        return "impossible"
    return "proven" if all(forecast.grade == "proven" for forecast in found) else "unproven"


def settle(forecast: LoadForecast) -> LoadForecast:
    """Return the forecast as "unproven" where nothing more certain than "impossible" by chance was found."""
    return forecast if forecast.certain else replace(forecast, grade="unproven", certain=True)


def is_machine_idle(rows: Sequence[Survivor]) -> bool:
    """Return whether a machine would have less than one session in flight, through all load balancers.

    Then it can carry them even if it does one thing at a time: with requests at random and a load r it has
    r/(1 - r) sessions in flight; if these are fewer than 1/k, then k times its load is less than k/(k + 1).
    """
    return sum(row.sessions_then for row in rows) < IDLE_SESSIONS


def is_machine_proven(rows: Sequence[Survivor]) -> bool:
    """Return whether a machine has carried through one load balancer what it would through all of them."""
    rate, sessions = sum(row.rate_then for row in rows), sum(row.sessions_then for row in rows)
    return all(row.has_room for row in rows) and any(
        rate <= PEAK_SHARE * row.peak and sessions <= row.sessions_peak for row in rows
    )


def grade_group(group: Group, *, is_idle: bool, proven: Collection[object]) -> LoadForecast:
    """Grade what the servers of a group would carry.

    Args:
        group: the servers.
        is_idle: whether all machines would have next to nothing to do.
        proven: the machines that have carried as much through one load balancer.
    """
    forecast = _describe(group)
    if refused := _find_queue(forecast, group) or _find_shortage(forecast, group):
        return refused
    if is_idle:
        reason = "less than one session in flight per node"
        return replace(forecast, grade="proven", reason=reason)
    if all(row.is_proven or row.machine in proven for row in group.survivors):
        known = f"carried {format_number(forecast.carried)} before" if forecast.carried else "carried before"
        return replace(forecast, grade="proven", reason=known)
    return replace(forecast, reason=_explain_unproven(forecast, group.uptime))


def _describe(group: Group) -> LoadForecast:
    survivors, count = group.survivors, len(group.survivors)
    limits = [row.server.load.session_limit for row in survivors]
    known = [max(row.now.carried, row.peak) for row in survivors]
    if all(known):  # what they carry now, they have carried too
        known = [max(rate, row.now.rate) for rate, row in zip(known, survivors, strict=True)]
    return LoadForecast(
        instance=group.instance,
        backend=group.name,
        servers=count,
        active_servers=group.active_servers,
        rate=sum(row.now.rate for row in survivors) / count,
        rate_then=sum(row.rate_then for row in survivors) / count,
        sessions=sum(row.now.sessions for row in survivors) / count,
        sessions_then=sum(row.sessions_then for row in survivors) / count,
        limit=sum(limit or 0 for limit in limits) if all(limits) else None,
        carried=min(known) if all(known) else None,
        queue=group.queue,
        unit="conn/s" if group.backend is not None and group.backend.mode == "tcp" else "rps",
    )


def _explain_unproven(forecast: LoadForecast, uptime: int) -> str:
    if forecast.limit and forecast.all_sessions_then > LIMIT_SHARE * forecast.limit:
        sessions = format_number(forecast.all_sessions_then)
        return f"{sessions} of the {forecast.limit} sessions that `maxconn` allows"
    if forecast.carried:
        return f"carried {format_number(forecast.carried)} before"
    if uptime < MIN_UPTIME_S:
        return f"HAProxy has counted for {uptime / 60:.0f} min only"
    return "not carried before"


def _find_queue(forecast: LoadForecast, group: Group) -> LoadForecast | None:
    """Return the forecast as impossible if requests queue already."""
    samples, queued = group.queue_share
    often = samples >= MIN_QUEUE_SAMPLES and 2 * queued >= samples
    if not forecast.queue and not often:
        return None
    reason = f"{forecast.queue or 'some'} waiting in the queue already"
    return replace(forecast, grade="impossible", reason=reason, certain=often)


def _find_shortage(forecast: LoadForecast, group: Group) -> LoadForecast | None:
    """Return the forecast as impossible if `maxconn` does not leave enough room."""
    limit, sessions, now = forecast.limit, forecast.all_sessions_then, [row.now for row in group.survivors]
    if limit is not None and limit < ROOM_NEEDED * sessions:
        least = _least_mean(sessions, now, forecast.rate_then * forecast.servers)
        reason = f"{format_number(sessions)} sessions, and `maxconn` allows {limit}"
        certain = limit < ROOM_NEEDED * least
        return replace(forecast, grade="impossible", reason=reason, certain=certain)
    # They send a request to its server even when that one is full. All others pass over full servers.
    if algorithm_of(group.backend) not in HASH_ALGORITHMS:
        return None
    for row in group.survivors:
        own_limit, name = row.server.load.session_limit, row.server.ref.server
        if own_limit and row.sessions_then >= own_limit:
            certain = _least_mean(row.sessions_then, [row.now], row.rate_then) >= own_limit
            reason = (
                f"{format_number(row.sessions_then)} sessions on {name}, and its `maxconn` is {own_limit}"
            )
            return replace(forecast, grade="impossible", reason=reason, certain=certain)
    return None


def _least_mean(sessions: float, measured: Sequence[MeasuredLoad], rate: float) -> float:
    """Return what the mean number of sessions is at least, as it was measured in so many polls.

    Polls that follow faster than sessions end say the same again: of those only as many count as sessions
    could have been replaced meanwhile.
    """
    samples = min(load.samples for load in measured)
    duration_s = min(load.duration_s for load in measured)
    independent = min(samples, 1 + duration_s * rate / (2 * sessions)) if sessions else samples
    return sessions - 2 * math.sqrt(sessions / independent)


def format_number(value: float) -> str:
    """Format with one digit after the point if there is only one before it."""
    return f"{value:.1f}" if 0 < value < 9.95 and round(value, 1) != round(value) else f"{value:.0f}"
