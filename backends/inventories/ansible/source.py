"""The files of an Ansible inventory: their kinds, their permissions, and how they are read without Ansible.

Users and ports are often set in `group_vars` and `host_vars` beside the inventory. A file there that is
encrypted as a whole is skipped: it contains secrets, and cannot be read here.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import ConfigError
from backends.file_trust import NAMED, Untrusted, Writers, open_trusted
from backends.inventories.ansible.command import Request
from backends.inventories.ansible.groups import Groups
from backends.inventories.ansible.parsers import PluginSettings, parse_ini, parse_yaml_inventory
from backends.inventories.files import parse_yaml, read_text

_ENDINGS = ("", ".yml", ".yaml", ".json")
_ENCRYPTED = "$ANSIBLE_VAULT;"


class VariableFiles:
    """Variables in files, each of which is read once, when it is needed.

    Args:
        folder: that of the inventory.
    """

    def __init__(self, folder: Path) -> None:
        self._folders = {kind: folder / kind for kind in ("group_vars", "host_vars")}
        # Where there is nothing, no files of 20,000 hosts are searched for.
        self._kinds = {kind for kind, path in self._folders.items() if _test(path.is_dir, path)}
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}

    def of_group(self, name: str) -> Mapping[str, Any]:
        """Read the variables of one group. Raises ConfigError."""
        return self._read("group_vars", name)

    def of_host(self, name: str) -> Mapping[str, Any]:
        """Read the variables of one host. Raises ConfigError."""
        return self._read("host_vars", name)

    def check(self, groups: Iterable[str], hosts: Iterable[str]) -> bool:
        """Check that only those may write the files of these hosts and groups who may write an inventory.

        Returns:
            Whether one of the files is encrypted as a whole.

        Raises:
            ConfigError: a file cannot be used.
        """
        names = [("group_vars", group) for group in groups] + [("host_vars", host) for host in hosts]
        files = [file for kind, name in names for file in self._files_of(kind, name)]
        return sum(read_text(file, str(file), "").startswith(_ENCRYPTED) for file in files) > 0

    def stamp(self) -> tuple[object, ...]:
        """Return what differs when one of the files has changed, come or gone. Raises ConfigError."""
        files = [file for kind in sorted(self._kinds) for file in _find_below(self._folders[kind])]
        return tuple(stamp_file(file) for file in files)

    def _read(self, kind: str, name: str) -> Mapping[str, Any]:
        if (kind, name) not in self._known:
            found: dict[str, Any] = {}
            for path in self._files_of(kind, name):
                found |= _read_variables(path)
            self._known[kind, name] = found
        return self._known[kind, name]

    def _files_of(self, kind: str, name: str) -> Iterator[Path]:
        if kind in self._kinds and "/" not in name and name.strip("."):
            yield from _find_files(self._folders[kind] / name)


def stamp_file(path: Path) -> object:
    """Return what differs when a file has changed; None for one that is not there."""
    try:
        info = path.stat()
    except OSError:
        return None
    return str(path), info.st_ino, info.st_size, info.st_mtime_ns, info.st_mode


def _find_files(path: Path) -> Iterator[Path]:
    """Yield files as Ansible finds them: the first of NAME, NAME.yml and so on; all files of a folder."""
    for ending in _ENDINGS:
        file = path.with_name(path.name + ending)
        if _test(file.is_file, file):
            yield file
            return
        if not ending and _test(file.is_dir, file):
            yield from _find_below(file)
            return


def _find_below(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(str(folder), "", f"cannot be read: {error.strerror}") from None
    for file in found:
        if file.name.startswith(".") or file.name.endswith("~"):
            continue
        if _test(file.is_dir, file):
            yield from _find_below(file)
        elif file.suffix in _ENDINGS and _test(file.is_file, file):
            yield file


def _test(question: Callable[[], bool], path: Path) -> bool:
    try:
        return question()
    except OSError as error:  # a folder around it that may not be entered
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from None


def _read_variables(path: Path) -> Mapping[str, Any]:
    text = read_text(path, str(path), "")
    if text.startswith(_ENCRYPTED):
        return {}
    found = parse_yaml(text, str(path))
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(str(path), "", "expected variables: a mapping of names to values")
    return found


CONFIGURATION = "ansible.cfg"
_YAML = (".yml", ".yaml", ".json")  # as Ansible has it; with another ending it is INI
_MAPPING = re.compile(r"---(?:\s|$)|[^\[#;=\s][^=\s]*:(?:\s|$)")  # a first line that nobody writes in INI
_HEAD = 1024  # bytes


@dataclass(frozen=True, slots=True)
class Source:
    """The file of an inventory as it was found.

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
    """Check who may write an inventory, and what it is, before Ansible reads it.

    A program, or settings of a plugin, has commands run: it may be written by nobody who may not write the
    configuration. A static one says only where commands run, and Ansible is told to read it as nothing else.
    It is parsed here too: our errors name the line and show nothing else of it, Ansible skips
    words that it does not know, and takes all of the memory for a range without end.

    Args:
        program: path of `ansible-inventory`.
        path: the path of the inventory.
        folder: that of the configuration.
        file: the configuration, for errors.
        key: the key of the inventory in it, for errors.
        writers: those of the configuration.

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
    except (OSError, ValueError):  # the code that reads it says why that fails
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
    file = str(path)
    if path.suffix in _YAML:
        return parse_yaml_inventory(text, file)
    if path.suffix:
        return parse_ini(text, file)
    try:
        return parse_yaml_inventory(text, file)
    except ConfigError as not_yaml:
        try:
            return parse_ini(text, file)
        except ConfigError as not_ini:
            # It is neither, and its first line shows which of them it was meant to be.
            raise (not_yaml if _looks_like_yaml(text) else not_ini) from None


def _looks_like_yaml(text: str) -> bool:
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return bool(_MAPPING.match(first))
