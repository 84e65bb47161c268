"""Jinja in the variables of Ansible's hosts, as far as it only names variables: ``{{ inventory_hostname }}``.

That is most of what there is in inventories. Filters, expressions and statements are Ansible's own, and
refused: nothing of a template is ever evaluated here.
"""

import re
from collections.abc import Mapping
from typing import Any

from backends.inventories.ini_value import IniText, as_literal
from backends.inventories.source import shown
from backends.inventories.yaml_text import Encrypted

_MARKS = ("{{", "{%", "{#")
_VARIABLE = re.compile(r"\{\{[-+]?\s*([A-Za-z_][A-Za-z0-9_]*)\s*[-+]?\}\}")
_MOST = 100  # variables that are filled into one value, those in their values included
_LONGEST = 4096  # characters of a value


class NotPlain(ValueError):
    """A template that cannot be filled; the text says what was found and what was expected."""


def is_encrypted(value: object) -> bool:
    """Whether this is a value of Ansible's vault."""
    return isinstance(value, Encrypted) or (isinstance(value, str) and value.startswith("$ANSIBLE_VAULT;"))


class Templates:
    """Fills templates with the variables of one host.

    Args:
        host: its name in the inventory.
        variables: all of them, merged; their values may be templates too.
    """

    def __init__(self, host: str, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._own = {"inventory_hostname": host, "inventory_hostname_short": host.partition(".")[0]}
        self._left = 0

    def fill(self, value: Any) -> Any:
        """The value itself when it is no template. Raises NotPlain."""
        if not isinstance(value, str):
            return value
        self._left = _MOST
        return self._fill(value, ())

    def _fill(self, text: str, inside: tuple[str, ...]) -> Any:
        if not any(mark in text for mark in _MARKS):
            return text
        if whole := _VARIABLE.fullmatch(text.strip()):
            return self._value(whole[1], text, inside)
        filled = _VARIABLE.sub(lambda match: self._text(match[1], text, inside), text)
        if any(mark in _VARIABLE.sub("", text) for mark in _MARKS):
            raise NotPlain(
                f"found {shown(text)}, expected a plain value, or variables such as {{{{ NAME }}}} alone:"
                " only Ansible itself knows filters, expressions and statements"
            )
        if len(filled) > _LONGEST:
            raise NotPlain(
                f"found {shown(text)}, which is longer than {_LONGEST} characters when it is filled"
            )
        return filled

    def _text(self, name: str, template: str, inside: tuple[str, ...]) -> str:
        value = self._value(name, template, inside)
        if isinstance(value, str | bool | float) or (isinstance(value, int) and value.bit_length() < 64):
            return str(value)[: _LONGEST + 1]
        raise NotPlain(f"found {shown(template)}, but {name} is {shown(value)}, expected a text")

    def _value(self, name: str, template: str, inside: tuple[str, ...]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise NotPlain(f"found {shown(template)}, expected at most {_MOST} variables in it")
        if name in inside:
            raise NotPlain(f"found {shown(template)}, but {name} leads back to itself")
        if name not in self._own and name not in self._variables:
            raise NotPlain(f"found {shown(template)}, but this host has no variable {name}")
        value = self._own[name] if name in self._own else self._variables[name]
        if is_encrypted(value):
            raise NotPlain(f"found {shown(template)}, but {name} is encrypted with Ansible's vault")
        if isinstance(value, IniText):
            value = as_literal(value)
        return self._fill(value, (*inside, name)) if isinstance(value, str) else value
