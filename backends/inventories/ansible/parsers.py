"""Parsers of Ansible's inventories, in INI form and in YAML.

https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ini_inventory.html
https://docs.ansible.com/ansible/latest/collections/ansible/builtin/yaml_inventory.html
"""

import ast
import re
import shlex
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from backends.errors import ConfigError
from backends.inventories.ansible.groups import UNGROUPED, Groups
from backends.inventories.files import describe, parse_yaml

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_GROUP = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_SECTIONS = ("hosts", "children", "vars")
_NEEDED = ("ansible_", "rolldeck_")  # other variables may be anything, and only templates use them
_QUOTES = re.compile(r"""["'\\#]""")
_SPACE = re.compile(r"[ \t\r\n]+")
_SECRET = re.compile(r"pass|secret|token", re.IGNORECASE)
_LONGEST_LINE = 65_536  # characters; shlex takes four times as long for one twice as long
_LONGEST_LITERAL = 1000  # characters; Python's own parser is not made for endless ones


class IniText(str):
    """A value as it is written, not yet parsed: of 20,000 hosts most are never used."""

    __slots__ = ()


def parse_ini(text: str, file: str) -> Groups:
    """Read the groups and hosts of such a file.

    Raises:
        ConfigError: with the file, the line, what was found and what was expected.
    """
    return _IniParser(file).parse(text)


def parse_literal(text: str) -> Any:
    """Read a value as Ansible does: a literal of Python, which also ends quotes and comments, or the text."""
    return _parse_literal(str(text)) if len(text) <= _LONGEST_LITERAL else str(text)


@lru_cache(1000)  # most hosts have the same port and user
def _parse_literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text


class _IniParser:
    def __init__(self, file: str) -> None:
        self._groups = Groups(file)
        self._file = file
        self._declared = {"all", UNGROUPED}
        self._named: dict[str, str] = {}  # groups that have yet to be declared, and the line that named them
        self._children: list[tuple[str, str]] = []
        self._where = ""
        self._section, self._group = "hosts", UNGROUPED

    def parse(self, text: str) -> Groups:
        for number, raw in enumerate(text.splitlines(), 1):
            line, self._where = raw.strip(), f"line {number}"
            if len(line) > _LONGEST_LINE:
                raise self._error(f"found {len(line)} characters, expected at most {_LONGEST_LINE} in a line")
            if number == 1 and (line.startswith("#!") or line == "---"):
                raise self._error(
                    "found a program or YAML, expected an inventory in INI form;"
                    " the name of one in YAML ends in .yml or .yaml, or has no ending"
                )
            if line and line[0] not in "#;":
                self._parse_line(line)
        for name, where in self._named.items():
            if name not in self._declared:
                raise ConfigError(self._file, where, f"no group {name!r}, expected a section [{name}]")
        for parent, child in self._children:
            self._groups.add_child(parent, child)
        return self._groups.finish()

    def _parse_line(self, line: str) -> None:
        if line[0] == "[" and (match := _SECTION.fullmatch(line)):
            self._begin_section(match[1], match[2] or "hosts")
        elif line[0] == "[" and line[-1] == "]":
            raise self._error(f"found {line[:80]!r}, expected [GROUP], [GROUP:vars] or [GROUP:children]")
        elif self._section == "hosts":
            self._add_host(line, self._group)
        elif self._section == "vars":
            self._add_variable(line, self._group)
        else:
            self._add_child(line, self._group)

    def _begin_section(self, group: str, section: str) -> None:
        if section not in _SECTIONS:
            raise self._error(f"found a section of {section!r}, expected one of: {', '.join(_SECTIONS)}")
        self._section, self._group = section, group
        self._groups.add_group(group)
        if section == "vars":
            self._named.setdefault(group, self._where)
        else:
            self._declared.add(group)

    def _add_host(self, line: str, group: str) -> None:
        try:
            pattern, *pairs = _split_words(line)
        except ValueError:
            raise self._error(f"found {self._quote(line)}, expected a host with closed quotes") from None
        variables = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise self._error(f"found {self._quote(line, pair)}, expected NAME=VALUE behind the host")
            variables[name] = _parse_value(name, value)
        self._groups.add_hosts(pattern, group, variables, self._where)

    def _add_variable(self, line: str, group: str) -> None:
        name, equals, value = line.partition("=")
        if not equals:
            raise self._error(f"found {self._quote(line)}, expected NAME=VALUE")
        name = name.strip()
        self._groups.add_variables(group, {name: _parse_value(name, value.strip())})

    def _add_child(self, line: str, group: str) -> None:
        match = _GROUP.fullmatch(line)
        if not match:
            raise self._error(f"found {line[:80]!r}, expected the name of a group")
        self._groups.add_group(match[1])
        self._named.setdefault(match[1], self._where)
        self._children.append((group, match[1]))

    @staticmethod
    def _quote(line: str, part: str = "") -> str:
        """Quote a line, or a part of it, for an error; of one with a password in it nothing."""
        return "a text that is not shown" if _SECRET.search(line) else repr((part or line)[:80])

    def _error(self, problem: str) -> ConfigError:
        return ConfigError(self._file, self._where, problem)


def _split_words(line: str) -> list[str]:
    """Split as Ansible does, but at once where it may be: 20,000 hosts should not take seconds."""
    return shlex.split(line, comments=True) if _QUOTES.search(line) else _SPACE.split(line)


def _parse_value(name: str, text: str) -> Any:
    return parse_literal(text) if name.startswith(_NEEDED) else IniText(text)


_PARTS = ("hosts", "vars", "children")
_MOST_GROUPS = 100_000  # an alias may refer to many, and to those around it


class PluginSettings(ConfigError):
    """A file that is no inventory, but settings of one of Ansible's plugins."""


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
        """Add a group and what is in it; `around` is where it is. Returns its name."""
        name = self._name(key, around or "the top", "a group")
        where = f"{around}.{name}".lstrip(".")
        self._count += 1
        if self._count > _MOST_GROUPS:
            raise self._error(where, f"found too many groups, expected at most {_MOST_GROUPS}")
        self.groups.add_group(name)
        # In the order of the file: a host may be here and in a child, and the later value wins.
        for part, inside in self._mapping(content, where).items():
            part_key = f"{where}.{part}"
            match part:
                case "vars":
                    self.groups.add_variables(name, self._mapping(inside, part_key))
                case "hosts":
                    self._add_hosts(name, self._mapping(inside, part_key, alone=True), part_key)
                case "children":
                    for child, below in self._mapping(inside, part_key, alone=True).items():
                        self.groups.add_child(name, self.add_group(child, below, part_key))
                case _:
                    raise self._error(part_key, f"unknown key; expected one of: {', '.join(_PARTS)}")
        return name

    def _add_hosts(self, group: str, hosts: Mapping[Any, Any], where: str) -> None:
        for key, variables in hosts.items():
            pattern = self._name(key, where, "a host")
            self.groups.add_hosts(pattern, group, self._mapping(variables, f"{where}.{pattern}"), where)

    def _mapping(self, value: Any, where: str, *, alone: bool = False) -> Mapping[Any, Any]:
        """Return a mapping; nothing is an empty one, and where Ansible takes it so, a lone text is a name."""
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
