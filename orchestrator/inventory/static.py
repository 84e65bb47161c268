"""Nodes that the configuration names, completed by what HAProxy knows."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.kinds import FileInventory, read_nodes
from backends.model import Server
from backends.protocols import Host
from backends.templates import check_host, check_port, check_value
from orchestrator.inventory.source import NodeSettings
from orchestrator.planning.findings import Finding, Severity


class StaticSource:
    """Nodes that stand in the configuration. Implements `NodeSource`.

    Args:
        nodes: by name. Without any, every server in HAProxy is a node.
    """

    name = "the configuration"
    confirms_changes = False

    def __init__(self, nodes: Mapping[str, NodeSettings]) -> None:
        self._nodes = nodes

    async def read(self) -> Mapping[str, NodeSettings]:
        """See `NodeSource`."""
        return self._nodes

    def watch(self) -> None:
        """See `NodeSource`: it never changes."""

    def registration(self, node: str, host: Host, values: Mapping[str, str]) -> None:
        """See `NodeSource`: there is none."""

    def remarks(self) -> Sequence[Finding]:
        """See `NodeSource`: there is nothing to say."""
        return ()


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node by name and place, before anything is opened."""

    name: str
    address: str
    port: int
    servers: tuple[str, ...]
    settings: NodeSettings


def resolve_nodes(
    named: Mapping[str, NodeSettings], servers: Iterable[Server], file: str, key: str, port: int = 0
) -> list[NodeSpec]:
    """The nodes in the order of their source, or of HAProxy when that is the inventory. Pure.

    Args:
        named: by the configuration, or another source; may be empty.
        servers: what was read from HAProxy; may be empty when the source says it all.
        file: of the configuration, for errors.
        key: of the nodes in it, for errors.
        port: of nodes that have none of their own; 0: as HAProxy has it.

    Raises:
        ConfigError: an address or port that neither the source nor HAProxy tells.
    """
    servers = list(servers)
    if not named:
        _one_place_each(servers, file, key)
    known = _by_name(servers)
    nodes = named or {server.ref.server: NodeSettings() for server in servers if not server.empty_slot}
    result = []
    for name, settings in nodes.items():
        names = tuple(settings.servers) or (name,)
        seen = next((known[server] for server in names if server in known), None)
        address = settings.address or (seen.address if seen else "")
        own_port = settings.port or port or (seen.port if seen else 0)
        for field, value in (("address", address), ("port", own_port)):
            if not value:
                raise ConfigError(
                    file,
                    f"{key}.{name}.{field}",
                    f"missing, and HAProxy does not report it for {' or '.join(names)}",
                )
        with _located(file, f"{key}.{name}"):
            check_value("name", name)
            check_host("address", address)
            check_port("port", own_port)
        result.append(NodeSpec(name, address, own_port, names, settings))
    return result


def _one_place_each(servers: Iterable[Server], file: str, key: str) -> None:
    """With HAProxy as the inventory a server's name is the node's: it must not mean two machines."""
    places: dict[str, set[str]] = {}
    for server in servers:
        if server.address:
            places.setdefault(server.ref.server, set()).add(f"{server.address}:{server.port}")
    for name, found in places.items():
        if len(found) > 1:
            raise ConfigError(
                file,
                key,
                f"missing, and server {name!r} in HAProxy is several places: {', '.join(sorted(found))};"
                " name each node and its `servers`",
            )


@contextmanager
def _located(file: str, key: str) -> Iterator[None]:
    """What HAProxy said goes into commands, as the configuration's does. Errors name the whole key."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(file, f"{key}.{error.key}", error.problem) from None


def _by_name(servers: Iterable[Server]) -> Mapping[str, Server]:
    """Server lines by "web1" and by "backend/web1"; of several the first that was read."""
    known: dict[str, Server] = {}
    for server in servers:
        known.setdefault(server.ref.server, server)
        known.setdefault(f"{server.ref.backend}/{server.ref.server}", server)
    return known


Decode = Callable[[Mapping[str, Any], str, str], Mapping[str, NodeSettings]]


class FileSource:
    """Reads the file when an application is worked on: one that is broken is no matter of the others.

    Implements `NodeSource`.

    Args:
        settings: which file, and how it is read.
        decode: makes nodes of what stands in it; see `Settings.decode_nodes`.
        file: the configuration, for errors; a relative path begins in its folder.
        key: of the inventory in it, for errors.
        writers: who may write the configuration, and files that it names and that bring commands.
    """

    name = "the inventory"
    confirms_changes = False

    def __init__(
        self, settings: FileInventory, decode: Decode, file: str, key: str, writers: Writers
    ) -> None:
        self._settings = settings
        self._decode = decode
        self._file, self._key = file, key
        self._writers = writers
        self._remarks: tuple[Finding, ...] = ()

    async def read(self) -> Mapping[str, NodeSettings]:
        """See `NodeSource`."""
        folder = Path(self._file).parent
        found = await read_nodes(self._settings, folder, self._file, self._key, self._writers)
        if found.reader:
            read_by = Finding(Severity.INFO, "inventory", f"{found.file} was read by {found.reader}")
            texts = (f"{found.file}: {warning}" for warning in found.warnings)
            self._remarks = (read_by, *(Finding(Severity.WARNING, "inventory", text) for text in texts))
        return await asyncio.to_thread(self._decode, found.nodes, found.file, found.key)

    def watch(self) -> None:
        """See `NodeSource`: it is read once."""

    def registration(self, node: str, host: Host, values: Mapping[str, str]) -> None:
        """See `NodeSource`: there is none."""

    def remarks(self) -> Sequence[Finding]:
        """See `NodeSource`: who has read it, and what was odd."""
        return self._remarks
