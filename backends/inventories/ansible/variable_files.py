"""Variables in `group_vars` and `host_vars` beside an Ansible inventory: users and ports often stand there.

A file that is encrypted as a whole is passed over: it holds secrets, and nothing of it can be read here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backends.errors import ConfigError
from backends.inventories.common import read_text
from backends.inventories.yaml_text import parse_yaml

_ENDINGS = ("", ".yml", ".yaml", ".json")
_ENCRYPTED = "$ANSIBLE_VAULT;"


class VariableFiles:
    """Reads a file once, when it is asked for.

    Args:
        folder: of the inventory.
    """

    def __init__(self, folder: Path) -> None:
        self._folders = {kind: folder / kind for kind in ("group_vars", "host_vars")}
        # 20,000 hosts are not looked for where there is nothing.
        self._kinds = {kind for kind, path in self._folders.items() if _test(path.is_dir, path)}
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}

    def of_group(self, name: str) -> Mapping[str, Any]:
        """The variables of one group. Raises ConfigError."""
        return self._of("group_vars", name)

    def of_host(self, name: str) -> Mapping[str, Any]:
        """The variables of one host. Raises ConfigError."""
        return self._of("host_vars", name)

    def check(self, groups: Iterable[str], hosts: Iterable[str]) -> bool:
        """Check that nobody may write the files of these who may not write an inventory.

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

    def _of(self, kind: str, name: str) -> Mapping[str, Any]:
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
    """As Ansible looks for them: the first of NAME, NAME.yml and so on; of a folder all that is in it."""
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
