"""A configuration that has its nodes from a file beside it, for tests."""

from pathlib import Path

import pytest

from backends.errors import ConfigError
from console.config.loader import load
from orchestrator.inventory.source import NodeSettings
from tests.unit.console_values import TOML, write


def configured(folder: Path, name: str, *, group: str = "shop") -> Path:
    """A configuration whose inventory is the file of this name; `.toml` ones have no groups."""
    keys = f'kind = "toml"\npath = "{name}"\n'
    if not name.endswith(".toml"):
        keys = f'kind = "ansible"\npath = "{name}"\ngroup = "{group}"\n'
    return write(folder, f"{TOML}\n[apps.shop.inventory]\n{keys}")


def loaded(
    folder: Path, text: str, *, name: str = "hosts.ini", group: str = "shop"
) -> dict[str, NodeSettings]:
    """The nodes that an inventory of this text makes."""
    (folder / name).write_text(text)
    return load(configured(folder, name, group=group)).nodes_of("shop")


def refused(folder: Path, text: str, *, name: str = "hosts.ini", group: str = "shop") -> str:
    """Why an inventory of this text is none."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, name=name, group=group)
    return str(caught.value)
