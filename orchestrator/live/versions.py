"""Which version each node has: what runs, as far as that is seen without a log-in, and what is on disk."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backends.errors import BackendError
from orchestrator.events.events import NodeDone, Record
from orchestrator.node import Node

MAX_CONCURRENT_CHECKS = 16  # looks
HEALTH_TIMEOUT_S = 10.0  # for all versions that run; what has not answered then has the journal's word
DISK_TIMEOUT_S = 5.0  # for the log-ins to all nodes of an application


class VersionTracker:
    """Of one application.

    Args:
        sees: own health tells the version that runs, and is asked from this machine; elsewhere only preflight
            looks.

    Attributes:
        by_node: as it was seen last.
        sees: as it was given.
    """

    def __init__(self, *, sees: bool) -> None:
        self.by_node: dict[str, str] = {}
        self.sees = sees

    def learn(self, record: Record, version: str) -> None:
        """Of a rollout to this version: a node that is done has it, or the one that its event tells."""
        if isinstance(record.event, NodeDone):
            self.by_node[record.event.node] = record.event.version or version

    def words(self) -> str:
        """The versions and on how many nodes they run; empty when none was seen."""
        counted = Counter(self.by_node.values())
        return ", ".join(f"{version} on {count}" for version, count in counted.most_common())

    async def look(self, nodes: Sequence[Node]) -> None:
        """See which version runs on these nodes."""
        if not self.sees:
            return
        slots = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)

        async def look(node: Node) -> None:
            async with slots:
                seen = await node.health.check()
            if seen.version is not None:
                self.by_node[node.name] = seen.version
            else:
                self.by_node.pop(node.name, None)  # better no version than an old one

        await asyncio.gather(*(look(node) for node in nodes))


@dataclass(frozen=True, slots=True)
class NodeVersion:
    """Which version a node has, and who says so.

    Attributes:
        version: empty where nobody knows.
        source: "health": the application itself, now; "journal": when we last had to do with it; "disk": it
            is installed, and nobody knows what runs.
        at: when the journal knew it, seconds since 1970; 0 for now.
        on_disk: the installed one, now; empty where that could not be seen, or nothing is installed.
        differs: whether the version on disk is another one than `version`.
    """

    node: str
    version: str
    source: Literal["health", "journal", "disk"]
    at: float = 0.0
    on_disk: str = ""
    differs: bool = False


class DiskVersions:
    """Reads versions on disk. Once no node of an application has answered in time, no other is asked.

    Who may not log in to nodes from here waits once, and not for each of 40 applications.
    """

    def __init__(self) -> None:
        self._silent = False

    async def look(self, nodes: Sequence[Node]) -> dict[str, str]:
        """By node; those that do not answer, or have nothing installed, are left out."""
        found: dict[str, str] = {}
        if self._silent or not nodes:
            return found

        async def look(node: Node) -> None:
            with contextlib.suppress(BackendError):
                await node.host.connect()
                if (version := await node.installer.installed()) is not None:
                    found[node.name] = version

        try:
            async with asyncio.timeout(DISK_TIMEOUT_S):
                await asyncio.gather(*(look(node) for node in nodes))
        except TimeoutError:
            self._silent = not found
        return found


async def look_at_versions(nodes: Sequence[Node], *, sees: bool) -> dict[str, str]:
    """See which version each of these nodes has, by the names that installers give to versions.

    Where the application itself says another one than there is on the disk, that is the one.

    Args:
        nodes: to ask; those that do not answer are left out.
        sees: see `VersionTracker`.
    """
    running, on_disk = await asyncio.gather(running_versions(nodes, sees=sees), DiskVersions().look(nodes))
    found = dict(running)
    for node in nodes:
        if installed := on_disk.get(node.name):
            health = NodeVersion(node.name, running[node.name], "health") if node.name in running else None
            if not with_disk(node, health, installed).differs:
                found[node.name] = installed
    return found


async def running_versions(nodes: Sequence[Node], *, sees: bool) -> dict[str, str]:
    """By node, where its health tells the version and is asked from here."""
    versions = VersionTracker(sees=sees)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            await versions.look(nodes)
    return dict(versions.by_node)


def with_disk(node: Node, known: NodeVersion | None, installed: str) -> NodeVersion:
    """What is known of a node, with the version on its disk."""
    if known is None:
        return NodeVersion(node.name, installed, "disk", on_disk=installed)
    # Of the package 1.5.0-1 the application itself may say 1.5.0.
    same = known.version in (
        installed,
        node.reported_version(installed) if known.source == "health" else installed,
    )
    return NodeVersion(known.node, known.version, known.source, known.at, installed, not same)
