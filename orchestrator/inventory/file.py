"""Nodes that a file beside the configuration names: TOML, or an inventory of Ansible."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.file_trust import Writers
from backends.inventories.kinds import FileInventory, read_nodes
from backends.protocols import Host
from orchestrator.inventory.source import NodeSettings
from orchestrator.planning.plan import Finding, Severity

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
