"""What Consul knows of an application, put where the configuration would have it."""

from collections.abc import Mapping

import msgspec

from backends.consul.client import Consul
from backends.consul.places import sockets
from backends.consul.services import ConsulService, Instance, instances
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.template import check_value
from console.config import Config
from console.decode import decode
from console.settings import AppSettings, NodeSettings


async def completed(config: Config, app: str, consul: Consul | None) -> Config:
    """The configuration with this application's nodes and load balancers in it.

    Raises:
        ConfigError: no such application, or what Consul has does not fit.
        BackendError: Consul could not be asked.
    """
    settings, key = config.app(app), f"apps.{app}"
    if consul is None:
        return config
    try:
        haproxy = await _haproxy(config, app, settings, consul)
        nodes = await _nodes(settings, consul)
    except ConfigError as error:
        if error.file:
            raise
        whole = error.key.startswith(("key ", "service ", "consul."))  # not one of the application
        raise ConfigError(config.file, error.key if whole else f"{key}.{error.key}", error.problem) from None
    settings = msgspec.structs.replace(
        settings, nodes=nodes, haproxy=[] if settings.places else settings.haproxy
    )
    return msgspec.structs.replace(config, haproxy=haproxy, apps={**config.apps, app: settings})


async def _haproxy(
    config: Config, app: str, settings: AppSettings, consul: Consul
) -> dict[str, HaproxySettings]:
    if settings.places is None:
        return config.haproxy
    found = await sockets(consul, settings.places, app)
    return {
        name: decode({"socket": address}, HaproxySettings, config.file, f"apps.{app}.places.{name}")
        for name, address in found.items()
    }


async def _nodes(settings: AppSettings, consul: Consul) -> dict[str, NodeSettings]:
    if not isinstance(settings.inventory, ConsulService):
        return settings.nodes
    _, found = await instances(consul, settings.inventory)
    if not found:
        service = settings.inventory.service
        raise ConfigError(
            "",
            "inventory",
            f"Consul has no instance of service {service!r} with these tags, or the token may not see any",
        )
    return node_settings(settings.inventory, found)


def node_settings(service: ConsulService, found: Mapping[str, Instance]) -> dict[str, NodeSettings]:
    """Nodes as the configuration would have them. Raises ConfigError: a name or address that is not inert."""
    nodes = {}
    for name, each in found.items():
        ssh = each.called(service.ssh) if service.ssh else ""
        for what, value in (("name", name), ("address", each.address), ("ssh", ssh or each.address)):
            check_value(f"inventory: {what} of {each.identity}", value)
        nodes[name] = NodeSettings(address=each.address, port=each.port, ssh=ssh)
    return nodes
