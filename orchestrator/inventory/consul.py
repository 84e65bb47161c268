"""Consul as inventory: the instances of a service are the nodes; load balancers are found there too."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager

from backends.consul.balancers import ConsulBalancers, find_sockets
from backends.consul.catalog import ConsulService, Instance, instances
from backends.consul.client import Consul
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.protocols import Host, Registration
from orchestrator.inventory.source import FoundNode, NodeSettings, check_nodes
from orchestrator.planning.findings import Finding

WAIT_S = 30.0  # seconds for which a query may block; Consul answers anew after that


class ConsulSource:
    """The instances of one service. Implements `NodeSource`.

    Args:
        consul: is asked.
        service: the nodes are instances of it.
        file: the configuration, for errors.
        app: the application, for errors.
    """

    name = "Consul"

    def __init__(self, consul: Consul, service: ConsulService, file: str = "", app: str = "") -> None:
        self.confirms_changes = service.on_change == "confirm"
        self._consul = consul
        self._service = service
        self._file, self._app = file, app

    async def read(self) -> Mapping[str, NodeSettings]:
        """See `NodeSource`. No instance at all is an error too."""
        with _locate_errors(self._file, self._app):
            _, found = await instances(self._consul, self._service)
            if not found:
                problem = f"Consul has no instance of service {self._service.service!r} with these tags"
                raise ConfigError("", "inventory", f"{problem}, or the token may not see any")
            return check_nodes(convert_instances(self._service, found))

    async def watch(self) -> AsyncGenerator[Mapping[str, FoundNode], None]:
        """See `NodeSource`: by queries that block until something changes."""
        index = 0
        while True:
            index, found = await instances(self._consul, self._service, index, WAIT_S)
            yield convert_instances(self._service, found)

    def registration(self, node: str, host: Host, values: Mapping[str, str]) -> Registration | None:
        """See `NodeSource`: its maintenance and its checks, if the configuration uses either."""
        if self._service.require_consul_checks == "none" and not self._service.maintenance:
            return None
        from backends.consul.catalog import ConsulRegistration

        return ConsulRegistration(self._consul, self._service, node, host, values)

    def remarks(self) -> Sequence[Finding]:
        """See `NodeSource`: there is nothing to say."""
        return ()


def convert_instances(service: ConsulService, found: Mapping[str, Instance]) -> dict[str, FoundNode]:
    """Return instances as nodes, by the names that they have already."""
    return {
        name: FoundNode(
            instance.identity,
            instance.address,
            instance.port,
            instance.name_by(service.ssh) if service.ssh else "",
        )
        for name, instance in found.items()
    }


async def find_balancers(
    consul: Consul, places: ConsulBalancers, file: str, app: str
) -> dict[str, HaproxySettings]:
    """Return the load balancers of an application, as Consul names them now.

    Args:
        consul: is asked.
        places: where to look.
        file: the configuration, for errors.
        app: the application.

    Raises:
        ConfigError: what it has is not understood, or it has nothing.
        BackendError: Consul could not be asked.
    """
    with _locate_errors(file, app):
        found = await find_sockets(consul, places, app)
    balancers = {}
    for name, address in found.items():
        try:
            balancers[name] = HaproxySettings(socket=address)
        except ValueError as error:
            key, _, problem = str(error).partition(": ")
            raise ConfigError(file, f"apps.{app}.load_balancers.{name}.{key}", problem) from None
    return balancers


@contextmanager
def _locate_errors(file: str, app: str) -> Iterator[None]:
    """Add the file and the whole key to errors within."""
    try:
        yield
    except ConfigError as error:
        if error.file:
            raise
        whole = error.key.startswith(("key ", "service ", "consul."))  # not one of the application
        raise ConfigError(file, error.key if whole else f"apps.{app}.{error.key}", error.problem) from None
