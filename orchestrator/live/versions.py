"""The versions of each node: the running one, where it is known without a login, and the one on disk."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from backends.errors import BackendError
from backends.local_machine import SystemClock
from backends.protocols import Clock
from orchestrator.events.events import NodeDone, NodeStarted, Record, RolloutStarted, Waiting
from orchestrator.node import Node, find_reported_version

MAX_CONCURRENT_CHECKS = 16  # health checks at a time
HEALTH_TIMEOUT_S = 10.0  # for all nodes; for those that have not answered by then, the journal decides
DISK_TIMEOUT_S = 5.0  # for the log-ins to all nodes of an application


class VersionTracker:
    """Keeps the running version of each node of one application: what a node said last, and rollouts since.

    Args:
        clock: the time.
        sees: whether the health check reports the running version and runs on this machine; otherwise only
            preflight reads it.
        version_regex: see `HealthKind`.

    Attributes:
        by_node: the newest version that is known, by node, as the application calls it.
        sees: as it was given.
    """

    def __init__(self, clock: Clock, *, sees: bool, version_regex: str = "") -> None:
        self.by_node: dict[str, str] = {}
        self.sees = sees
        self._clock = clock
        self._version_regex = version_regex
        self._read_at: dict[str, float] = {}  # when each node was asked last, seconds since 1970
        self._learned: dict[str, Record] = {}  # the event from which the version of a node is known since
        self._targets: dict[str, str] = {}  # the version that its rollout brings to each node

    def learn(self, record: Record, version: str) -> None:
        """Learn from an event of a rollout to `version` which version a node had, or was proven on it.

        What the node has said itself since the event counts more.
        """
        match record.event:
            case RolloutStarted(before=before):
                for node, known in before.items():
                    if node not in self.by_node:
                        self._set(node, known, record)
            case NodeStarted(node=node, version=target):
                self._targets[node] = target
            case NodeDone(node=node, version=proven):
                self._set(node, proven or version, record)
            case Waiting(node=node, baking=True):  # in rotation, after all checks
                self._set(node, self._targets.get(node) or version, record)
            case _:
                pass

    def _set(self, node: str, version: str, record: Record) -> None:
        if record.at >= self._read_at.get(node, 0.0):
            self.by_node[node], self._learned[node] = self.find_reported(version), record

    def find_reported(self, version: str) -> str:
        """Return what the application calls the version of its package, as rollouts know it."""
        return find_reported_version(version, self._version_regex)

    def find_installed(self, journal: Mapping[str, str]) -> dict[str, str]:
        """Return the version of each node, as installers call it where that is known.

        Args:
            journal: the version by node that the journal knows; what is seen of a node counts more.
        """
        seen = {
            node: version
            for node, version in self.by_node.items()
            if node not in journal or self.find_reported(journal[node]) != version
        }
        return {**journal, **seen}

    def known_at(self, node: str) -> float:
        """Return since when the version of a node is known, or known not to be; 0 if it never was."""
        learned = self._learned.get(node)
        return learned.at if learned is not None else self._read_at.get(node, 0.0)

    def summary(self) -> str:
        """Return the versions and on how many nodes they run; empty when none is known."""
        counted = Counter(self.by_node.values())
        return ", ".join(f"{version} on {count}" for version, count in counted.most_common())

    async def read(self, nodes: Sequence[Node]) -> None:
        """Read which version runs on these nodes."""
        if not self.sees:
            return
        slots = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)

        async def read(node: Node) -> None:
            async with slots:
                asked_at, before = self._clock.time(), self._learned.get(node.name)
                version = await node.health.read_version()
            if self._learned.get(node.name) is not before:
                return  # a rollout has gone on meanwhile: the answer may be from before
            self._read_at[node.name] = asked_at
            self._learned.pop(node.name, None)
            if version is not None:
                self.by_node[node.name] = version
            else:
                self.by_node.pop(node.name, None)  # better no version than an old one

        await asyncio.gather(*(read(node) for node in nodes))


@dataclass(frozen=True, slots=True)
class NodeVersion:
    """The version of a node, and where it is known from.

    Attributes:
        version: the version; empty where it is unknown.
        source: "health": the application reports it now; "journal": it was so when the journal last had it;
            "disk": it is installed, and what runs is unknown.
        at: when the journal had it, in seconds since 1970; 0 for now.
        on_disk: the version that is installed now; empty where it is unknown, or nothing is installed.
        differs: whether the version on disk is another one than `version`.
    """

    node: str
    version: str
    source: Literal["health", "journal", "disk"]
    at: float = 0.0
    on_disk: str = ""
    differs: bool = False


class DiskVersions:
    """Reads versions on disk; once no node of an application has answered in time, no other is asked.

    Where nobody may log in to nodes from here, that costs one wait, and not one for each of 40 applications.
    """

    def __init__(self) -> None:
        self._silent = False

    async def read(self, nodes: Sequence[Node]) -> dict[str, str]:
        """Return the version by node; without those that do not answer, or have nothing installed."""
        found: dict[str, str] = {}
        if self._silent or not nodes:
            return found

        async def read(node: Node) -> None:
            with contextlib.suppress(BackendError):
                await node.host.connect()
                if (version := await node.installer.installed()) is not None:
                    found[node.name] = version

        try:
            async with asyncio.timeout(DISK_TIMEOUT_S):
                await asyncio.gather(*(read(node) for node in nodes))
        except TimeoutError:
            self._silent = not found
        return found


async def read_versions(nodes: Sequence[Node], *, sees: bool) -> dict[str, str]:
    """Read which version each of these nodes has, named as installers name versions.

    Where the application reports another version than the one on disk, the reported one counts.

    Args:
        nodes: the nodes; those that do not answer are left out.
        sees: see `VersionTracker`.
    """
    running, on_disk = await asyncio.gather(
        read_running_versions(nodes, sees=sees), DiskVersions().read(nodes)
    )
    found = dict(running)
    for node in nodes:
        if installed := on_disk.get(node.name):
            health = NodeVersion(node.name, running[node.name], "health") if node.name in running else None
            if not compare_with_disk(node, health, installed).differs:
                found[node.name] = installed
    return found


async def read_running_versions(nodes: Sequence[Node], *, sees: bool) -> dict[str, str]:
    """Read the running version by node, where the health check reports it and runs here."""
    versions = VersionTracker(SystemClock(), sees=sees)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            await versions.read(nodes)
    return dict(versions.by_node)


def compare_with_disk(node: Node, known: NodeVersion | None, installed: str) -> NodeVersion:
    """Return what is known of a node, with the version on its disk."""
    if known is None:
        return NodeVersion(node.name, installed, "disk", on_disk=installed)
    # The application in the package 1.5.0-1 may report 1.5.0.
    same = known.version in (
        installed,
        node.reported_version(installed) if known.source == "health" else installed,
    )
    return NodeVersion(known.node, known.version, known.source, known.at, installed, not same)


def name_as_reported(found: NodeVersion, version_regex: str) -> NodeVersion:
    """Return the same with the application's own name of the version, so that one version has one name.

    Where another version is on disk, both are named as they were found.
    """
    if found.differs:
        return found
    return replace(found, version=find_reported_version(found.version, version_regex))
