"""The file of an Ansible inventory: what it is, who may write it, and what it says without Ansible."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backends.errors import ConfigError
from backends.file_trust import NAMED, Untrusted, Writers, open_trusted
from backends.inventories.ansible.command import Request
from backends.inventories.ansible.groups import Groups
from backends.inventories.ansible.ini_parser import parse_ini
from backends.inventories.ansible.variable_files import VariableFiles, stamp_file
from backends.inventories.ansible.yaml_parser import PluginSettings, parse_yaml_inventory
from backends.inventories.common import read_text

CONFIGURATION = "ansible.cfg"
_YAML = (".yml", ".yaml", ".json")  # as Ansible has it; with another ending it is INI
_MAPPING = re.compile(r"---(?:\s|$)|[^\[#;=\s][^=\s]*:(?:\s|$)")  # a first line that nobody writes in INI
_HEAD = 1024  # bytes


@dataclass(frozen=True, slots=True)
class Source:
    """An inventory's file as it was found.

    Attributes:
        groups: those in a static one; None for a program or settings of a plugin.
        request: how `ansible-inventory` is called for it.
        warnings: what the operator should know of it.
        stamp: differs when the file, or one beside it, has changed.
    """

    groups: Groups | None
    request: Request
    warnings: tuple[str, ...]
    stamp: tuple[object, ...]


def inspect_source(program: str, path: Path, folder: Path, file: str, key: str, writers: Writers) -> Source:
    """Look at an inventory before Ansible does: at who may write it, and what it is.

    A program, or settings of a plugin, has commands run: it may be written by nobody who may not write the
    configuration. A static one says only where commands run, and Ansible is told to read it as nothing else.
    It is parsed here too: our errors name the line and show nothing that stands beside it, Ansible skips
    words that it does not know, and takes all of the memory for a range without end.

    Args:
        program: path of `ansible-inventory`.
        path: of the inventory.
        folder: of the configuration.
        file: the configuration, for errors.
        key: of the inventory in it, for errors.
        writers: of the configuration.

    Raises:
        ConfigError: it cannot be used.
    """
    distrust, groups, what = "", None, "a program"
    try:
        os.close(open_trusted(path, writers))
    except Untrusted as error:
        distrust = str(error)
    except (OSError, ValueError):  # `read_text` says why
        distrust = "it cannot be opened"
    if not _is_program(path):
        text = read_text(path, file, f"{key}.path")
        try:
            groups = parse_inventory(text, path)
        except PluginSettings:
            what = "the settings of a plugin"
    if groups is None and distrust:
        raise ConfigError(file, f"{key}.path", f"{path} is not used: it is {what}, and {distrust}")
    configuration, warnings = _find_configuration((path.parent, folder), writers)
    request = Request(program, path.absolute(), configuration, may_run_code=not distrust)
    files = (path,) if configuration is None else (path, configuration)
    stamp = (*map(stamp_file, files), *VariableFiles(path.parent).stamp())
    return Source(groups, request, warnings, stamp)


def _is_program(path: Path) -> bool:
    try:
        with open(open_trusted(path, NAMED), "rb") as stream:
            executable = os.fstat(stream.fileno()).st_mode & 0o111
            head = stream.read(_HEAD)
    except (OSError, ValueError):  # whoever reads it says why it cannot be read
        return False
    return bool(executable) and (head.startswith(b"#!") or b"\0" in head)


def _find_configuration(folders: Iterable[Path], writers: Writers) -> tuple[Path | None, tuple[str, ...]]:
    """Find an `ansible.cfg` beside the inventory or the configuration: it may name programs and plugins.

    Returns:
        Its path, None for the one that Ansible finds by itself; and warnings.
    """
    if os.environ.get("ANSIBLE_CONFIG"):
        return None, ()
    warnings = []
    for path in dict.fromkeys(folder.absolute() / CONFIGURATION for folder in folders):
        try:
            os.close(open_trusted(path, writers))
        except Untrusted as error:
            warnings.append(f"{path} is not used: {error}")
        except OSError:
            continue
        else:
            return path, tuple(warnings)
    return None, tuple(warnings)


def parse_inventory(text: str, path: Path) -> Groups:
    """Parse an inventory without Ansible, in the form that Ansible would take it for.

    Raises:
        ConfigError: with the file, the line or the place in it, what was found and what was expected.
    """
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
