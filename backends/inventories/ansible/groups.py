"""Groups, hosts and variables of an Ansible inventory, with Ansible's rules for what they mean. Pure.

https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#adding-ranges-of-hosts
https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#how-variables-are-merged
"""

import math
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import Any, Protocol, Self

from backends.errors import ConfigError
from backends.inventories.files import MOST_NODES, join_names
from backends.text import suggest
from backends.untrusted import is_address

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_BOUNDS = re.compile(r"(\d{0,9}|[A-Za-z]):(\d{1,9}|[A-Za-z])(?::(\d{1,9}))?", re.ASCII)
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\[\]]*\])+):(\d{1,5})", re.ASCII)
_PORT_OF_ADDRESS = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]:(\d{1,5})", re.ASCII)


def expand(pattern: str) -> tuple[list[str], int]:
    """Return the hosts that a pattern means, and the SSH port at its end, 0 without.

    Raises:
        ValueError: it is no such pattern, or means more than 20,000 hosts.
    """
    match = _PORT_OF_ADDRESS.fullmatch(pattern) or _PORT.fullmatch(pattern)
    hosts, port = (match[1], int(match[2])) if match else (pattern, 0)
    if match and not 1 <= port <= 65535:
        raise ValueError(f"found port {port} in {_quote(pattern)}, expected 1 to 65535")
    names = _expand_ranges(hosts)
    if ":" in names[0] and not is_address(names[0]):
        raise ValueError(f"found {_quote(pattern)}, expected a host, HOST:PORT or [IPv6]:PORT")
    return names, port


def _expand_ranges(pattern: str) -> list[str]:
    *parts, tail = _RANGE.split(pattern)
    if "[" in tail or "]" in tail or any(set("[]") & set(part) for part in parts[::2]):
        raise ValueError(f"found {_quote(pattern)}, expected each [ with its ]")
    heads, ranges = parts[::2], [_expand_range(part) for part in parts[1::2]]
    if (count := math.prod(map(len, ranges))) > MOST_NODES:
        raise ValueError(f"{_quote(pattern)} means {count} hosts, expected at most {MOST_NODES}")
    return [
        "".join(head + part for head, part in zip(heads, chosen, strict=True)) + tail
        for chosen in product(*ranges)
    ]


def _expand_range(text: str) -> list[str]:
    """Expand the text between brackets: `1:20`, `01:20` or `a:f`, perhaps with a step behind it."""
    match = _BOUNDS.fullmatch(text)
    if not match:
        raise ValueError(f"found the range [{text[:80]}], expected one such as [1:20], [01:20:2] or [a:f]")
    first, last, step = match[1] or "0", match[2], int(match[3] or 1)
    if first.isdigit() is not last.isdigit():
        raise ValueError(f"found the range [{text}], expected two numbers or two letters")
    if not first.isdigit():
        begin, end = string.ascii_letters.index(first), string.ascii_letters.index(last)
    else:
        begin, end = int(first), int(last)
    if begin > end or not step:
        raise ValueError(f"found the range [{text}], expected a begin before its end, a step of 1 or more")
    numbers = range(begin, end + 1, step)
    if not first.isdigit():
        return [string.ascii_letters[number] for number in numbers]
    padded = first[0] == "0" and len(first) > 1
    if padded and len(first) != len(last):
        raise ValueError(f"found the range [{text}], expected as many digits on both sides")
    if len(numbers) > MOST_NODES:
        raise ValueError(f"the range [{text}] means {len(numbers)} hosts, expected at most {MOST_NODES}")
    return [str(number).zfill(len(first) if padded else 0) for number in numbers]


def _quote(pattern: str) -> str:
    return repr(pattern[:80])


ALL, UNGROUPED = "all", "ungrouped"
PRIORITY = "ansible_group_priority"
_MOST_ENTRIES = 1_000_000  # of hosts in groups: a host may be in many


class Beside(Protocol):
    """Variables from files beside the inventory."""

    def of_group(self, name: str) -> Mapping[str, Any]: ...

    def of_host(self, name: str) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class _Group:
    hosts: dict[str, None] = field(default_factory=dict)  # in order, each once
    parents: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Host:
    groups: dict[str, None] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)


