"""TOML, read without a traceback, and nodes in a TOML file of their own: its table `[nodes]`."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.inventories.common import MOST_NODES, InventoryFile, read_text, resolve_path

TABLE = "nodes"
_MOST_PARTS = 100  # of a dotted key; tomllib takes four times as long for twice as many
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_ENDLESS_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """Parse a document.

    Raises:
        ConfigError: it is not TOML; `file` says where it stands.
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
    """Of the configuration.

    Attributes:
        path: the file; relative to the folder of the configuration.
    """

    path: str


def read_toml(settings: TomlInventory, folder: Path, file: str, key: str, writers: Writers) -> InventoryFile:
    """Read the nodes of such a file; see `backends.inventories.kinds.read_nodes`.

    Its `prefix` is a command: nobody may write it who may not write the configuration.
    """
    path = resolve_path(settings.path, folder, file, f"{key}.path")
    text, place = read_text(path, file, f"{key}.path", writers), str(path)
    try:
        document = parse_toml(text, place)
    except RecursionError:
        raise ConfigError(place, "", "its tables or lists are nested too deep") from None
    # Only one form: a node called "nodes" at the top would otherwise mean two things.
    if others := [key for key in document if key != TABLE]:
        raise ConfigError(
            place, others[0][:80], f"found outside of the table [{TABLE}], expected every node in it"
        )
    nodes = document.get(TABLE)
    if not isinstance(nodes, dict) or not nodes:
        raise ConfigError(place, TABLE, f"found no nodes, expected a table [{TABLE}] with at least one")
    if len(nodes) > MOST_NODES:
        raise ConfigError(place, TABLE, f"found {len(nodes)} nodes, expected at most {MOST_NODES}")
    return InventoryFile(place, TABLE, nodes)
