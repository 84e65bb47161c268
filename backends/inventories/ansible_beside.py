"""Variables in `group_vars` and `host_vars` beside an Ansible inventory: users and ports often stand there.

A file that is encrypted as a whole is passed over: it holds secrets, and nothing of it can be read here.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backends.errors import ConfigError
from backends.inventories.source import read_text
from backends.inventories.yaml_text import parse_yaml

_ENDINGS = ("", ".yml", ".yaml", ".json")
_ENCRYPTED = "$ANSIBLE_VAULT;"


class VariableFiles:
    """Reads each of them once, when it is asked for.

    Args:
        folder: of the inventory.
    """

    def __init__(self, folder: Path) -> None:
        self._folders = {each: folder / each for each in ("group_vars", "host_vars")}
        # 20,000 hosts are not looked for where there is nothing.
        self._there = {name for name, path in self._folders.items() if _ask(path.is_dir, path)}
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}

    def of_group(self, name: str) -> Mapping[str, Any]:
        """The variables of one group. Raises ConfigError."""
        return self._of("group_vars", name)

    def of_host(self, name: str) -> Mapping[str, Any]:
        """The variables of one host. Raises ConfigError."""
        return self._of("host_vars", name)

    def _of(self, kind: str, name: str) -> Mapping[str, Any]:
        if kind not in self._there or "/" in name or not name.strip("."):
            return {}
        if (kind, name) not in self._known:
            found: dict[str, Any] = {}
            for path in _files(self._folders[kind] / name):
                found |= _variables(path)
            self._known[kind, name] = found
        return self._known[kind, name]


def _files(path: Path) -> Iterator[Path]:
    """As Ansible looks for them: the first of NAME, NAME.yml and so on; of a folder all that is in it."""
    for ending in _ENDINGS:
        each = path.with_name(path.name + ending)
        if _ask(each.is_file, each):
            yield each
            return
        if not ending and _ask(each.is_dir, each):
            yield from _below(each)
            return


def _below(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(str(folder), "", f"cannot be read: {error.strerror}") from None
    for each in found:
        if each.name.startswith(".") or each.name.endswith("~"):
            continue
        if _ask(each.is_dir, each):
            yield from _below(each)
        elif each.suffix in _ENDINGS and _ask(each.is_file, each):
            yield each


def _ask(question: Callable[[], bool], path: Path) -> bool:
    try:
        return question()
    except OSError as error:  # a folder around it that may not be entered
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from None


def _variables(path: Path) -> Mapping[str, Any]:
    text = read_text(path, str(path), "")
    if text.startswith(_ENCRYPTED):
        return {}
    found = parse_yaml(text, str(path))
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(str(path), "", "expected variables: a mapping of names to values")
    return found
