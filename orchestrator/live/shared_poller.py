"""One reader for each HAProxy, shared by all applications behind it; each application gets its own view."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from backends.errors import PermissionDenied, Refused
from backends.haproxy.address import HaproxySettings
from backends.haproxy.slices import SnapshotSlices
from backends.model import Snapshot
from backends.protocols import Clock, LoadBalancer
from backends.text import absent
from orchestrator.balancers.group import BalancerGroup
from orchestrator.live.balancer_reader import BalancerReader
from orchestrator.live.poller import LiveView

SEARCH_INTERVAL_S = 30.0  # seconds between two reads that look for backends that were not there

MakeBalancer = Callable[[str, HaproxySettings], LoadBalancer]
"""Makes the adapter of a load balancer, from its name and settings."""


class SharedPoller:
    """Polls the load balancers of several applications, each of them once, while `run` runs.

    Applications that use the same load balancer share what is read of it. A failure becomes part of the
    views, never an exception; a backend that is missing concerns only the applications that need it.

    Args:
        make_balancer: makes the adapter of a load balancer.
        clock: the time.
        interval: seconds between the beginnings of two polls of one load balancer.
    """

    def __init__(self, make_balancer: MakeBalancer, clock: Clock, *, interval: float = 1.0) -> None:
        self._make_balancer = make_balancer
        self._clock = clock
        self._interval = interval
        self._endpoints: list[_Endpoint] = []
        self._tasks: asyncio.TaskGroup | None = None

    def add(self, haproxy: Mapping[str, HaproxySettings], backends: Sequence[str]) -> LiveView:
        """Return the view of an application from now on.

        Args:
            haproxy: its load balancers, by name.
            backends: its backends.
        """
        view = LiveView(haproxy, self._clock)
        for name, settings in haproxy.items():
            self._endpoint(name, settings).add(_Part(view, tuple(backends)))
        return view

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            for endpoint in self._endpoints:
                self._start(endpoint)
            await asyncio.get_running_loop().create_future()  # applications may still be added

    def _endpoint(self, name: str, settings: HaproxySettings) -> "_Endpoint":
        for endpoint in self._endpoints:
            if (endpoint.name, endpoint.settings) == (name, settings):
                return endpoint
        endpoint = _Endpoint(name, settings, self._make_balancer(name, settings), self._clock)
        self._endpoints.append(endpoint)
        if self._tasks is not None:
            self._start(endpoint)
        return endpoint

    def _start(self, endpoint: "_Endpoint") -> None:
        if self._tasks is not None:
            self._tasks.create_task(endpoint.run(self._interval), name=f"watch {endpoint.name}")


@dataclass(frozen=True, slots=True)
class _Part:
    """What one application needs of an endpoint."""

    view: LiveView
    backends: tuple[str, ...]


class _Endpoint:
    """One load balancer, and the applications behind it."""

    def __init__(self, name: str, settings: HaproxySettings, balancer: LoadBalancer, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self._group = BalancerGroup([balancer], ())
        self._clock = clock
        self._parts: list[_Part] = []
        self._missing: frozenset[str] = frozenset()  # backends that were not there
        self._searched_at = 0.0  # monotonic seconds

    def add(self, part: _Part) -> None:
        self._parts.append(part)

    async def run(self, interval: float) -> None:
        reader = BalancerReader(self.name, self._read, self._take, self._fail, self._clock, interval)
        await reader.run()

    async def _read(self) -> Snapshot:
        """Read the backends of all applications.

        A backend that is missing would fail the read for all of them, so those that are there are read
        without it; every `SEARCH_INTERVAL_S` it is looked for.
        """
        wanted = list(dict.fromkeys(name for part in self._parts for name in part.backends))
        now = self._clock.monotonic()
        if now - self._searched_at < SEARCH_INTERVAL_S:
            asked = [name for name in wanted if name not in self._missing]
        else:
            asked = wanted
        if asked:
            try:
                return await self._group.read(self.name, asked)
            except PermissionDenied:
                raise
            except Refused:
                pass  # one of them is missing
        every = await self._group.read(self.name, ())
        self._missing = frozenset(SnapshotSlices(every).missing(wanted))
        self._searched_at = now
        return every

    def _take(self, snapshot: Snapshot) -> None:
        slices = SnapshotSlices(snapshot)
        for part in self._parts:
            if missing := slices.missing(part.backends):
                part.view.fail(self.name, f"No such backend. {self._describe(missing, snapshot)}")
            else:
                part.view.take(self.name, slices.cut(part.backends))

    @staticmethod
    def _describe(missing: Collection[str], snapshot: Snapshot) -> str:
        return absent(missing, [backend.name for backend in snapshot.backends])

    def _fail(self, why: str) -> None:
        for part in self._parts:
            part.view.fail(self.name, why)
