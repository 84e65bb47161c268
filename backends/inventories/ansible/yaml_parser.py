"""Ansible's inventories in YAML: groups with `hosts`, `vars` and `children`.

https://docs.ansible.com/ansible/latest/collections/ansible/builtin/yaml_inventory.html
"""

from collections.abc import Mapping
from typing import Any

from backends.errors import ConfigError
from backends.inventories.ansible.groups import Groups
from backends.inventories.common import describe
from backends.inventories.yaml_text import parse_yaml

_PARTS = ("hosts", "vars", "children")
_MOST_GROUPS = 100_000  # an alias may stand for many, and for those around it


class PluginSettings(ConfigError):
    """It is no inventory, but says to one of Ansible's plugins where that is."""


def parse_yaml_inventory(text: str, file: str) -> Groups:
    """Read the groups and hosts of such a file.

    Raises:
        ConfigError: with the file, the line or the place in it, what was found and what was expected.
    """
    document = parse_yaml(text, file)
    if not document or not isinstance(document, dict):
        raise ConfigError(file, "", f"found {describe(document)}, expected groups, such as `all:`")
    if "plugin" in document:
        raise PluginSettings(
            file, "plugin", "found the settings of an inventory plugin, expected groups, such as `all:`"
        )
    parser = _YamlParser(file)
    try:
        for name, content in document.items():
            parser.add_group(name, content, "")
    except RecursionError:
        raise ConfigError(file, "", "its groups are nested too deep, or contain themselves") from None
    return parser.groups.finish()


class _YamlParser:
    def __init__(self, file: str) -> None:
        self.groups = Groups(file)
        self._file = file
        self._count = 0

    def add_group(self, key: Any, content: Any, around: str) -> str:
        """Add a group and what is in it; `around` is where it stands. Returns its name."""
        name = self._name(key, around or "the top", "a group")
        where = f"{around}.{name}".lstrip(".")
        self._count += 1
        if self._count > _MOST_GROUPS:
            raise self._error(where, f"found too many groups, expected at most {_MOST_GROUPS}")
        self.groups.add_group(name)
        # In the order of the file: a host may stand here and in a child, and the later value wins.
        for part, inside in self._mapping(content, where).items():
            place = f"{where}.{part}"
            match part:
                case "vars":
                    self.groups.add_variables(name, self._mapping(inside, place))
                case "hosts":
                    self._add_hosts(name, self._mapping(inside, place, alone=True), place)
                case "children":
                    for child, below in self._mapping(inside, place, alone=True).items():
                        self.groups.add_child(name, self.add_group(child, below, place))
                case _:
                    raise self._error(place, f"unknown key; expected one of: {', '.join(_PARTS)}")
        return name

    def _add_hosts(self, group: str, hosts: Mapping[Any, Any], where: str) -> None:
        for key, variables in hosts.items():
            pattern = self._name(key, where, "a host")
            self.groups.add_hosts(pattern, group, self._mapping(variables, f"{where}.{pattern}"), where)

    def _mapping(self, value: Any, where: str, *, alone: bool = False) -> Mapping[Any, Any]:
        """Nothing is an empty mapping, and where Ansible takes it so, a text alone is one name."""
        if value is None:
            return {}
        if alone and isinstance(value, str):
            return {value: None}
        if not isinstance(value, dict):
            raise self._error(where, f"found {describe(value)}, expected a mapping: each name with a colon")
        return value

    def _name(self, value: Any, where: str, what: str) -> str:
        if not isinstance(value, str) or not value:
            raise self._error(where, f"found {describe(value)}, expected the name of {what}, in quotes")
        return value

    def _error(self, where: str, problem: str) -> ConfigError:
        return ConfigError(self._file, where[-200:], problem)
