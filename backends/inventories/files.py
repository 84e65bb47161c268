"""Inventory files: their permissions, the formats TOML and YAML, and nodes in a TOML file.

YAML is read as Ansible writes it, with `!vault` and `!unsafe`. Nothing in it is executed. PyYAML takes a
while to import, and few configurations need it: it is imported late.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from backends.errors import ConfigError
from backends.file_trust import NAMED, Untrusted, Writers, open_trusted
from backends.secrets import redact

LONGEST = 4 * 1024 * 1024  # bytes, as of the configuration itself
MOST_NODES = 20_000
_BITS = 64  # of an integer in an error
_NAMED = 20  # of the names that there are, in an error


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """The nodes that an inventory has.

    Attributes:
        file: where it is, for errors.
        key: the key of the nodes in it, for errors.
        nodes: by name, as `[apps.NAME.nodes]` would have them; the caller has yet to check them.
        reader: who has read it, where that can be one or the other.
        warnings: what the reader found odd, in words.
    """

    file: str
    key: str
    nodes: Mapping[str, Any]
    reader: str = ""
    warnings: tuple[str, ...] = ()


def resolve_path(path: str, folder: Path, file: str, key: str) -> Path:
    """Return the path of an inventory; a relative one begins in the folder of the configuration.

    Args:
        path: the path that the configuration has; may begin with `~`.
        folder: that of the configuration.
        file: the configuration, for errors.
        key: the key of the path in it, for errors.

    Raises:
        ConfigError: there is no home folder for `~`, or no path.
    """
    if not path:
        raise ConfigError(file, key, "found an empty text, expected the path of a file")
    try:
        return folder / Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(file, key, f"found {path!r}, whose home folder is not known") from None


def read_text(path: Path, file: str, key: str, writers: Writers = NAMED) -> str:
    """Read the whole text of an inventory; `file` and `key` say who named it.

    Args:
        path: the path of the inventory.
        file: the configuration, for errors.
        key: the key of the path in it, for errors.
        writers: who may write it. One that brings no commands, only where they run, may be written by
            those whom the configuration trusts by naming it, but not by everybody.

    Raises:
        ConfigError: it is not there, cannot be read, is longer than 4 MB, or is not text, or somebody else
            may write it.
    """
    try:
        with open(open_trusted(path, writers), "rb") as stream:
            content = stream.read(LONGEST + 1)
    except Untrusted as error:
        raise ConfigError(file, key, f"{path} is not used: {error.strerror}") from None
    except OSError as error:
        raise ConfigError(file, key, f"{path} cannot be read: {error.strerror}") from None
    except ValueError:  # a zero byte
        raise ConfigError(file, key, f"found {str(path)!r}, which is not a path") from None
    if len(content) > LONGEST:
        raise ConfigError(str(path), "", f"is longer than {LONGEST} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), f"line {line}", "is not UTF-8 text") from None


def describe(value: object) -> str:
    """Describe a value for an error, in at most a line."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() if value.bit_length() >= _BITS:  # Python prints no endless ones
            return f"a whole number of more than {_BITS} bits"
        case str():
            return repr(redact(value))[:80]
        case int() | float():
            return repr(value)[:80]
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return f"a {type(value).__name__}"


