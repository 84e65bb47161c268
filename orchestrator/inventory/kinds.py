"""The kinds of inventories: the configuration and files, which are in this module, and Consul.

To add a kind, add a module with its source to this package, and lines to this module.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.consul.catalog import ConsulService
from backends.consul.client import Consul
from backends.file_trust import Writers
from backends.kinds import FileInventory, read_nodes
from backends.protocols import Host
from orchestrator.inventory.consul import ConsulSource
from orchestrator.inventory.source import NodeSettings, NodeSource
from orchestrator.planning.findings import Finding, Severity


class StaticSource:
    """The nodes in the configuration. Implements `NodeSource`.

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


Decode = Callable[[Mapping[str, Any], str, str], Mapping[str, NodeSettings]]


class FileSource:
    """The nodes in a file. Implements `NodeSource`.

    The file is read when its application is opened, so that a broken one does not affect the others.

    Args:
        settings: which file, and how it is read.
        decode: makes nodes of its contents; see `Settings.decode_nodes`.
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
        """See `NodeSource`: which tool has read it, and its warnings."""
        return self._remarks


InventorySettings = FileInventory | ConsulService


def needs_consul(settings: InventorySettings | None) -> bool:
    """Return whether the nodes come from Consul, so that there has to be one."""
    return isinstance(settings, ConsulService)


def make_source(
    settings: InventorySettings | None,
    nodes: Mapping[str, NodeSettings],
    decode: Decode,
    consul: Consul | None,
    file: str,
    app: str,
    writers: Writers,
) -> NodeSource:
    """Return the source of an application's nodes.

    Args:
        settings: of the source; None for the configuration itself, or HAProxy if that has no nodes.
        nodes: that the configuration has.
        decode: makes nodes of the contents of a file.
        consul: where there is one.
        file: the configuration, for errors.
        app: the application.
        writers: who may write the configuration, and files that it names and that bring commands.
    """
    if isinstance(settings, FileInventory):
        return FileSource(settings, decode, file, f"apps.{app}.inventory", writers)
    if isinstance(settings, ConsulService) and consul is not None:
        return ConsulSource(consul, settings, file, app)
    return StaticSource(nodes)
