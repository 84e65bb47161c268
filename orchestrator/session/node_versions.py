"""Which version each node has: what runs, what is on disk."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backends.errors import BackendError
from orchestrator.node import Node
from orchestrator.session.versions import VersionTracker

ASK_SECONDS = 10.0  # for all versions that run; what has not answered then has the journal's word
DISK_SECONDS = 5.0  # for the log-ins to all nodes of an application


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


class Disks:
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
            async with asyncio.timeout(DISK_SECONDS):
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
    running, on_disk = await asyncio.gather(running_versions(nodes, sees=sees), Disks().look(nodes))
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
        async with asyncio.timeout(ASK_SECONDS):
            await versions.look(nodes)
    return dict(versions.by_node)


def with_disk(node: Node, known: NodeVersion | None, installed: str) -> NodeVersion:
    """What is known of a node, with the version on its disk."""
    if known is None:
        return NodeVersion(node.name, installed, "disk", on_disk=installed)
    # Of the package 1.5.0-1 the application itself may say 1.5.0.
    same = known.version in (installed, node.called(installed) if known.source == "health" else installed)
    return NodeVersion(known.node, known.version, known.source, known.at, installed, not same)
