"""All inventories, chosen by `kind` in the configuration: a new one is a file of its own and lines here."""

from collections.abc import Callable, Mapping

from backends.consul.catalog import ConsulService
from backends.consul.client import Consul
from backends.inventories.kinds import FileInventory
from orchestrator.inventory.consul import ConsulSource
from orchestrator.inventory.source import NodeSettings, NodeSource
from orchestrator.inventory.static import StaticSource

InventorySettings = FileInventory | ConsulService


def needs_consul(settings: InventorySettings | None) -> bool:
    """Whether Consul is asked for the nodes, so that there has to be one."""
    return isinstance(settings, ConsulService)


def make_source(
    settings: InventorySettings | None,
    configured: Callable[[], Mapping[str, NodeSettings]],
    consul: Consul | None,
    file: str,
    app: str,
) -> NodeSource:
    """The source of an application's nodes.

    Args:
        settings: which one; None for the configuration itself, and for HAProxy where that has no nodes.
        configured: reads the nodes that the configuration has, or a file that it names.
        consul: where there is one.
        file: the configuration, for errors.
        app: the application.
    """
    if isinstance(settings, ConsulService) and consul is not None:
        return ConsulSource(consul, settings, file, app)
    return StaticSource(configured)
