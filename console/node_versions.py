"""Which version each node has, for `rolldeck status`: what runs, what is on disk, what the journal knows."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.health.http import HttpHealth
from backends.model import Server
from console.completing import completed
from console.config import Config
from console.inventory import members
from console.running_versions import RunningVersions
from console.wiring import Wiring
from orchestrator.journal.known_versions import KnownVersion
from orchestrator.node import Node

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


async def node_versions(
    config: Config,
    app: str,
    consul: Consul | None,
    wiring: Wiring,
    servers: Sequence[Server],
    known: Mapping[str, KnownVersion],
    disks: Disks,
) -> list[NodeVersion]:
    """Ask the nodes of an application, as far as they can be found.

    Args:
        config: of all applications.
        app: which one.
        consul: where there is one.
        wiring: builds the adapters; closed by whoever has made it.
        servers: of its backends, on all load balancers.
        known: what the journal says of its nodes.
        disks: shared by all applications.
    """
    names: set[str] = set()
    nodes: list[Node] = []
    asks_health = False
    with contextlib.suppress(BackendError, ConfigError):  # whoever works on it is told
        settings = (await completed(config, app, consul)).app(app)
        places = members(settings, servers, config.file, f"apps.{app}")
        names = {place.name for place in places}
        health = settings.health
        asks_health = isinstance(health, HttpHealth) and health.check_from == "console" and health.has_version
        nodes = await wiring.nodes(app, settings, places)
    running, on_disk = await asyncio.gather(_running(nodes, sees=asks_health), disks.look(nodes))
    versions = {node: NodeVersion(node, version, "health") for node, version in running.items()}
    for name, last in known.items():
        if last.version and name not in versions and (not names or name in names):
            versions[name] = NodeVersion(name, last.version, "journal", last.at)
    for node in nodes:
        if installed := on_disk.get(node.name):
            versions[node.name] = with_disk(node, versions.get(node.name), installed)
    return [versions[name] for name in sorted(versions)]


async def look_at_versions(nodes: Sequence[Node], *, sees: bool) -> dict[str, str]:
    """See which version each of these nodes has, by the names that installers give to versions.

    Where the application itself says another one than there is on the disk, that is the one.

    Args:
        nodes: to ask; those that do not answer are left out.
        sees: see `RunningVersions`.
    """
    running, on_disk = await asyncio.gather(_running(nodes, sees=sees), Disks().look(nodes))
    found = dict(running)
    for node in nodes:
        if installed := on_disk.get(node.name):
            health = NodeVersion(node.name, running[node.name], "health") if node.name in running else None
            if not with_disk(node, health, installed).differs:
                found[node.name] = installed
    return found


async def _running(nodes: Sequence[Node], *, sees: bool) -> dict[str, str]:
    """By node, where its health tells the version and is asked from here."""
    versions = RunningVersions(sees=sees)
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
