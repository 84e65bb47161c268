"""All inventories in files, chosen by `kind` in the configuration."""

import asyncio
from pathlib import Path

from backends.file_trust import Writers
from backends.inventories.ansible.reader import AnsibleInventory, read_ansible
from backends.inventories.common import InventoryFile
from backends.inventories.toml import TomlInventory, read_toml

FileInventory = TomlInventory | AnsibleInventory


async def read_nodes(
    settings: FileInventory, folder: Path, file: str, key: str, writers: Writers
) -> InventoryFile:
    """Read the nodes that an inventory's file names now, in its order.

    Args:
        settings: which file.
        folder: of the configuration, in which relative paths begin.
        file: the configuration, for errors.
        key: of the inventory in it, such as ``apps.shop.inventory``, for errors.
        writers: of the configuration: who else may write a file that brings commands as it does.

    Raises:
        ConfigError: of the configuration when the file cannot be read, else of what is wrong in the file.
    """
    match settings:
        case TomlInventory():
            return await asyncio.to_thread(read_toml, settings, folder, file, key, writers)
        case AnsibleInventory():
            return await read_ansible(settings, folder, file, key, writers)
