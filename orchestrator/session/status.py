"""The status of an application beyond HAProxy: rollouts, versions, and who keeps a node out."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.local_files import describe_write_obstacle
from backends.model import Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.adapters import AdapterFactory
from orchestrator.balancers.admin_state import find_maintenance_reasons
from orchestrator.engine.final_state import find_removal_time as out_since
from orchestrator.engine.final_state import format_weight
from orchestrator.engine.out_of_rotation import find_out_followers
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.journal.entry_status import Identity, RolloutStatus, rollout_status, status_of
from orchestrator.journal.node_history import ManualChange, read_manual_changes
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
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.node import Node

Snapshots = Mapping[str, Snapshot | BackendError]


@dataclass(frozen=True, slots=True)
class KeptOut:
    """A server that was taken out of rotation.

    Attributes:
        by: "rollout", "hand" (with `rolldeck`), "others", or "haproxy": its configuration or name resolution.
        who: the operator, or the rollout, as far as known.
        words: the reasons in HAProxy.
        since: seconds since 1970; 0 where HAProxy does not know, such as of a weight.
        by_agent: whether its agent check may have done it: HAProxy does not tell that from an operator.
    """

    backend: str
    server: str
    by: Literal["rollout", "hand", "others", "haproxy"]
    who: str
    words: str
    since: float
    where: tuple[str, ...]
    by_agent: bool = False


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
    def unfinished(self) -> bool:
        """Whether a rollout has changed something and was not finished."""
        return any(rollout.standing == "unfinished" and rollout.touched for rollout in self.rollouts)


class StatusReader:
    """Reads the journal, the lock, Consul and the versions of nodes; it changes nothing.

    Args:
        settings: of all applications.
        app: the application.
        journal: the journal's file; the locks are in a folder beside it.
        consul: where there is one.
        adapters: makes those of nodes; the caller closes it.
        balancers: of the application.
        disks: reads versions on disk, for all applications.
    """

    def __init__(
        self,
        settings: Settings,
        app: str,
        journal: Path,
        consul: Consul | None,
        adapters: AdapterFactory,
        balancers: Sequence[LoadBalancer],
        disks: DiskVersions,
    ) -> None:
        self._settings = settings
        self._app = app
        self._own = settings.app(app)
        self._path = journal
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

    async def read(self, seen: Snapshots) -> ApplicationStatus:
        """Read everything else.

        Args:
            seen: the load balancers as they are.

        Raises:
            JournalError: the journal cannot be read.
        """
        app, status = self._app, ApplicationStatus()
        servers = [server for one in seen.values() if isinstance(one, Snapshot) for server in one.servers]
        with Journal(self._path, read_only=True) as journal:
            own = rollout_status(journal, app)
            known = known_versions(journal, app)
            left = unfinished_nodes(journal, app)
            manual = read_manual_changes(journal, app)
            status.problems += filter(None, [describe_write_obstacle(self._path)])
            status.problems += describe_unreadable_entries(journal, app)
            if own is not None and (own.touched or own.standing == "running"):
                status.rollouts.append(own)
            if self._consul is not None and self._settings.lock.kind == "consul":
                await self._see_others(self._consul, journal, status)
        running = {rollout.entry for rollout in status.rollouts if rollout.standing == "running"}
        out = {server.ref for server in servers if not server.in_rotation}
        status.left = [
            node for node in left.values() if node.entry.id not in running and _is_left(node, servers, out)
        ]
        if not running:
            status.holder = await FileLock.of(self._path.parent / "locks", app).holder()
        status.versions = await self._versions(servers, known)
        ours = {ref: f"rollout {node.entry.id}" for node in left.values() for ref in node.originals}
        status.kept_out = _find_kept_out(servers, status.published | ours, manual)
        followers, errors = await find_out_followers(self._balancers, out, beside=self._own.backends)
        status.kept_out += _find_followers(followers)
        status.problems += [
            f"servers that follow those of {app} in other backends cannot be read: {error}"
            for error in errors
        ]
        return status

    async def _versions(
        self, servers: Sequence[Server], known: Mapping[str, KnownVersion]
    ) -> list[NodeVersion]:
        """Read the versions of the nodes that can be found; `known` has those of the journal."""
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
            read_running_versions(nodes, sees=sees), self._disks.read(nodes)
        )
        versions = {node: NodeVersion(node, version, "health") for node, version in running.items()}
        for name, last in known.items():
            if last.version and name not in versions and (not names or name in names):
                versions[name] = NodeVersion(name, last.version, "journal", last.at)
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


def _is_left(node: UnfinishedNode, servers: Sequence[Server], out: Collection[ServerRef]) -> bool:
    """Return whether a server of an unfinished node is out of rotation, or has part of its weight."""
    return any(
        server.ref in out or is_lowered(server, node.originals[server.ref])
        for server in servers
        if server.ref in node.originals
    )


def _find_kept_out(
    servers: Sequence[Server], rollouts: Mapping[ServerRef, str], manual: Mapping[str, ManualChange]
) -> list[KeptOut]:
    """Return the servers that somebody has taken out; a failing check is no such reason."""
    groups: dict[tuple[str, str], list[Server]] = {}
    for server in servers:
        if any(
            owner.active and owner.who not in ("nobody", "agent")
            for owner in find_maintenance_reasons(server)
        ):
            groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    now = time.time()
    return [
        _make_kept_out(backend, name, own, rollouts, manual, now) for (backend, name), own in groups.items()
    ]


def _find_followers(followers: Sequence[Server]) -> list[KeptOut]:
    """Return servers of other backends that are out because they follow one of ours."""
    groups: dict[tuple[str, str], list[Server]] = {}
    for server in followers:
        groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    now = time.time()
    return [
        KeptOut(
            backend,
            name,
            "haproxy",
            "",
            "; ".join(dict.fromkeys(f"it follows {server.track_target}" for server in own)),
            round(now - min(server.last_change for server in own)),
            tuple(f"{server.ref.instance}: {server.status}" for server in own),
        )
        for (backend, name), own in groups.items()
    ]


def _make_kept_out(
    backend: str,
    name: str,
    servers: Sequence[Server],
    rollouts: Mapping[ServerRef, str],
    manual: Mapping[str, ManualChange],
    now: float,
) -> KeptOut:
    rollout = next((rollouts[server.ref] for server in servers if server.ref in rollouts), None)
    deciding = [
        owner
        for server in servers
        for owner in find_maintenance_reasons(server, rollouts.get(server.ref, ""))
        if owner.active
    ]
    since = out_since(servers, now)
    where = tuple(f"{server.ref.instance}: {server.admin_state}{format_weight(server)}" for server in servers)
    words = "; ".join(dict.fromkeys(owner.text for owner in deciding))
    by: Literal["rollout", "hand", "others", "haproxy"] = "others"
    who = ""
    if rollout is not None:
        by, who = "rollout", rollout
    elif name in manual:
        by, who, since = "hand", manual[name].operator, manual[name].at
    elif all(owner.who in ("configuration", "resolution", "tracked") for owner in deciding):
        by = "haproxy"
    by_agent = any(owner.who == "operator or agent" for owner in deciding)
    return KeptOut(backend, name, by, who, words, round(since), where, by_agent)
