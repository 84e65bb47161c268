"""What inventories in files have in common: the file's path and text, what it lists, and words for errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import ConfigError
from backends.file_trust import NAMED, Untrusted, Writers, open_trusted
from backends.secrets import redact

LONGEST = 4 * 1024 * 1024  # bytes, as of the configuration itself
MOST_NODES = 20_000
_BITS = 64  # of an integer in an error
_NAMED = 20  # of the names that there are, in an error


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """What an inventory says.

    Attributes:
        file: where it stands, for errors.
        key: of the nodes in it, for errors.
        nodes: by name, as they would stand in `[apps.NAME.nodes]`; the caller has yet to check them.
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
        path: as the configuration has it; may begin with `~`.
        folder: of the configuration.
        file: the configuration, for errors.
        key: of the path in it, for errors.

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
        path: of the inventory.
        file: the configuration, for errors.
        key: of the path in it, for errors.
        writers: who may write it. One that brings no commands, only where they run, may be written by whoever
            the configuration trusts by naming it, but not by everybody.

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
