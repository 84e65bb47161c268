"""A group of an Ansible inventory as nodes: the file in either form, and the variables beside it."""

from pathlib import Path

import msgspec

from backends.inventories.ansible_beside import VariableFiles
from backends.inventories.ansible_ini import parse_ini
from backends.inventories.ansible_node import as_node
from backends.inventories.ansible_yaml import parse_yaml_inventory
from backends.inventories.source import Listing, locate, read_text

_YAML = (".yml", ".yaml", ".json")  # as Ansible has it; any other name is INI


class AnsibleInventory(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="ansible",
):
    """Of the configuration.

    Attributes:
        path: the inventory; relative to the folder of the configuration. In YAML if its name ends so.
        group: whose hosts are the nodes, those of the groups in it as well.
    """

    path: str
    group: str


def read_ansible(settings: AnsibleInventory, folder: Path, file: str, key: str) -> Listing:
    """The nodes of such a file; see `backends.inventories.kinds.read_nodes`."""
    path = locate(settings.path, folder, file, f"{key}.path")
    text, place = read_text(path, file, f"{key}.path"), str(path)
    groups = parse_yaml_inventory(text, place) if path.suffix in _YAML else parse_ini(text, place)
    beside = VariableFiles(path.parent)
    nodes = {
        host: as_node(host, groups.variables_of(host, beside), place)
        for host in groups.hosts_of(settings.group)
    }
    return Listing(place, "hosts", nodes)
