"""A group of an Ansible inventory as nodes: the file in either form, and the variables beside it."""

import re
from pathlib import Path

import msgspec

from backends.errors import ConfigError
from backends.inventories.ansible.groups import Groups
from backends.inventories.ansible.ini_parser import parse_ini
from backends.inventories.ansible.node import build_node
from backends.inventories.ansible.variable_files import VariableFiles
from backends.inventories.ansible.yaml_parser import parse_yaml_inventory
from backends.inventories.common import InventoryFile, read_text, resolve_path

_YAML = (".yml", ".yaml", ".json")  # as Ansible has it; with another ending it is INI
_MAPPING = re.compile(r"---(?:\s|$)|[^\[#;=\s][^=\s]*:(?:\s|$)")  # a first line that nobody writes in INI


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
        path: the inventory; relative to the folder of the configuration. In YAML if its name ends so, or if
            it has no ending and is YAML, as Ansible decides it; else in INI.
        group: whose hosts are the nodes, those of the groups in it as well.
    """

    path: str
    group: str


def read_ansible(settings: AnsibleInventory, folder: Path, file: str, key: str) -> InventoryFile:
    """Read the nodes of such a file; see `backends.inventories.kinds.read_nodes`."""
    path = resolve_path(settings.path, folder, file, f"{key}.path")
    text, place = read_text(path, file, f"{key}.path"), str(path)
    groups = _parse(text, path)
    beside = VariableFiles(path.parent)
    nodes = {
        host: build_node(host, groups.variables_of(host, beside), place)
        for host in groups.hosts_of(settings.group)
    }
    return InventoryFile(place, "hosts", nodes)


def _parse(text: str, path: Path) -> Groups:
    place = str(path)
    if path.suffix in _YAML:
        return parse_yaml_inventory(text, place)
    if path.suffix:
        return parse_ini(text, place)
    try:
        return parse_yaml_inventory(text, place)
    except ConfigError as not_yaml:
        try:
            return parse_ini(text, place)
        except ConfigError as not_ini:
            # It is neither, and its first line tells which of them it was meant to be.
            raise (not_yaml if _looks_like_yaml(text) else not_ini) from None


def _looks_like_yaml(text: str) -> bool:
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return bool(_MAPPING.match(first))
