"""The nodes of an application, from their source and from the answers of load balancers so far."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from backends.errors import BackendError, ConfigError
from backends.model import Server, Snapshot
from backends.templates import check_host, check_port, check_value
from orchestrator.balancers.group import BalancerGroup
from orchestrator.inventory.source import NodeSettings
from orchestrator.node import Node


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node by name and endpoint, before its adapters are made."""

    name: str
    address: str
    port: int
    servers: tuple[str, ...]
    settings: NodeSettings


STRAGGLER_WAIT_S = 0.3  # seconds to wait for other load balancers once the first has answered

Build = Callable[[Sequence[NodeSpec]], Awaitable[Sequence[Node]]]


class InventoryResolver:
    """Resolves nodes: it reads all load balancers once, in parallel, if the source leaves something out.

    Args:
        named: the nodes in the source.
        balancer_group: the application's load balancers.
        build: makes the nodes of new specs.
        file: of the configuration, for errors.
        key: of the nodes in it, for errors.
        port: of nodes that have none of their own; 0: as HAProxy has it.
    """

    def __init__(
        self,
        named: Mapping[str, NodeSettings],
        balancer_group: BalancerGroup,
        build: Build,
        file: str,
        key: str,
        port: int = 0,
    ) -> None:
        self._named = named
        self._balancer_group = balancer_group
        self._build = build
        self._file, self._key = file, key
        self._port = port
        self._reads: dict[str, asyncio.Task[Snapshot | None]] = {}
        self._nodes: dict[str, Node] = {}
        self._specs: dict[str, NodeSpec] = {}  # of which they were built
        self._known: tuple[Node, ...] | None = None
        self._used = 0  # answers that `_known` is made of
        self._growing = asyncio.Lock()
        self._begin()

    def replace(self, named: Mapping[str, NodeSettings]) -> None:
        """Set other nodes than before, which `first_known` and `all_nodes` return from now on."""
        if named != self._named:
            self._named = named
            self._known = None
            self._begin()

    def _begin(self) -> None:
        if not _is_complete(self._named, self._port) and not self._reads:
            self._reads = {
                name: asyncio.create_task(self._read(name), name=f"inventory {name}")
                for name in self._balancer_group.balancers
            }

    async def first_known(self) -> tuple[Node, ...]:
        """Return the nodes that are known soon: a load balancer that hangs must not delay the console.

        Raises:
            ConfigError: the settings do not fit together, whatever was answered.
        """
        while self._waiting and not self._answers():
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=STRAGGLER_WAIT_S)
        while True:
            try:
                return await self._build_new()
            except ConfigError:
                if not self._waiting:
                    raise
            # One that has not answered yet may have what is missing.
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)

    async def all_nodes(self) -> tuple[Node, ...]:
        """Return all nodes, once every load balancer has answered or failed.

        Preflight reports a load balancer that does not answer.

        Raises:
            ConfigError: the settings do not fit together.
        """
        if self._waiting:
            await asyncio.wait(self._waiting)
        return await self._build_new()

    async def close(self) -> None:
        """Cancel what is still being read."""
        for reading in self._reads.values():
            reading.cancel()
        await asyncio.gather(*self._reads.values(), return_exceptions=True)

    @property
    def _waiting(self) -> list[asyncio.Task[Snapshot | None]]:
        return [reading for reading in self._reads.values() if not reading.done()]

    def _answers(self) -> list[Snapshot]:
        """Return the answers so far, in the order of the configuration."""
        done = (reading.result() for reading in self._reads.values() if reading.done())
        return [snapshot for snapshot in done if snapshot is not None]

    async def _build_new(self) -> tuple[Node, ...]:
        async with self._growing:
            answers = self._answers()
            while self._known is None or len(answers) != self._used:
                named = self._named
                servers = [server for snapshot in answers for server in snapshot.servers]
                specs = resolve_nodes(named, servers, self._file, self._key, self._port)
                built = await self._build([spec for spec in specs if self._specs.get(spec.name) != spec])
                self._nodes |= {node.name: node for node in built}
                self._specs = {spec.name: spec for spec in specs}
                if named is self._named:  # not replaced meanwhile
                    known = tuple(self._nodes[spec.name] for spec in specs)
                    self._known, self._used = known, len(answers)
            if not self._waiting:
                self._reads, self._used = {}, 0  # thousands of servers are not kept for nothing
            return self._known

    async def _read(self, name: str) -> Snapshot | None:
        try:
            return await self._balancer_group.balancers[name].snapshot(self._balancer_group.backends)
        except BackendError:
            return None


def _is_complete(named: Mapping[str, NodeSettings], port: int) -> bool:
    """Return whether the source has the address and the port of all nodes."""
    return bool(named) and all(node.address and (node.port or port) for node in named.values())


def resolve_nodes(
    named: Mapping[str, NodeSettings], servers: Iterable[Server], file: str, key: str, port: int = 0
) -> list[NodeSpec]:
    """Return the nodes in the order of their source, or of HAProxy if that is the inventory. Pure.

    Args:
        named: the nodes in the configuration, or another source; may be empty.
        servers: what was read from HAProxy; may be empty when the source leaves nothing out.
        file: of the configuration, for errors.
        key: of the nodes in it, for errors.
        port: of nodes that have none of their own; 0: as HAProxy has it.

    Raises:
        ConfigError: an address or port that neither the source nor HAProxy tells.
    """
    servers = list(servers)
    if not named:
        _refuse_ambiguous_names(servers, file, key)
    known = _index_servers(servers)
    nodes = named or {server.ref.server: NodeSettings() for server in servers if not server.empty_slot}
    result = []
    for name, settings in nodes.items():
        names = tuple(settings.servers) or (name,)
        seen = next((known[server] for server in names if server in known), None)
        address = settings.address or (seen.address if seen else "")
        own_port = settings.port or port or (seen.port if seen else 0)
        for field, value in (("address", address), ("port", own_port)):
            if not value:
                raise ConfigError(
                    file,
                    f"{key}.{name}.{field}",
                    f"missing, and HAProxy does not report it for {' or '.join(names)}",
                )
        with _locate_errors(file, f"{key}.{name}"):
            check_value("name", name)
            check_host("address", address)
            check_port("port", own_port)
        result.append(NodeSpec(name, address, own_port, names, settings))
    return result


def _refuse_ambiguous_names(servers: Iterable[Server], file: str, key: str) -> None:
    """Raise ConfigError if a server's name refers to two machines, with HAProxy as the inventory."""
    places: dict[str, set[str]] = {}
    for server in servers:
        if server.address:
            places.setdefault(server.ref.server, set()).add(f"{server.address}:{server.port}")
    for name, found in places.items():
        if len(found) > 1:
            raise ConfigError(
                file,
                key,
                f"missing, and server {name!r} in HAProxy is several places: {', '.join(sorted(found))};"
                " name each node and its `servers`",
            )


@contextmanager
def _locate_errors(file: str, key: str) -> Iterator[None]:
    """Add the whole key to errors about values from HAProxy, which go into commands too."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(file, f"{key}.{error.key}", error.problem) from None


def _index_servers(servers: Iterable[Server]) -> Mapping[str, Server]:
    """Return servers by "web1" and by "backend/web1"; of several the first that was read."""
    known: dict[str, Server] = {}
    for server in servers:
        known.setdefault(server.ref.server, server)
        known.setdefault(f"{server.ref.backend}/{server.ref.server}", server)
    return known
