"""The status of an application beyond HAProxy: rollouts, versions, and who keeps a node out."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.local_files import describe_write_obstacle
from backends.model import Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.adapters import AdapterFactory
from orchestrator.engine.out_of_rotation import find_out_followers
from orchestrator.errors import JournalError
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.journal.entry_status import Identity, RolloutStatus, rollout_status, status_of
from orchestrator.journal.manual_changes import read_manual_changes
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import (
    KnownVersion,
    UnfinishedNode,
    describe_unreadable_entries,
    find_unfinished_originals,
    known_versions,
    unfinished_nodes,
)
from orchestrator.live.versions import (
    DiskVersions,
    NodeVersion,
    compare_with_disk,
    name_as_reported,
    read_running_versions,
)
from orchestrator.locks.file import FileLock, Holder
from orchestrator.planning.ramp import is_lowered
from orchestrator.planning.server_pool import drop_ignored_slots
from orchestrator.remote.rollout import RolloutSubscriber
from orchestrator.remote.takeover import find
from orchestrator.session.kept_out import KeptOut, find_kept_out, list_kept_followers
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.node import Node

Snapshots = Mapping[str, Snapshot | BackendError]


@dataclass(slots=True)
class ApplicationStatus:
    """The status of one application.

    Attributes:
        problems: what could not be read, or why nothing can be written to the journal, in words.
        holder: of the lock, if no rollout runs that is known.
    """

    rollouts: list[RolloutStatus] = field(default_factory=list)
    holder: Holder | None = None
    left: list[UnfinishedNode] = field(default_factory=list)
    versions: list[NodeVersion] = field(default_factory=list)
    kept_out: list[KeptOut] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    published: dict[ServerRef, str] = field(default_factory=dict)  # servers out by other machines' rollouts

    @property
    def running(self) -> set[int]:
        """The numbers of the rollouts that run; 0: one of another machine."""
        return {rollout.entry for rollout in self.rollouts if rollout.standing == "running"}

    @property
    def unfinished(self) -> bool:
        """Whether a rollout has changed something and was not finished."""
        return any(rollout.standing == "unfinished" and rollout.touched for rollout in self.rollouts)


class SharedJournal:
    """The journal as several applications read it: opened, and checked for damage, at the first question.

    Args:
        path: of its file.
        check: see `Journal`.
    """

    def __init__(self, path: Path, *, check: bool) -> None:
        self.path = path
        self._check = check
        self._opened: Journal | JournalError | None = None

    def open(self) -> Journal:
        """Return the open journal. Raises JournalError, and the same one again."""
        if self._opened is None:
            try:
                self._opened = Journal(self.path, read_only=True, check=self._check)
            except JournalError as error:
                self._opened = error
        if isinstance(self._opened, JournalError):
            raise self._opened
        return self._opened

    def close(self) -> None:
        """Close it, if it was opened."""
        if isinstance(self._opened, Journal):
            self._opened.close()


class StatusReader:
    """Reads the journal, the lock, Consul and the versions of nodes; it changes nothing.

    Args:
        settings: of all applications.
        app: the application.
        journal: of all applications; the locks are in a folder beside it.
        consul: where there is one.
        adapters: makes those of nodes; the caller closes it.
        balancers: of the application.
        disks: reads versions on disk, for all applications.
    """

    def __init__(
        self,
        settings: Settings,
        app: str,
        journal: SharedJournal,
        consul: Consul | None,
        adapters: AdapterFactory,
        balancers: Sequence[LoadBalancer],
        disks: DiskVersions,
    ) -> None:
        self._settings = settings
        self._app = app
        self._own = settings.app(app)
        self._journal = journal
        self._consul = consul
        self._adapters = adapters
        self._balancers = balancers
        self._disks = disks
        self._source = settings.source_of(app, consul)

    async def read_balancers(self) -> dict[str, Snapshot | BackendError]:
        """Read each load balancer by itself, so that a dead one does not hide the others."""
        reads = (balancer.snapshot(self._own.backends) for balancer in self._balancers)
        results = await asyncio.gather(*reads, return_exceptions=True)
        seen: dict[str, Snapshot | BackendError] = {}
        for balancer, outcome in zip(self._balancers, results, strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, BackendError):
                raise outcome
            seen[balancer.name] = outcome
        return seen

    async def without_empty_slots(self, seen: Snapshots) -> dict[str, Snapshot | BackendError]:
        """Return the answers without the empty slots that do not count; one with the name of a node does."""
        snapshots = {instance: one for instance, one in seen.items() if isinstance(one, Snapshot)}
        servers = [server for snapshot in snapshots.values() for server in snapshot.servers]
        empty = [(server.ref.backend, server.ref.server) for server in servers if server.empty_slot]
        if not empty:
            return dict(seen)
        named: set[str] = set()
        with contextlib.suppress(BackendError, ConfigError):  # other commands report it
            if self._own.match == "name":
                nodes = (await self._source.read()).items()
                named = {line for name, node in nodes for line in (node.servers or (name,))}
        kept = {(backend, name) for backend, name in empty if {name, f"{backend}/{name}"} & named}
        return {**seen} | {
            instance: replace(snapshot, servers=drop_ignored_slots(snapshot.servers, kept))
            for instance, snapshot in snapshots.items()
        }

    async def read_briefly(self, seen: Snapshots) -> ApplicationStatus:
        """Read what one line says of the application: its rollouts, who holds its lock, and its versions.

        Nobody logs in to a node of which something else says a version, and a journal of years is read only
        where it matters.

        Args:
            seen: the load balancers as they are.

        Raises:
            JournalError: the journal cannot be read.
        """
        journal = self._journal.open()
        status = await self._rollouts(journal)
        known = partial(known_versions, journal, self._app)
        status.versions = await self._versions(_servers_of(seen), known, all_disks=False)
        return status

    async def read(self, seen: Snapshots) -> ApplicationStatus:
        """Read everything else.

        Args:
            seen: the load balancers as they are.

        Raises:
            JournalError: the journal cannot be read.
        """
        app, servers = self._app, _servers_of(seen)
        journal = self._journal.open()
        status = await self._rollouts(journal)
        known = known_versions(journal, app)
        left = unfinished_nodes(journal, app)
        manual = read_manual_changes(journal, app)
        out = {server.ref for server in servers if not server.in_rotation}
        running = status.running
        status.left = [
            node for node in left.values() if node.entry.id not in running and _is_left(node, servers, out)
        ]
        status.versions = await self._versions(servers, lambda: known, all_disks=True)
        ours = {ref: f"rollout {node.entry.id}" for node in left.values() for ref in node.originals}
        status.kept_out = find_kept_out(servers, status.published | ours, manual)
        followers, errors = await find_out_followers(self._balancers, out, beside=self._own.backends)
        status.kept_out += list_kept_followers(followers)
        status.problems += [
            f"servers that follow those of {app} in other backends cannot be read: {error}"
            for error in errors
        ]
        return status

    async def _rollouts(self, journal: Journal) -> ApplicationStatus:
        """Read the rollouts, the lock where none runs, and what is wrong with the journal."""
        app, status = self._app, ApplicationStatus()
        own = rollout_status(journal, app)
        status.problems += filter(None, [describe_write_obstacle(self._journal.path)])
        status.problems += describe_unreadable_entries(journal, app)
        if own is not None and (own.touched or own.standing == "running"):
            status.rollouts.append(own)
        if self._consul is not None and self._settings.lock.kind == "consul":
            await self._see_others(self._consul, journal, status)
        if not status.running:
            status.holder = await FileLock.of(self._journal.path.parent / "locks", app).holder()
        return status

    async def _versions(
        self,
        servers: Sequence[Server],
        known: Callable[[], Mapping[str, KnownVersion]],
        *,
        all_disks: bool,
    ) -> list[NodeVersion]:
        """Read the versions of the nodes that can be found.

        Args:
            servers: of the application.
            known: returns the versions of the journal.
            all_disks: log in to every node for the version on its disk, not only where no other is known.
        """
        settings, own, app = self._settings, self._own, self._app
        names: set[str] = set()
        nodes: list[Node] = []
        with contextlib.suppress(BackendError, ConfigError):  # other commands report it
            key = settings.nodes_key(app)
            specs = resolve_nodes(await self._source.read(), servers, settings.file, key, own.port)
            names = {spec.name for spec in specs}
            nodes = await self._adapters.nodes(app, own, self._source, specs)
        sees = bool(nodes) and own.health_check.reports_version
        running, on_disk = await asyncio.gather(
            read_running_versions(nodes, sees=sees), self._disks.read(nodes if all_disks else ())
        )
        versions = {node: NodeVersion(node, version, "health") for node, version in running.items()}
        if not names or names - versions.keys():
            for name, last in known().items():
                if last.version and name not in versions and (not names or name in names):
                    versions[name] = NodeVersion(name, last.version, "journal", last.at)
        if not all_disks:
            on_disk = await self._disks.read([node for node in nodes if node.name not in versions])
        for node in nodes:
            if installed := on_disk.get(node.name):
                versions[node.name] = compare_with_disk(node, versions.get(node.name), installed)
        regex = own.health_check.version_regex
        return [name_as_reported(found, regex) for _, found in sorted(versions.items())]

    async def _see_others(self, consul: Consul, journal: Journal, status: ApplicationStatus) -> None:
        """Add the published rollout of another machine, unless it is ours."""
        settings, app = self._settings.consul, self._app
        try:
            if settings is None:
                return
            following = RolloutSubscriber(consul, settings.prefix, app, await settings.signer(app))
            seen = await following.read()
        except (BackendError, ConfigError) as error:
            status.problems.append(f"rollouts of other machines: {error}")
            return
        if seen is None or seen.healthy:
            return
        if seen.doubt:
            status.problems.append(
                f"rollouts of other machines: key {following.key} is ignored: {seen.doubt}"
            )
            return
        if find(journal, seen.header, seen.records) is not None:
            return
        header = seen.header
        running = seen.held and seen.ended is None
        why = (
            f"{seen.ended.result}: {seen.ended.reason}"
            if seen.ended
            else "the rollout was interrupted and its lock has expired"
        )
        identity = Identity(
            app, header.kind, header.version, header.operator, header.host, header.pid, header.began
        )
        found = replace(status_of(identity, seen.records, why, running=running), source="consul")
        if running or found.touched:
            status.rollouts.append(found)
            for originals in find_unfinished_originals(seen.records).values():
                status.published |= dict.fromkeys(originals, f"the rollout of {header.operator}")


def _servers_of(seen: Snapshots) -> list[Server]:
    return [server for one in seen.values() if isinstance(one, Snapshot) for server in one.servers]


def _is_left(node: UnfinishedNode, servers: Sequence[Server], out: Collection[ServerRef]) -> bool:
    """Return whether a server of an unfinished node is out of rotation, or has part of its weight."""
    return any(
        server.ref in out or is_lowered(server, node.originals[server.ref])
        for server in servers
        if server.ref in node.originals
    )
