"""Servers and backends that are at their limit now. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from backends.haproxy.columns import columns_of
from backends.model import Snapshot
from backends.text import counted

HIGH_SHARE = 0.8  # of `maxconn`
MAX_NAMED = 8  # servers that a text names


@dataclass(frozen=True, slots=True)
class Saturation:
    """A backend on one load balancer in which requests wait, or servers are close to their limit.

    Attributes:
        instance: the load balancer.
        backend: the backend.
        queue: requests that wait, for any of its servers or for a certain one.
        servers: the servers that have at least four fifths of the sessions that their `maxconn` allows, with
            their sessions and this limit.
    """

    instance: str
    backend: str
    queue: int
    servers: tuple[tuple[str, int, int], ...]

    @property
    def text(self) -> str:
        """Describe it, without its place."""
        parts = [f"{counted(self.queue, 'request')} in the queue"] if self.queue else []
        parts += [
            f"{name} has {sessions} of {limit} sessions" for name, sessions, limit in self.servers[:MAX_NAMED]
        ]
        more = len(self.servers) - MAX_NAMED
        return "; ".join(parts) + (f"; {more} more servers likewise" if more > 0 else "")


def find_saturation(snapshot: Snapshot) -> Iterator[Saturation]:
    """Yield the backends of a load balancer that are saturated. Builds every server that has sessions."""
    queues = {backend.name: backend.queue for backend in snapshot.backends}
    busy: dict[str, list[tuple[str, int, int]]] = {}
    columns = columns_of(snapshot.servers)
    for index, sessions in enumerate(columns.sessions):
        if not sessions:
            continue  # it can have no queue either
        server = snapshot.servers[index]
        backend, name = server.ref.backend, server.ref.server
        queues[backend] = queues.get(backend, 0) + server.queue
        limit = server.load.session_limit
        if limit and server.receives_traffic and sessions >= HIGH_SHARE * limit:
            busy.setdefault(backend, []).append((name, sessions, limit))
    for backend, queue in queues.items():
        if queue or backend in busy:
            yield Saturation(snapshot.info.instance, backend, queue, tuple(busy.get(backend, ())))
