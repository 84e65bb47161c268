"""All inventories, chosen by `kind` in the configuration: a new one is a file of its own and lines here."""

from collections.abc import Mapping

from backends.consul.catalog import ConsulService
from backends.consul.client import Consul
from backends.file_trust import Writers
from backends.kinds import FileInventory
from orchestrator.inventory.consul import ConsulSource
from orchestrator.inventory.source import NodeSettings, NodeSource
from orchestrator.inventory.static import Decode, FileSource, StaticSource

InventorySettings = FileInventory | ConsulService


def needs_consul(settings: InventorySettings | None) -> bool:
    """Whether Consul is asked for the nodes, so that there has to be one."""
    return isinstance(settings, ConsulService)


def make_source(
    settings: InventorySettings | None,
    nodes: Mapping[str, NodeSettings],
    decode: Decode,
    consul: Consul | None,
    file: str,
    app: str,
    writers: Writers,
) -> NodeSource:
    """The source of an application's nodes.

    Args:
        settings: which one; None for the configuration itself, and for HAProxy where that has no nodes.
        nodes: that the configuration has.
        decode: makes nodes of what stands in a file.
        consul: where there is one.
        file: the configuration, for errors.
        app: the application.
        writers: who may write the configuration, and files that it names and that bring commands.
    """
    if isinstance(settings, FileInventory):
        return FileSource(settings, decode, file, f"apps.{app}.inventory", writers)
    if isinstance(settings, ConsulService) and consul is not None:
        return ConsulSource(consul, settings, file, app)
    return StaticSource(nodes)