class Groups:
    """The groups and hosts of an inventory's file: filled first, then finished, then read.

    Args:
        file: for errors.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._groups = {ALL: _Group(), UNGROUPED: _Group()}
        self._hosts: dict[str, _Host] = {}
        self._entries = 0
        self._depths: dict[str, int] = {}  # below `all`, by the longest way

    def add_group(self, name: str) -> None:
        """Add a group; nothing happens if it is known."""
        self._groups.setdefault(name, _Group())

    def add_child(self, parent: str, child: str) -> None:
        """Put a group into a group; both must be known."""
        self._groups[parent].children[child] = None
        self._groups[child].parents[parent] = None

    def add_variables(self, group: str, variables: Mapping[str, Any]) -> None:
        """Set variables of a group that is known; a later value wins."""
        self._groups[group].variables.update(variables)

    def add_hosts(self, pattern: str, group: str, variables: Mapping[str, Any], where: str) -> None:
        """Put hosts into a group that is known; those that are known already are merged.

        Args:
            pattern: see `expand`.
            group: its name.
            variables: those of each host; a later value wins.
            where: it is, for errors.

        Raises:
            ConfigError: it is no pattern, or these are too many.
        """
        try:
            names, port = expand(pattern)
        except ValueError as error:
            raise ConfigError(self.file, where, str(error)) from None
        self._entries += len(names)
        for name in names:
            if name not in self._hosts:
                # As in Ansible: the port in the pattern counts where a host is named first.
                self._hosts[name] = _Host(variables={"ansible_port": port} if port else {})
            host = self._hosts[name]
            host.groups[group] = None
            host.variables.update(variables)
            self._groups[group].hosts[name] = None
        if len(self._hosts) > MOST_NODES or self._entries > _MOST_ENTRIES:
            raise ConfigError(self.file, where, f"found too many hosts, expected at most {MOST_NODES}")

    def add_names(self, names: Iterable[str], group: str) -> None:
        """Put hosts into a group that is known, by their names as they are."""
        for name in names:
            self._hosts.setdefault(name, _Host()).groups[group] = None
            self._groups[group].hosts[name] = None

    def finish(self) -> Self:
        """Put what is in no group where Ansible does. Raises ConfigError when groups contain each other."""
        for name, host in self._hosts.items():
            if host.groups.keys() <= {ALL, UNGROUPED}:
                host.groups[UNGROUPED] = self._groups[UNGROUPED].hosts[name] = None
            elif UNGROUPED in host.groups:
                del host.groups[UNGROUPED], self._groups[UNGROUPED].hosts[name]
        for name, group in self._groups.items():
            if name != ALL and not group.parents:
                self.add_child(ALL, name)
        above = {name: tuple(group.parents) for name, group in self._groups.items()}
        try:
            for name in TopologicalSorter(above).static_order():
                self._depths[name] = 1 + max((self._depths[parent] for parent in above[name]), default=-1)
        except CycleError as error:
            circle = " → ".join(group[:80] for group in error.args[1][:20])
            raise ConfigError(self.file, "", f"groups contain each other: {circle}") from None
        return self

    def hosts_of(self, name: str) -> list[str]:
        """Return the hosts of a group and its children in Ansible's order: its own, then level by level.

        Raises:
            ConfigError: there is no such group, or it is empty.
        """
        if name not in self._groups:
            names = sorted(self._groups)
            hint = suggest(name, names)
            raise ConfigError(self.file, "", f"no group {name!r}; {hint}there is: {join_names(names)}")
        level, visited = [name], {name}
        hosts: dict[str, None] = {}
        while level:
            for group in level:
                hosts.update(self._groups[group].hosts)
            below = dict.fromkeys(child for group in level for child in self._groups[group].children)
            level = [group for group in below if group not in visited]
            visited.update(level)
        if not hosts:
            raise ConfigError(self.file, "", f"group {name!r} is empty, expected at least one host in it")
        return list(hosts)

    def variables_of(self, host: str, beside: Beside) -> dict[str, Any]:
        """Merge all variables of a host: outer groups first, files after the inventory, the host's own last.

        Raises:
            ConfigError: a group's priority is no number, or a file beside cannot be used.
        """
        order = sorted(
            self.groups_of(host), key=lambda group: (self._depths[group], self._priority_of(group), group)
        )
        found: dict[str, Any] = {}
        for name in order:
            found.update(self._groups[name].variables)
        for name in order:
            found.update(beside.of_group(name))
        return found | self._hosts[host].variables | dict(beside.of_host(host))

    def groups_of(self, host: str) -> Iterable[str]:
        """Return the groups that a host is in, those around them included."""
        around = dict.fromkeys(self._hosts[host].groups) | {ALL: None}
        for name in (waiting := list(around)):
            for parent in self._groups[name].parents:
                if parent not in around:
                    around[parent] = None
                    waiting.append(parent)
        return around

    def _priority_of(self, group: str) -> int:
        value = self._groups[group].variables.get(PRIORITY, 1)
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(self.file, f"{group}.{PRIORITY}", "expected a whole number") from None
