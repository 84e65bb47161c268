"""The load of servers over the last seconds, from polls of their load balancers. No clock, no I/O.

One value of HAProxy says little: `scur` is what is in flight at one moment, and `rate` the last second. A
forecast is built on the mean of several polls.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from backends.haproxy.columns import Name, columns_of
from backends.model import Server, ServerRef, Snapshot

WINDOW_S = 10.0  # of the polls that count
MIN_RATE_WINDOW_S = 3.0  # with less, HAProxy's own rate of the last second is better
MIN_INTERVAL_S = 0.2  # between two polls that count
MAX_SERVERS = 500  # of one load balancer; with more, one moment of all of them says enough

GroupOf = Callable[[ServerRef], str]
"""Returns what servers have in common that carry the same, such as their version."""


class MeasuredLoad(NamedTuple):
    """The load of one server.

    Attributes:
        rate: new sessions per second.
        sessions: the mean number in flight.
        samples: in how many polls that was measured.
        duration_s: between the first and the last of them.
        carried: the highest rate that a server like this one was seen to carry while nothing queued; 0 when
            that is not known.
    """

    rate: float
    sessions: float
    samples: int = 1
    duration_s: float = 0.0
    carried: float = 0.0


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


class LoadHistory:
    """The polls of the last seconds, and what servers were seen to carry since the first one."""

    def __init__(self, group_of: GroupOf = lambda ref: "") -> None:
        self._group_of = group_of
        self._samples: dict[str, deque[_Sample]] = {}
        self._carried: dict[tuple[str, str, str], float] = {}  # rate for each unit of weight

    def add(self, snapshot: Snapshot, at: float) -> None:
        """Take note of the next snapshot of one load balancer, read at this time in monotonic seconds."""
        if len(snapshot.servers) > MAX_SERVERS:
            return
        instance = snapshot.info.instance
        samples = self._samples.setdefault(instance, deque())
        if samples and at - samples[-1].at < MIN_INTERVAL_S:
            return
        columns = columns_of(snapshot.servers)
        totals = dict(zip(columns.names, (counters.requests for counters in columns.counters), strict=True))
        if samples and any(total < samples[-1].totals.get(name, 0) for name, total in totals.items()):
            samples.clear()  # HAProxy was reloaded, or its counters were cleared
        queues = {backend.name: backend.queue for backend in snapshot.backends}
        for server in snapshot.servers:
            if server.queue:
                queues[server.ref.backend] = queues.get(server.ref.backend, 0) + server.queue
        samples.append(_Sample(at, totals, dict(zip(columns.names, columns.sessions, strict=True)), queues))
        while at - samples[0].at > WINDOW_S:
            samples.popleft()
        self._note_carried(snapshot)

    def measure(self, server: Server) -> MeasuredLoad:
        """Return the load of a server: over the last seconds if it is known, else as HAProxy has it now."""
        ref = server.ref
        name = ref.backend, ref.server
        samples = [found for found in self._samples.get(ref.instance, ()) if name in found.totals]
        carried = server.effective_weight * self._carried.get(self._key(ref), 0.0)
        if not samples:
            return MeasuredLoad(server.load.rate, server.sessions, carried=carried)
        duration_s = samples[-1].at - samples[0].at
        rate = float(server.load.rate)
        if duration_s >= MIN_RATE_WINDOW_S:
            rate = (samples[-1].totals[name] - samples[0].totals[name]) / duration_s
        sessions = sum(found.sessions[name] for found in samples) / len(samples)
        return MeasuredLoad(rate, sessions, len(samples), duration_s, carried)

    def queue_share(self, instance: str, backend: str) -> QueueShare:
        """Return in how many of the last polls something waited in a queue of a backend."""
        queues = [found.queues.get(backend, 0) for found in self._samples.get(instance, ())]
        return QueueShare(len(queues), sum(queue > 0 for queue in queues))

    def _key(self, ref: ServerRef) -> tuple[str, str, str]:
        return ref.instance, ref.backend, self._group_of(ref)

    def _note_carried(self, snapshot: Snapshot) -> None:
        """Note what servers of each group carry in this window, unless something queued meanwhile."""
        instance = snapshot.info.instance
        samples = self._samples[instance]
        duration_s = samples[-1].at - samples[0].at
        if duration_s < WINDOW_S / 2:
            return
        rates: dict[tuple[str, str, str], tuple[float, int]] = {}
        for server in snapshot.servers:
            name = server.ref.backend, server.ref.server
            if server.in_rotation and not server.backup and name in samples[0].totals:
                rate, weight = rates.get(self._key(server.ref), (0.0, 0))
                grown = samples[-1].totals[name] - samples[0].totals[name]
                rates[self._key(server.ref)] = rate + grown / duration_s, weight + server.effective_weight
        for key, (rate, weight) in rates.items():
            if not self.queue_share(instance, key[1]).queued:
                self._carried[key] = max(rate / weight, self._carried.get(key, 0.0))
