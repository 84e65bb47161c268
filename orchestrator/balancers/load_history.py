"""The load of servers over the last seconds, from polls of their load balancers. No clock, no I/O.

One value of HAProxy says little: `scur` is what is in flight at one moment, and `rate` the last second. A
forecast is built on the mean of several polls.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from backends.haproxy.columns import Columns, Name, columns_of
from backends.model import Server, ServerRef, Snapshot

WINDOW_S = 10.0  # of the polls that count
MIN_RATE_WINDOW_S = 3.0  # with less, HAProxy's own rate of the last second is better
MIN_INTERVAL_S = 0.9  # between two polls that count
MAX_SERVERS = 500  # of one load balancer; with more, one moment of all of them says enough
MAX_QUEUES = 100  # servers with sessions that are built to read their queue

GroupOf = Callable[[ServerRef], str]
"""Returns what servers have in common that carry the same, such as their version."""


class MeasuredLoad(NamedTuple):
    """The load of one server.

    Attributes:
        rate: new sessions per second.
        sessions: the mean number in flight.
        samples: in how many polls that was measured.
        duration_s: between the first and the last of them.
        carried: the highest mean rate that a server like this one was seen to carry while nothing queued; 0
            when that is not known.
        carried_sessions: likewise of sessions in flight.
    """

    rate: float
    sessions: float
    samples: int = 1
    duration_s: float = 0.0
    carried: float = 0.0
    carried_sessions: float = 0.0


class QueueShare(NamedTuple):
    """In how many polls something waited in a queue.

    Attributes:
        samples: all polls.
        queued: those with a queue.
    """

    samples: int
    queued: int


class _Sample(NamedTuple):
    at: float
    totals: Mapping[Name, int]
    sessions: Mapping[Name, int]
    queues: Mapping[str, int]  # by backend


class _Carried(NamedTuple):
    """For each unit of weight."""

    rate: float = 0.0
    sessions: float = 0.0


class LoadHistory:
    """The polls of the last seconds, and what servers were seen to carry since the first one."""

    def __init__(self, group_of: GroupOf = lambda ref: "", *, min_interval_s: float = MIN_INTERVAL_S) -> None:
        self._group_of = group_of
        self._min_interval_s = min_interval_s
        self._samples: dict[str, deque[_Sample]] = {}
        self._serving: dict[str, tuple[frozenset[Name], float]] = {}  # which servers take traffic, since when
        self._carried: dict[tuple[str, str, str], _Carried] = {}

    def add(self, snapshot: Snapshot, at: float) -> bool:
        """Take note of the next snapshot of one load balancer.

        Args:
            snapshot: of all servers that are measured.
            at: when it was read, in monotonic seconds.

        Returns:
            Whether it counts: one that follows the last one too soon does not.
        """
        instance = snapshot.info.instance
        samples = self._samples.setdefault(instance, deque())
        too_soon = samples and at - samples[-1].at < self._min_interval_s
        if too_soon or len(snapshot.servers) > MAX_SERVERS:
            return not too_soon
        columns = columns_of(snapshot.servers)
        totals = dict(zip(columns.names, (counters.requests for counters in columns.counters), strict=True))
        if samples and any(total < samples[-1].totals.get(name, 0) for name, total in totals.items()):
            samples.clear()  # HAProxy was reloaded, or its counters were cleared
        sessions = dict(zip(columns.names, columns.sessions, strict=True))
        samples.append(_Sample(at, totals, sessions, count_queues(snapshot)))
        while at - samples[0].at > WINDOW_S:
            samples.popleft()
        heads = {first: snapshot.servers[first] for first in set(columns.alike)}
        taking = {first for first, server in heads.items() if server.receives_traffic}
        alike = zip(columns.names, columns.alike, strict=True)
        serving = frozenset(name for name, first in alike if first in taking)
        if self._serving.get(instance, (None, 0.0))[0] != serving:
            self._serving[instance] = serving, at
        self._note_carried(instance, columns, heads)
        return True

    def measure(self, server: Server) -> MeasuredLoad:
        """Return the load of a server: over the last seconds if it is known, else as HAProxy has it now."""
        ref = server.ref
        name = ref.backend, ref.server
        samples = [one for one in self._samples.get(ref.instance, ()) if name in one.totals]
        since = self._serving.get(ref.instance, (None, 0.0))[1]
        recent = [one for one in samples if one.at >= since]
        if recent and recent[-1].at - recent[0].at >= MIN_RATE_WINDOW_S:
            samples = recent  # since the last change of what is in rotation
        found = self._carried.get(self._key(ref), _Carried())
        carried, carried_sessions = (server.effective_weight * amount for amount in found)
        if not samples:
            return MeasuredLoad(server.load.rate, server.sessions, 1, 0.0, carried, carried_sessions)
        duration_s = samples[-1].at - samples[0].at
        rate = float(server.load.rate)
        if duration_s >= MIN_RATE_WINDOW_S:
            rate = (samples[-1].totals[name] - samples[0].totals[name]) / duration_s
        sessions = sum(one.sessions[name] for one in samples) / len(samples)
        return MeasuredLoad(rate, sessions, len(samples), duration_s, carried, carried_sessions)

    def queue_share(self, instance: str, backend: str) -> QueueShare:
        """Return in how many of the last polls something waited in a queue of a backend."""
        queues = [one.queues.get(backend, 0) for one in self._samples.get(instance, ())]
        return QueueShare(len(queues), sum(queue > 0 for queue in queues))

    def _key(self, ref: ServerRef) -> tuple[str, str, str]:
        return ref.instance, ref.backend, self._group_of(ref)

    def _note_carried(self, instance: str, columns: Columns, heads: Mapping[int, Server]) -> None:
        """Note what servers of each group carry in this window, unless something queued meanwhile."""
        samples = self._samples[instance]
        duration_s = samples[-1].at - samples[0].at
        if duration_s < WINDOW_S / 2:
            return
        sums: dict[tuple[str, str, str], list[float]] = {}
        for name, first in zip(columns.names, columns.alike, strict=True):
            if heads[first].in_rotation and not heads[first].backup and name in samples[0].totals:
                added = sums.setdefault(self._key(ServerRef(instance, *name)), [0.0, 0.0, 0.0])
                added[0] += (samples[-1].totals[name] - samples[0].totals[name]) / duration_s
                added[1] += sum(one.sessions.get(name, 0) for one in samples) / len(samples)
                added[2] += heads[first].effective_weight
        for key, (rate, sessions, weight) in sums.items():
            if not self.queue_share(instance, key[1]).queued:
                before = self._carried.get(key, _Carried())
                self._carried[key] = _Carried(
                    max(before.rate, rate / weight), max(before.sessions, sessions / weight)
                )


def count_queues(snapshot: Snapshot) -> dict[str, int]:
    """Return how many requests wait, by backend: for any of its servers, or for a certain one."""
    queues = {backend.name: backend.queue for backend in snapshot.backends}
    busy = [index for index, sessions in enumerate(columns_of(snapshot.servers).sessions) if sessions]
    for index in busy[:MAX_QUEUES]:  # without a session, a server has no queue
        server = snapshot.servers[index]
        queues[server.ref.backend] = queues.get(server.ref.backend, 0) + server.queue
    return queues
