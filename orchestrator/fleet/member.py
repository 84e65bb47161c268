"""One application of the fleet: its view, its nodes, and what is known of their versions."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.protocols import Clock
from orchestrator.adapters import AdapterFactory
from orchestrator.fleet.journal_reader import JournalSummary
from orchestrator.fleet.rollout_line import RolloutLine, line_of_status
from orchestrator.fleet.row import ApplicationRow, count_versions, describe_balancers
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.journal.unfinished import KnownVersion
from orchestrator.live.availability import Availability, AvailabilityCounter
from orchestrator.live.traffic import Traffic, TrafficMeter
from orchestrator.live.versions import VersionTracker
from orchestrator.node import Node
from orchestrator.planning.application import find_freeze
from orchestrator.planning.server_pool import name_servers
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from backends.haproxy.columns import Name
    from orchestrator.inventory.source import NodeSettings
    from orchestrator.live.poller import FleetView, LiveView

RETRY_INTERVAL_S = 10.0  # seconds before nodes are asked for again after a failure
MAX_RESOLVED_SERVERS = 2_000  # of more, building all of them would keep a key waiting


class Member:
    """One application of the fleet.

    Args:
        settings: of all applications.
        name: of the application.
        consul: where there is one.
        clock: the time.

    Attributes:
        live: its view; None until its load balancers are known.
        problem: why its load balancers or nodes are not known, in words; else empty.
        nodes: those whose versions can be read; empty until they are resolved.
        versions: the running versions of nodes.
    """

    def __init__(self, settings: Settings, name: str, consul: Consul | None, clock: Clock) -> None:
        self.name = name
        self.settings = settings.app(name)
        self.live: LiveView | None = None
        self.problem = ""
        self.nodes: Sequence[Node] = ()
        self._config = settings
        self._freezes = settings.freezes_of(name)
        self._source = settings.source_of(name, consul)
        self._named: Mapping[str, NodeSettings] | None = None
        check = self.settings.health_check
        self.versions = VersionTracker(clock, sees=check.reports_version, version_regex=check.version_regex)
        self._asked = set[str]()  # nodes whose version was read
        self._names: Mapping[Name, str] = {}
        self._counter = AvailabilityCounter()
        self._meter = TrafficMeter()
        self._resolved: object = None  # the rows for which nodes were resolved
        self._failed_at = 0.0  # when that failed last; seconds of the loop
        self._counted: tuple[FleetView | None, object, Availability | None, Traffic]
        self._counted = (None, None, None, Traffic())

    # -- nodes and their versions -------------------------------------------------------------

    @property
    def needs_nodes(self) -> bool:
        """Whether the nodes behind its servers are to be resolved now."""
        if self.live is None or not (self.versions.sees or self._is_renamed):
            return False
        live = self.live.view.live
        if not 0 < sum(len(balancer.servers) for balancer in live) <= MAX_RESOLVED_SERVERS:
            return False
        if self.problem:
            return asyncio.get_running_loop().time() - self._failed_at > RETRY_INTERVAL_S
        return self._resolved != [balancer.rows for balancer in live]

    @property
    def _is_renamed(self) -> bool:
        """Whether nodes may be called otherwise than their servers."""
        own = self.settings
        return own.match == "address" or any(node.servers for node in own.nodes.values())

    async def resolve_nodes(self, adapters: AdapterFactory) -> None:
        """Find the nodes behind the servers of its view.

        Args:
            adapters: makes the adapters of nodes; the caller closes it.
        """
        if self.live is None:
            return
        live = self.live.view.live
        views = [balancer.servers for balancer in live]
        try:
            if self._named is None or self._source.watch() is not None:
                self._named = await self._source.read()
            key, port = self._config.nodes_key(self.name), self.settings.port
            servers = [server for servers in views for server in servers]
            specs = resolve_nodes(self._named, servers, self._config.file, key, port)
            self.nodes = await adapters.nodes(self.name, self.settings, self._source, specs)
            self._names = name_servers(views, self.nodes, self.settings.match, self._names)
            self.problem = ""
            if not self.versions.sees:
                self.nodes = ()
        except (BackendError, ConfigError) as error:
            self.problem, self._failed_at = str(error), asyncio.get_running_loop().time()
        self._resolved = [balancer.rows for balancer in live]

    def known_versions(self, journal: Mapping[str, KnownVersion]) -> Mapping[str, str]:
        """Return the version of each node as far as it is known, from the newest source that knows it.

        Args:
            journal: what the journal knows, by node.
        """
        found = dict(self.versions.by_node)
        for node, known in journal.items():
            if node not in found or known.at > self.versions.known_at(node):
                found[node] = self.versions.find_reported(known.version)
        return found

    @property
    def knows_versions(self) -> bool:
        """Whether the running version of each node was read once, as far as it can be."""
        return not self.needs_nodes and all(node.name in self._asked for node in self.nodes)

    async def read_versions(self, nodes: Sequence[Node]) -> None:
        """Read which version runs on these nodes."""
        self._asked.update(node.name for node in nodes)
        with contextlib.suppress(BackendError):
            await self.versions.read(nodes)

    # -- its row ------------------------------------------------------------------------------

    def row(self, summary: JournalSummary, running: RolloutLine | None, now: float) -> ApplicationRow:
        """Return its row.

        Args:
            summary: what the journal says of it.
            running: a rollout that is seen to run; None without one.
            now: seconds since 1970.
        """
        availability, traffic = self._count()
        line = running
        if line is None and summary.rollout is not None:
            line = line_of_status(summary.rollout)
        view = self.live.view if self.live is not None else None
        return ApplicationRow(
            self.name,
            availability,
            count_versions(availability, self.known_versions(summary.versions)),
            traffic,
            line,
            find_freeze(self._freezes, now) if self._freezes else None,
            (describe_balancers(view) if view is not None else "") or self.problem,
        )

    def _count(self) -> tuple[Availability | None, Traffic]:
        """Count what its view has; the same view is counted once."""
        view = self.live.view if self.live is not None else None
        if self._counted[0] is not view or self._counted[1] is not self._names:
            availability = self._counter.count(view, self._names) if view is not None else None
            traffic = self._meter.measure(view) if view is not None else Traffic()
            self._counted = (view, self._names, availability, traffic)
        return self._counted[2], self._counted[3]
