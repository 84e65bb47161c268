"""Nodes, as `[apps.NAME.nodes]` would define them, from the variables of Ansible's hosts. Pure.

These variables are used: `ansible_host`, `ansible_port`, `ansible_user`, their old names with `ansible_ssh_`,
and `ansible_connection`; and for what Ansible has no name, `rolldeck_address` (of the application, if SSH
uses another one), `rolldeck_port` and `rolldeck_servers` (names in HAProxy). Templates in them may only name
variables of the host. Logins (keys, jump hosts, sudo) are set in Rolldeck's configuration.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from backends.errors import ConfigError
from backends.inventories.ansible.parsers import IniText, parse_literal
from backends.inventories.files import Encrypted, UnsafeText, describe
from backends.templates import check_host

_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
_CONNECTIONS = (*_SSH, "local")
_MARKS = ("{{", "{%", "{#")
_VARIABLE = re.compile(r"\{\{[-+]?\s*([A-Za-z_][A-Za-z0-9_]*)\s*[-+]?\}\}")
_PASSWORD = re.compile(r"ansible_(?:\w+_)?pass(?:word|phrase|wd)?")
_MOST = 100  # variables that are filled into one value, those in their values included
_LONGEST = 4096  # characters of a value


_Describe = Callable[[object], str]


def build_node(
    host: str, variables: Mapping[str, Any], file: str, *, hide_values: bool = False
) -> dict[str, Any]:
    """Build the node of this host.

    Args:
        host: its name in the inventory, and so the node's.
        variables: all of them, merged.
        file: the inventory, for errors.
        hide_values: some of them were encrypted, and nobody knows which: errors show none.

    Raises:
        ConfigError: with the file, `HOST.VARIABLE`, what was found and what was expected.
    """
    values = _HostVariables(host, variables, file, _hide if hide_values else describe)
    reached = values.text("ansible_host", "ansible_ssh_host") or host
    address = values.text("rolldeck_address") or reached
    node = {
        "address": address,
        "port": values.port("rolldeck_port"),
        "servers": values.names("rolldeck_servers"),
        "ssh": reached if reached != address else "",
        "ssh_user": values.text("ansible_user", "ansible_ssh_user"),
        "ssh_port": values.port("ansible_port", "ansible_ssh_port"),
        "transport": values.transport("ansible_connection"),
    }
    return {key: value for key, value in node.items() if value}


class _HostVariables:
    """Looks variables up; of several names for one thing those that are there must agree."""

    def __init__(self, host: str, variables: Mapping[str, Any], file: str, describe: _Describe) -> None:
        self._host = host
        self._variables = variables
        self._file = file
        self._describe = describe
        self._templates = Templates(host, variables, describe)

    def text(self, *names: str) -> str:
        name, value = self._find(names)
        return self._check_host(name, value) if name else ""

    def port(self, *names: str) -> int:
        name, value = self._find(names)
        if not name:
            return 0
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5
        number = int(value) if digits else value
        if type(number) is not int or not 1 <= number <= 65535:
            raise self._error(name, f"found {self._describe(value)}, expected 1 to 65535")
        return number

    def names(self, name: str) -> list[str]:
        _, value = self._find((name,))
        if isinstance(value, str):  # Ansible's INI has no lists
            value = [server.strip() for server in value.split(",")]
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(server, str) and server for server in value):
            raise self._error(
                name, f"found {self._describe(value)}, expected names with commas between, or a list"
            )
        return [self._fill(name, server) for server in value]

    def transport(self, name: str) -> str:
        value = self.text(name).removeprefix("ansible.builtin.")
        if value and value not in _CONNECTIONS:
            raise self._error(
                name, f"found {self._describe(value)}, expected one of: {', '.join(_CONNECTIONS)}"
            )
        return "local" if value == "local" else ""  # over SSH: as the configuration says

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        found = [(name, self._fill(name, self._variables[name])) for name in names if self._has(name)]
        for name, value in found[1:]:
            if _format_number(value) != _format_number(found[0][1]):
                known = f"{found[0][0]} is {self._describe(found[0][1])}"
                raise self._error(name, f"found {self._describe(value)}, but {known}; expected one of them")
        return found[0] if found else ("", None)

    def _has(self, name: str) -> bool:
        return self._variables.get(name) is not None

    def _fill(self, name: str, value: Any) -> Any:
        if is_encrypted(value):
            raise self._error(name, "is encrypted with Ansible's vault, expected a plain value")
        try:
            return self._templates.fill(value)
        except NotPlain as error:
            raise self._error(name, str(error)) from None

    def _check_host(self, name: str, value: Any) -> str:
        value = _format_number(value)
        if not isinstance(value, str):
            raise self._error(name, f"found {self._describe(value)}, expected a text")
        try:
            return check_host(name, value)
        except ConfigError as error:
            problem = (
                error.problem if self._describe is describe else f"{self._describe(value)} cannot be used"
            )
            raise self._error(name, problem) from None

    def _error(self, name: str, problem: str) -> ConfigError:
        return ConfigError(self._file, f"{self._host}.{name}", problem)


def _hide(_: object) -> str:
    return "a value that is not shown, as variables of this host come from an encrypted file"


def _format_number(value: Any) -> Any:
    """Return a text for a number: a user or a host may be all digits, which then are a number."""
    return str(value) if type(value) is int and value.bit_length() < 64 else value


class NotPlain(ValueError):
    """A template that cannot be filled; the text says what was found and what was expected."""


def is_encrypted(value: object) -> bool:
    """Return whether this is a value of Ansible's vault."""
    return isinstance(value, Encrypted) or (isinstance(value, str) and value.startswith("$ANSIBLE_VAULT;"))


