"""What a file or Consul knows of an application, put where the configuration would have it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from backends.consul.balancers import sockets
from backends.consul.catalog import ConsulService, Instance, instances
from backends.consul.client import Consul
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.templates import check_host, check_port, check_value
from console.config.decoding import decode
from console.config.schema import Config
from orchestrator.settings import ApplicationSettings, NodeSettings


async def completed(config: Config, app: str, consul: Consul | None) -> Config:
    """The configuration with this application's nodes and load balancers in it.

    Raises:
        ConfigError: no such application, or what was found does not fit.
        BackendError: Consul could not be asked.
    """
    config = await placed(config, app, consul)
    settings = config.app(app)
    if consul is not None and isinstance(settings.inventory, ConsulService):
        with _named(config.file, app):
            nodes = await _nodes(settings.inventory, consul)
    else:
        nodes = config.nodes_of(app)
    return _with(config, app, msgspec.structs.replace(settings, nodes=nodes))


async def placed(config: Config, app: str, consul: Consul | None) -> Config:
    """The configuration with this application's load balancers alone. Raises as `completed` does."""
    settings = config.app(app)
    if consul is None or settings.load_balancers is None:
        return config
    with _named(config.file, app):
        found = await sockets(consul, settings.load_balancers, app)
    haproxy = {
        name: decode({"socket": address}, HaproxySettings, config.file, f"apps.{app}.load_balancers.{name}")
        for name, address in found.items()
    }
    config = _with(config, app, msgspec.structs.replace(settings, haproxy=[]))
    return msgspec.structs.replace(config, haproxy=haproxy)


def _with(config: Config, app: str, settings: ApplicationSettings) -> Config:
    return msgspec.structs.replace(config, apps={**config.apps, app: settings})


@contextmanager
def _named(file: str, app: str) -> Iterator[None]:
    """Errors within name the file and the whole key."""
    try:
        yield
    except ConfigError as error:
        if error.file:
            raise
        whole = error.key.startswith(("key ", "service ", "consul."))  # not one of the application
        raise ConfigError(file, error.key if whole else f"apps.{app}.{error.key}", error.problem) from None


async def _nodes(service: ConsulService, consul: Consul) -> dict[str, NodeSettings]:
    _, found = await instances(consul, service)
    if not found:
        problem = f"Consul has no instance of service {service.service!r} with these tags"
        raise ConfigError("", "inventory", f"{problem}, or the token may not see any")
    return node_settings(service, found)


def node_settings(service: ConsulService, found: Mapping[str, Instance]) -> dict[str, NodeSettings]:
    """Nodes as the configuration would have them. Raises ConfigError: a name or place that cannot be used."""
    nodes = {}
    for name, each in found.items():
        ssh = each.called(service.ssh) if service.ssh else ""
        of = f"of {each.identity}"
        check_value(f"inventory: name {of}", name)
        check_host(f"inventory: address {of}", each.address)
        check_host(f"inventory: ssh {of}", ssh or each.address)
        if each.port:  # without one, it comes from the configuration or from HAProxy
            check_port(f"inventory: port {of}", each.port)
        nodes[name] = NodeSettings(address=each.address, port=each.port, ssh=ssh)
    return nodes