def join_names(names: list[str]) -> str:
    """Join names for an error; of very many only the first ones."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(name[:80] for name in names[:_NAMED]) + more


TABLE = "nodes"
_MOST_PARTS = 100  # of a dotted key; tomllib takes four times as long for twice as many
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_ENDLESS_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """Parse a document.

    Raises:
        ConfigError: it is not TOML; `file` says where it is.
        RecursionError: its tables or lists are nested too deep.
    """
    if found := _ENDLESS_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(
            file, f"line {line}", f"found a key of more than {_MOST_PARTS} parts with dots between"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, "", f"is not TOML: {error}") from None
    except ValueError:  # Python's limit for the digits of a number
        raise ConfigError(file, "", "is not TOML: a number in it has too many digits") from None


class TomlInventory(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="toml",
):
    """Settings of an inventory in TOML.

    Attributes:
        path: the file; relative to the folder of the configuration.
    """

    path: str


def read_toml(settings: TomlInventory, folder: Path, file: str, key: str, writers: Writers) -> InventoryFile:
    """Read the nodes of such a file; see `backends.kinds.read_nodes`.

    Its `prefix` is a command: nobody may write it who may not write the configuration.
    """
    path = resolve_path(settings.path, folder, file, f"{key}.path")
    text, inventory = read_text(path, file, f"{key}.path", writers), str(path)
    try:
        document = parse_toml(text, inventory)
    except RecursionError:
        raise ConfigError(inventory, "", "its tables or lists are nested too deep") from None
    # Only one form: a node called "nodes" at the top would otherwise mean two things.
    if others := [key for key in document if key != TABLE]:
        raise ConfigError(
            inventory, others[0][:80], f"found outside of the table [{TABLE}], expected every node in it"
        )
    nodes = document.get(TABLE)
    if not isinstance(nodes, dict) or not nodes:
        raise ConfigError(inventory, TABLE, f"found no nodes, expected a table [{TABLE}] with at least one")
    if len(nodes) > MOST_NODES:
        raise ConfigError(inventory, TABLE, f"found {len(nodes)} nodes, expected at most {MOST_NODES}")
    return InventoryFile(inventory, TABLE, nodes)


_MERGE = "tag:yaml.org,2002:merge"


class UnsafeText(str):
    """A text that is no template, whatever is in it."""

    __slots__ = ()


class Encrypted:
    """A value that is encrypted with Ansible's vault."""

    def __repr__(self) -> str:
        return "an encrypted value"


def parse_yaml(text: str, file: str) -> Any:
    """Read the one document of a YAML text.

    Raises:
        ConfigError: it is not YAML, or a mapping has the same key twice.
    """
    import yaml

    with _yaml_errors(file):
        return yaml.load(text, _make_loader())  # noqa: S506 - it is a SafeLoader


def compose_yaml(text: str, file: str) -> Any:
    """Return the nodes of a YAML text's one document, which know their positions; None if it is empty.

    Raises:
        ConfigError: it is not YAML.
    """
    import yaml

    with _yaml_errors(file):
        return yaml.compose(text, _find_safe_loader())


@contextmanager
def _yaml_errors(file: str) -> Iterator[None]:
    import yaml

    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else ""
        raise ConfigError(file, where, f"is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(file, "", f"is not YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise ConfigError(file, "", "its mappings or lists are nested too deep") from None
    except Exception:  # PyYAML lets several kinds through, such as for `!!int x` or a 13th month
        raise ConfigError(file, "", "is not YAML: a value in it does not fit its type") from None


def _find_safe_loader() -> Any:
    """Return the loader in C: it takes seconds for 20,000 hosts, the one in Python a quarter of a minute."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def _make_loader() -> Any:
    import yaml

    class Loader(_find_safe_loader()):  # type: ignore[misc] # found at run time
        """The safe loader, which also refuses duplicate keys: PyYAML drops the first one."""

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            keys: set[object] = set()
            for key, _ in node.value:
                if _identity_of(key) in keys and key.tag != _MERGE:
                    problem = f"the key {str(key.value)[:80]!r} is in one mapping twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                keys.add(_identity_of(key))
            super().flatten_mapping(node)
            # What is merged and then set again goes: the whole may be merged into another mapping.
            node.value = list({_identity_of(key): (key, value) for key, value in node.value}.values())

    loader: Any = Loader  # the stubs know no constructor of a subclass
    for tag in ("!vault", "!vault-encrypted"):
        loader.add_constructor(tag, lambda loader, node: Encrypted())
    loader.add_constructor("!unsafe", lambda loader, node: UnsafeText(loader.construct_yaml_str(node)))
    return loader


def _identity_of(key: Any) -> object:
    """Return a value that is equal for keys that are the same."""
    return (key.tag, key.value) if isinstance(key.value, str) else id(key)