class Templates:
    """Fills templates with the variables of one host.

    Args:
        host: its name in the inventory.
        variables: all of them, merged; their values may be templates too.
        describe: a value, for an error.
    """

    def __init__(self, host: str, variables: Mapping[str, Any], describe: _Describe = describe) -> None:
        self._describe = describe
        self._variables = variables
        self._own = {"inventory_hostname": host, "inventory_hostname_short": host.partition(".")[0]}
        self._remaining = 0

    def fill(self, value: Any) -> Any:
        """Fill a value, or return it as it is when it is no template. Raises NotPlain."""
        if not isinstance(value, str) or isinstance(value, UnsafeText):
            return value
        self._remaining = _MOST
        return self._fill(value, ())

    def _fill(self, text: str, inside: tuple[str, ...]) -> Any:
        if not any(mark in text for mark in _MARKS):
            return text
        if whole := _VARIABLE.fullmatch(text.strip()):
            return self._value(whole[1], text, inside)
        filled = _VARIABLE.sub(lambda match: self._text(match[1], text, inside), text)
        if any(mark in _VARIABLE.sub("", text) for mark in _MARKS):
            raise NotPlain(
                f"found {self._describe(text)}, expected a plain value, or variables such as"
                " {{ NAME }} alone: only Ansible itself knows filters, expressions and statements"
            )
        if len(filled) > _LONGEST:
            raise NotPlain(
                f"found {self._describe(text)}, which is longer than {_LONGEST} characters when it is filled"
            )
        return filled

    def _text(self, name: str, template: str, inside: tuple[str, ...]) -> str:
        value = self._value(name, template, inside)
        if isinstance(value, str | bool | float) or (isinstance(value, int) and value.bit_length() < 64):
            return str(value)[: _LONGEST + 1]
        raise NotPlain(
            f"found {self._describe(template)}, but {name} is {self._describe(value)}, expected a text"
        )

    def _value(self, name: str, template: str, inside: tuple[str, ...]) -> Any:
        self._remaining -= 1
        if self._remaining < 0:
            raise NotPlain(f"found {self._describe(template)}, expected at most {_MOST} variables in it")
        if name in inside:
            raise NotPlain(f"found {self._describe(template)}, but {name} leads back to itself")
        if _PASSWORD.fullmatch(name):
            raise NotPlain(f"found {self._describe(template)}, but {name} is a password, which is not shown")
        if name not in self._own and name not in self._variables:
            raise NotPlain(f"found {self._describe(template)}, but this host has no variable {name}")
        value = self._own[name] if name in self._own else self._variables[name]
        if is_encrypted(value):
            raise NotPlain(f"found {self._describe(template)}, but {name} is encrypted with Ansible's vault")
        if isinstance(value, IniText):
            value = parse_literal(value)
        if not isinstance(value, str) or isinstance(value, UnsafeText):
            return value
        return self._fill(value, (*inside, name))
