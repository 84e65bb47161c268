"""Which nodes an application has: from the configuration, completed by what HAProxy knows. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from backends.errors import ConfigError
from backends.model import Server
from backends.templates import check_host, check_port, check_value
from orchestrator.settings import ApplicationSettings, NodeSettings


@dataclass(frozen=True, slots=True)
class Member:
    """A node by name and place, before anything is opened."""

    name: str
    address: str
    port: int
    servers: tuple[str, ...]
    settings: NodeSettings


def members(app: ApplicationSettings, servers: Iterable[Server], file: str, key: str) -> list[Member]:
    """The nodes in the order of the configuration, or of HAProxy when that is the inventory.

    Args:
        app: the application.
        servers: what was read from HAProxy; may be empty when the configuration says it all.
        file: of the configuration, for errors.
        key: of the application in it, for errors.

    Raises:
        ConfigError: an address or port that neither the configuration nor HAProxy tells.
    """
    servers = list(servers)
    place = f"{key}.inventory" if app.inventory else f"{key}.nodes"
    if not app.nodes:
        _one_place_each(servers, file, place)
    known = _by_name(servers)
    nodes = app.nodes or {server.ref.server: NodeSettings() for server in servers if not server.empty_slot}
    result = []
    for name, settings in nodes.items():
        names = tuple(settings.servers) or (name,)
        seen = next((known[each] for each in names if each in known), None)
        address = settings.address or (seen.address if seen else "")
        port = settings.port or app.port or (seen.port if seen else 0)
        for field, value in (("address", address), ("port", port)):
            if not value:
                raise ConfigError(
                    file,
                    f"{place}.{name}.{field}",
                    f"missing, and HAProxy does not tell it for {' or '.join(names)}",
                )
        with _named(file, f"{place}.{name}"):
            check_value("name", name)
            check_host("address", address)
            check_port("port", port)
        result.append(Member(name, address, port, names, settings))
    return result


def _one_place_each(servers: Iterable[Server], file: str, key: str) -> None:
    """With HAProxy as the inventory a server's name is the node's: it must not mean two machines."""
    places: dict[str, set[str]] = {}
    for each in servers:
        if each.address:
            places.setdefault(each.ref.server, set()).add(f"{each.address}:{each.port}")
    for name, found in places.items():
        if len(found) > 1:
            raise ConfigError(
                file,
                key,
                f"missing, and server {name!r} in HAProxy is several places: {', '.join(sorted(found))};"
                " name each node and its `servers`",
            )


@contextmanager
def _named(file: str, key: str) -> Iterator[None]:
    """What HAProxy said goes into commands, as the configuration's does. Errors name the whole key."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(file, f"{key}.{error.key}", error.problem) from None


def _by_name(servers: Iterable[Server]) -> Mapping[str, Server]:
    """Server lines by "web1" and by "backend/web1"; of several the first that was read."""
    known: dict[str, Server] = {}
    for each in servers:
        known.setdefault(each.ref.server, each)
        known.setdefault(f"{each.ref.backend}/{each.ref.server}", each)
    return known
