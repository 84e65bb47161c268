"""Nodes in a TOML file of their own: the table `[nodes]`, as `[apps.NAME.nodes]` is."""

from pathlib import Path

import msgspec

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.inventories.source import MOST_NODES, Listing, locate, read_text
from backends.inventories.toml_text import parse_toml

TABLE = "nodes"


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


def read_toml(settings: TomlInventory, folder: Path, file: str, key: str, writers: Writers) -> Listing:
    """The nodes of such a file; see `backends.inventories.kinds.read_nodes`.

    Its `prefix` is a command: nobody may write it who may not write the configuration.
    """
    path = locate(settings.path, folder, file, f"{key}.path")
    text, place = read_text(path, file, f"{key}.path", writers), str(path)
    try:
        document = parse_toml(text, place)
    except RecursionError:
        raise ConfigError(place, "", "its tables or lists are nested too deep") from None
    # Only one form: a node called "nodes" at the top would otherwise mean two things.
    if others := [each for each in document if each != TABLE]:
        raise ConfigError(
            place, others[0][:80], f"found outside of the table [{TABLE}], expected every node in it"
        )
    nodes = document.get(TABLE)
    if not isinstance(nodes, dict) or not nodes:
        raise ConfigError(place, TABLE, f"found no nodes, expected a table [{TABLE}] with at least one")
    if len(nodes) > MOST_NODES:
        raise ConfigError(place, TABLE, f"found {len(nodes)} nodes, expected at most {MOST_NODES}")
    return Listing(place, TABLE, nodes)
