"""Ansible's inventories in INI form: hosts with variables, `[group]`, `[group:vars]`, `[group:children]`.

https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ini_inventory.html
"""

import re
import shlex
from typing import Any

from backends.errors import ConfigError
from backends.inventories.groups import UNGROUPED, Groups
from backends.inventories.ini_value import IniText, as_literal

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_GROUP = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_SECTIONS = ("hosts", "children", "vars")
_OURS = ("ansible_", "rolldeck_")  # other variables may be anything, and only templates look at them
_QUOTES = re.compile(r"""["'\\#]""")
_SPACE = re.compile(r"[ \t\r\n]+")
_LONGEST_LINE = 65_536  # characters; shlex takes four times as long for one twice as long


def parse_ini(text: str, file: str) -> Groups:
    """The groups and hosts of such a file.

    Raises:
        ConfigError: with the file, the line, what was found and what was expected.
    """
    return _Reader(file).read(text)


class _Reader:
    def __init__(self, file: str) -> None:
        self._groups = Groups(file)
        self._file = file
        self._declared = {"all", UNGROUPED}
        self._named: dict[str, str] = {}  # groups that have yet to be declared, and the line that named them
        self._children: list[tuple[str, str]] = []
        self._where = ""

    def read(self, text: str) -> Groups:
        section, group = "hosts", UNGROUPED
        for number, raw in enumerate(text.splitlines(), 1):
            line, self._where = raw.strip(), f"line {number}"
            if len(line) > _LONGEST_LINE:
                raise self._error(f"found {len(line)} characters, expected at most {_LONGEST_LINE} in a line")
            if number == 1 and (line.startswith("#!") or line == "---"):
                raise self._error(
                    "found a program or YAML, expected an inventory in INI form;"
                    " the name of one in YAML ends in .yml or .yaml, or has no ending"
                )
            if not line or line[0] in "#;":
                continue
            if line[0] == "[" and (match := _SECTION.fullmatch(line)):
                group, section = match[1], match[2] or "hosts"
                self._begin(group, section)
            elif line[0] == "[" and line[-1] == "]":
                raise self._error(f"found {line[:80]!r}, expected [GROUP], [GROUP:vars] or [GROUP:children]")
            elif section == "hosts":
                self._host(line, group)
            elif section == "vars":
                self._variable(line, group)
            else:
                self._child(line, group)
        for name, where in self._named.items():
            if name not in self._declared:
                raise ConfigError(self._file, where, f"no group {name!r}, expected a section [{name}]")
        for parent, child in self._children:
            self._groups.add_child(parent, child)
        return self._groups.finish()

    def _begin(self, group: str, section: str) -> None:
        if section not in _SECTIONS:
            raise self._error(f"found a section of {section!r}, expected one of: {', '.join(_SECTIONS)}")
        self._groups.add_group(group)
        if section == "vars":
            self._named.setdefault(group, self._where)
        else:
            self._declared.add(group)

    def _host(self, line: str, group: str) -> None:
        try:
            pattern, *pairs = _words(line)
        except ValueError:
            raise self._error(f"found {line[:80]!r}, expected a host with closed quotes") from None
        variables = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise self._error(f"found {pair[:80]!r}, expected NAME=VALUE behind the host")
            variables[name] = _value(name, value)
        self._groups.add_hosts(pattern, group, variables, self._where)

    def _variable(self, line: str, group: str) -> None:
        name, equals, value = line.partition("=")
        if not equals:
            raise self._error(f"found {line[:80]!r}, expected NAME=VALUE")
        name = name.strip()
        self._groups.add_variables(group, {name: _value(name, value.strip())})

    def _child(self, line: str, group: str) -> None:
        match = _GROUP.fullmatch(line)
        if not match:
            raise self._error(f"found {line[:80]!r}, expected the name of a group")
        self._groups.add_group(match[1])
        self._named.setdefault(match[1], self._where)
        self._children.append((group, match[1]))

    def _error(self, problem: str) -> ConfigError:
        return ConfigError(self._file, self._where, problem)


def _words(line: str) -> list[str]:
    """As Ansible does, but at once where it may be: 20,000 hosts should not take seconds."""
    return shlex.split(line, comments=True) if _QUOTES.search(line) else _SPACE.split(line)


def _value(name: str, text: str) -> Any:
    return as_literal(text) if name.startswith(_OURS) else IniText(text)
