"""Which version each node has, for `rolldeck status`: what runs, what is on disk, what the journal knows."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.health.http import HttpHealth
from backends.model import Server
from console.completing import completed
from console.config.schema import Config
from console.inventory import members
from console.wiring import Wiring
from orchestrator.journal.known_versions import KnownVersion
from orchestrator.session.node_versions import Disks, NodeVersion, running_versions, with_disk

if TYPE_CHECKING:
    from orchestrator.node import Node


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
    running, on_disk = await asyncio.gather(running_versions(nodes, sees=asks_health), disks.look(nodes))
    versions = {node: NodeVersion(node, version, "health") for node, version in running.items()}
    for name, last in known.items():
        if last.version and name not in versions and (not names or name in names):
            versions[name] = NodeVersion(name, last.version, "journal", last.at)
    for node in nodes:
        if installed := on_disk.get(node.name):
            versions[node.name] = with_disk(node, versions.get(node.name), installed)
    return [versions[name] for name in sorted(versions)]
