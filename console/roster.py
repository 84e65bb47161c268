"""The nodes of an application: from the configuration, and from what load balancers have answered so far."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from backends.errors import BackendError, ConfigError
from backends.model import Snapshot
from console.inventory import Member, members
from orchestrator.fleet import Fleet
from orchestrator.node import Node
from orchestrator.settings import ApplicationSettings, NodeSettings

GRACE = 0.3  # seconds for the others, when the first load balancer has answered

Build = Callable[[Sequence[Member]], Awaitable[Sequence[Node]]]


class Roster:
    """Reads each load balancer once, side by side, and only if the configuration does not say it all.

    Args:
        settings: of the application.
        fleet: its load balancers.
        build: makes nodes of members.
        file: of the configuration, for errors.
        key: of the application in it, for errors.
    """

    def __init__(
        self, settings: ApplicationSettings, fleet: Fleet, build: Build, file: str, key: str
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._build = build
        self._file, self._key = file, key
        self._reads: dict[str, asyncio.Task[Snapshot | None]] = {}
        self._nodes: dict[str, Node] = {}  # each is built once for its place
        self._members: dict[str, Member] = {}  # of which they were built
        self._known: tuple[Node, ...] | None = None
        self._used = 0  # answers that `_known` is made of
        self._growing = asyncio.Lock()
        self._begin()

    def renew(self, nodes: dict[str, NodeSettings]) -> None:
        """Others than before: what `first` and `whole` return from now on."""
        if nodes != self._settings.nodes:
            self._settings = msgspec.structs.replace(self._settings, nodes=nodes)
            self._known = None
            self._begin()

    def _begin(self) -> None:
        if not _says_it_all(self._settings) and not self._reads:
            self._reads = {
                name: asyncio.create_task(self._read(name), name=f"inventory {name}")
                for name in self._fleet.balancers
            }

    async def first(self) -> tuple[Node, ...]:
        """Those that are known soon: one load balancer that hangs must not keep the console closed.

        Raises:
            ConfigError: the settings do not fit together, whatever was answered.
        """
        while self._waiting and not self._answers():
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=GRACE)
        while True:
            try:
                return await self._grow()
            except ConfigError:
                if not self._waiting:
                    raise
            await asyncio.wait(
                self._waiting, return_when=asyncio.FIRST_COMPLETED
            )  # it may tell what is missing

    async def whole(self) -> tuple[Node, ...]:
        """All of them: waits until every load balancer has answered or failed.

        One that does not answer is preflight's to report.

        Raises:
            ConfigError: the settings do not fit together.
        """
        if self._waiting:
            await asyncio.wait(self._waiting)
        return await self._grow()

    async def close(self) -> None:
        """End what is still being read."""
        for each in self._reads.values():
            each.cancel()
        await asyncio.gather(*self._reads.values(), return_exceptions=True)

    @property
    def _waiting(self) -> list[asyncio.Task[Snapshot | None]]:
        return [each for each in self._reads.values() if not each.done()]

    def _answers(self) -> list[Snapshot]:
        """In the order of the configuration."""
        done = (each.result() for each in self._reads.values() if each.done())
        return [each for each in done if each is not None]

    async def _grow(self) -> tuple[Node, ...]:
        async with self._growing:
            answers = self._answers()
            while self._known is None or len(answers) != self._used:
                settings = self._settings
                servers = [server for each in answers for server in each.servers]
                found = members(settings, servers, self._file, self._key)
                new = [each for each in found if self._members.get(each.name) != each]
                built = await self._build(new)
                self._nodes |= {each.name: each for each in built}
                self._members = {each.name: each for each in found}
                if settings is self._settings:  # not renewed meanwhile
                    known = tuple(self._nodes[each.name] for each in found)
                    self._known, self._used = known, len(answers)
            if not self._waiting:
                self._reads, self._used = {}, 0  # thousands of servers are not kept for nothing
            return self._known

    async def _read(self, name: str) -> Snapshot | None:
        try:
            return await self._fleet.balancers[name].snapshot(self._fleet.backends)
        except BackendError:
            return None


def _says_it_all(settings: ApplicationSettings) -> bool:
    """Whether the nodes and their places stand in the configuration."""
    nodes = settings.nodes.values()
    return bool(nodes) and all(each.address and (each.port or settings.port) for each in nodes)
