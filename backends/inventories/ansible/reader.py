"""A group of an Ansible inventory as nodes, read by `ansible-inventory` or by our own parsers."""

import asyncio
import math
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal
from weakref import WeakKeyDictionary

import msgspec

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.inventories.ansible.command import (
    PROGRAM,
    AnsibleListing,
    ListingFailed,
    Request,
    decode_value,
    find_program,
    list_inventory,
)
from backends.inventories.ansible.groups import ALL, Groups
from backends.inventories.ansible.node import build_node
from backends.inventories.ansible.source import Source, VariableFiles, inspect_source, parse_inventory
from backends.inventories.files import MOST_NODES, InventoryFile, read_text, resolve_path

_REUSE_S = 10.0  # what `status` and `check` want to know of several applications is asked once
_MOST_LISTINGS = 8  # that are kept


class AnsibleInventory(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="ansible",
):
    """Settings of an inventory of Ansible's.

    Attributes:
        path: the inventory; relative to the folder of the configuration. In YAML if its name ends so, or if
            it has no ending and is YAML, as Ansible decides it; else in INI. For `ansible-inventory` it may
            be a program or settings of a plugin too.
        group: whose hosts are the nodes, those of the groups in it as well.
        reader: "ansible" for `ansible-inventory`, "builtin" for Rolldeck's own parsers; by default the first
            where it is installed.
        program: path of `ansible-inventory` where it is not in the PATH.
        timeout: seconds that `ansible-inventory` may take.
    """

    path: str
    group: str
    reader: Literal["auto", "ansible", "builtin"] = "auto"
    program: str = ""
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.timeout <= 600:
            raise ValueError(f"timeout: found {self.timeout:g}, expected 1 to 600 seconds")


async def read_ansible(
    settings: AnsibleInventory, folder: Path, file: str, key: str, writers: Writers
) -> InventoryFile:
    """Read the nodes of such a file; see `backends.kinds.read_nodes`."""
    path = resolve_path(settings.path, folder, file, f"{key}.path")
    program = _choose_program(settings, file, key)
    if not program:
        return await asyncio.to_thread(_read_builtin, settings.group, path, file, key)
    source = await asyncio.to_thread(inspect_source, program, path, folder, file, key, writers)
    try:
        listing = await _list(source, settings.timeout)
    except TimeoutError:
        problem = f"{PROGRAM} has not read {path} within {settings.timeout:g} s"
        raise ConfigError(file, f"{key}.timeout", problem) from None
    except ListingFailed as error:
        if error.exit_status and source.groups is not None:
            # Where a file beside the inventory is wrong, our error names it, and its line.
            await asyncio.to_thread(_merge_variables, source.groups, settings.group, path)
        without = "" if source.groups is None else '; with reader = "builtin" it is read without Ansible'
        problem = f"{path}: {PROGRAM} fails: {error}{without}"
        raise ConfigError(file, f"{key}.path", problem) from None
    return await asyncio.to_thread(_build, listing, source, settings.group)


def _choose_program(settings: AnsibleInventory, file: str, key: str) -> str:
    """Return the path of `ansible-inventory`, or an empty text for our own parsers."""
    if settings.reader == "builtin":
        return ""
    program = find_program(settings.program)
    if program or (settings.reader == "auto" and not settings.program):
        return program
    if settings.program:
        raise ConfigError(file, f"{key}.program", f"found {settings.program!r}, which is not a program")
    raise ConfigError(file, f"{key}.reader", f"found 'ansible', but there is no {PROGRAM} in the PATH")


def _read_builtin(group: str, path: Path, file: str, key: str) -> InventoryFile:
    groups = parse_inventory(read_text(path, file, f"{key}.path"), path)
    hosts = _merge_variables(groups, group, path)
    nodes = {host: build_node(host, variables, str(path)) for host, variables in hosts.items()}
    return InventoryFile(str(path), "hosts", nodes, "Rolldeck's own reader")


def _merge_variables(groups: Groups, group: str, path: Path) -> dict[str, dict[str, Any]]:
    """Merge all variables of the hosts of a group, those in files beside the inventory included."""
    beside = VariableFiles(path.parent)
    return {host: groups.variables_of(host, beside) for host in groups.hosts_of(group)}


@dataclass(slots=True)
class _Answer:
    """The last listing for a request, and the lock while one is being made."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    stamp: tuple[object, ...] = ()
    at: float = -math.inf  # seconds of the monotonic clock
    listing: AnsibleListing | None = None


_answers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Request, _Answer]] = WeakKeyDictionary()


async def _list(source: Source, timeout_s: float) -> AnsibleListing:
    """Run `ansible-inventory`, unless its last listing still holds: it takes half a second of CPU time.

    A static inventory is read again when a file has changed, another one after `_REUSE_S`.
    """
    answers = _answers.setdefault(asyncio.get_running_loop(), {})
    answer = answers.setdefault(source.request, _Answer())
    while len(answers) > _MOST_LISTINGS:
        del answers[next(iter(answers))]
    async with answer.lock:
        is_recent = source.groups is not None or monotonic() - answer.at < _REUSE_S
        if answer.listing is None or answer.stamp != source.stamp or not is_recent:
            answer.listing = None
            answer.listing = await list_inventory(source.request, timeout_s)
            answer.stamp, answer.at = source.stamp, monotonic()
        return answer.listing


def _build(listing: AnsibleListing, source: Source, group: str) -> InventoryFile:
    path = source.request.inventory
    hosts = listing.groups.hosts_of(group)
    if group == ALL:
        hosts = _sort_as_written(hosts, source.groups)
    if len(hosts) > MOST_NODES:
        raise ConfigError(str(path), "", f"found {len(hosts)} hosts, expected at most {MOST_NODES}")
    around = {name for host in hosts for name in listing.groups.groups_of(host)}
    has_vault = VariableFiles(path.parent).check(sorted(around), hosts)
    nodes = {}
    for host in hosts:
        variables = {name: decode_value(value) for name, value in listing.variables.get(host, {}).items()}
        nodes[host] = build_node(host, variables, str(path), hide_values=has_vault)
    return InventoryFile(str(path), "hosts", nodes, PROGRAM, source.warnings + listing.warnings)


def _sort_as_written(hosts: list[str], groups: Groups | None) -> list[str]:
    """Sort the hosts of `all` as the file has them: Ansible's listing leaves out which are in it directly."""
    if groups is None:
        return hosts
    positions = {host: position for position, host in enumerate(groups.hosts_of(ALL))}
    return sorted(hosts, key=lambda host: positions.get(host, len(positions)))
