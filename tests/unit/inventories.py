"""A configuration for tests that reads its nodes from a file beside it."""

import asyncio
from pathlib import Path

import pytest

from backends.errors import ConfigError
from console.config.config_file import Config, load
from orchestrator.inventory.source import NodeSettings
from tests.support.console_values import TOML, write


def configured(folder: Path, name: str, *, group: str = "shop", reader: str = "builtin") -> Path:
    """A configuration whose inventory is the file of this name; `.toml` ones have no groups.

    Args:
        folder: where it is written.
        name: of the inventory in it, or its path.
        group: of Ansible's whose hosts are the nodes.
        reader: our own without another word: `ansible-inventory` takes its time, and is not everywhere.
    """
    keys = f'kind = "toml"\npath = "{name}"\n'
    if not name.endswith(".toml"):
        keys = f'kind = "ansible"\npath = "{name}"\ngroup = "{group}"\nreader = "{reader}"\n'
    return write(folder, f"{TOML}\n[apps.shop.inventory]\n{keys}")


def nodes_of(config: Config) -> dict[str, NodeSettings]:
    """The nodes of the application, as a session would have them."""
    return dict(asyncio.run(config.source_of("shop", None).read()))


def loaded(
    folder: Path, text: str, *, name: str = "hosts.ini", group: str = "shop"
) -> dict[str, NodeSettings]:
    """The nodes that an inventory of this text makes."""
    (folder / name).write_text(text)
    return nodes_of(load(configured(folder, name, group=group)))


def refused(folder: Path, text: str, *, name: str = "hosts.ini", group: str = "shop") -> str:
    """Why an inventory of this text is none."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, name=name, group=group)
    return str(caught.value)


async def findings_of(folder: Path, name: str, **keys: str) -> list[tuple[str, str]]:
    """What preflight says of the inventory of this name: how grave, and the words."""
    path = configured(folder, name, reader=keys.pop("reader", "auto"))
    path.write_text(path.read_text() + "".join(f'{key} = "{value}"\n' for key, value in keys.items()))
    source = load(path).source_of("shop", None)
    await source.read()
    return [(str(finding.severity), finding.text) for finding in source.remarks()]
