"""Which servers in HAProxy a node is: by name, or by address and port. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from backends.haproxy import commands
from backends.haproxy.columns import Name, columns_of
from backends.model import Server, ServerRef, Snapshot
from orchestrator.node import Node
from orchestrator.planning.endpoints import Endpoints, Match
from orchestrator.planning.plan import Finding, Severity

Mapped = dict[str, tuple[ServerRef, ...]]
_Key = tuple[str, int]
"""What tells a server line: its address and port, or its name and 0."""


def map_nodes(
    nodes: Sequence[Node],
    snapshots: Mapping[str, Snapshot],
    match: Match,
    *,
    among: Sequence[Node] = (),
) -> tuple[Mapped, tuple[Finding, ...]]:
    """Find every server line of every node on every load balancer.

    A node must stand on each load balancer at least once, at most once in each backend there, and no
    server line may belong to two nodes: everything else is an error, because the wrong machine would be
    drained.

    Args:
        nodes: those to map.
        snapshots: what every load balancer says now.
        match: by what.
        among: all nodes of the application: a server line may not belong to one that was not chosen either,
            nor have its address.
    """
    mapped: Mapped = {}
    findings: list[Finding] = []
    endpoints = Endpoints(among or nodes, match)
    lines = {instance: _Lines(snapshot.servers, match) for instance, snapshot in snapshots.items()}
    for node in nodes:
        for instance, own in lines.items():
            findings += _judge(node, instance, own.of(node), own.servers, match)
            findings += endpoints.judge(node, own.of(node))
        found = _refs(node, lines.values())
        mapped[node.name] = tuple(sorted(ref for ref in found if commands.is_safe(ref)))
        findings += _uneven(node, found)
    others = {node.name: _refs(node, lines.values()) for node in among if node.name not in mapped}
    return mapped, (*findings, *_shared(mapped, others))


def node_by_server(nodes: Iterable[Node], servers: Sequence[Server], match: Match) -> dict[Name, str]:
    """The node behind each server line of one load balancer; lines that are no node's are left out."""
    known = {key: node.name for node in nodes for key in _keys_of(node, match)}
    # By name alone no server has to be built: there may be thousands.
    keys = map(_by_address, servers) if match == "address" else map(_by_name, columns_of(servers).names)
    found = zip(columns_of(servers).names, keys, strict=True)
    return {name: known[key] for name, own in found for key in own if key in known}


class _Lines:
    """The server lines of one load balancer, found without looking at all of them for each node."""

    def __init__(self, servers: Sequence[Server], match: Match) -> None:
        self.servers = servers
        self._match: Match = match
        self._places: dict[_Key, list[int]] = {}
        for place, server in enumerate(servers):
            own = (
                _by_address(server)
                if match == "address"
                else _by_name((server.ref.backend, server.ref.server))
            )
            for key in own:
                self._places.setdefault(key, []).append(place)

    def of(self, node: Node) -> list[Server]:
        """In the order of the load balancer."""
        found = {place for key in _keys_of(node, self._match) for place in self._places.get(key, ())}
        return [self.servers[place] for place in sorted(found)]


def _keys_of(node: Node, match: Match) -> Iterable[_Key]:
    if match == "address":
        return [(address, node.port) for address in node.addresses]
    return [(name, 0) for name in node.servers]


def _by_address(server: Server) -> tuple[_Key, ...]:
    # 2.2 keeps the address of a machine that was in a slot, and may be in another one by now.
    return () if server.empty_slot else ((server.address, server.port),)


def _by_name(name: Name) -> tuple[_Key, ...]:
    return (name[1], 0), ("/".join(name), 0)


def _refs(node: Node, lines: Iterable[_Lines]) -> list[ServerRef]:
    return [server.ref for known in lines for server in known.of(node)]


def _judge(
    node: Node, instance: str, servers: Sequence[Server], peers: Iterable[Server], match: Match
) -> Iterable[Finding]:
    if not servers:
        yield _missing(node, instance, peers, match)
    backends = [server.ref.backend for server in servers]
    for backend in sorted({backend for backend in backends if backends.count(backend) > 1}):
        names = ", ".join(server.ref.server for server in servers if server.ref.backend == backend)
        yield Finding(Severity.ERROR, node.name, f"is in {backend} on {instance} more than once: {names}")
    for server in servers:
        if not commands.is_safe(server.ref):
            yield Finding(
                Severity.ERROR,
                node.name,
                f"{server.ref}: HAProxy could misread this name; no commands are sent for it",
            )


def _missing(node: Node, instance: str, peers: Iterable[Server], match: Match) -> Finding:
    peers = [peer for peer in peers if not peer.empty_slot]
    if match == "name":
        wanted, known = " or ".join(node.servers), sorted({server.ref.server for server in peers})
    else:
        wanted = " or ".join(f"{address}:{node.port}" for address in sorted(node.addresses))
        known = sorted({f"{server.address}:{server.port}" for server in peers})
    listed = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
    return Finding(
        Severity.ERROR,
        node.name,
        f"is not registered on {instance}: looked for {wanted}, found {listed or 'no servers'}",
    )


def _uneven(node: Node, refs: Sequence[ServerRef]) -> Iterable[Finding]:
    places: dict[str, set[str]] = {}
    for ref in refs:
        places.setdefault(ref.instance, set()).add(ref.backend)
    if len({frozenset(backends) for backends in places.values()}) > 1:
        listed = "; ".join(f"{name}: {', '.join(sorted(backends))}" for name, backends in places.items())
        yield Finding(Severity.WARNING, node.name, f"is in different backends on each ({listed})")


def _shared(mapped: Mapped, others: Mapping[str, Sequence[ServerRef]]) -> Iterable[Finding]:
    names_by_server: dict[ServerRef, list[str]] = {}
    for name, refs in (*mapped.items(), *others.items()):
        for ref in refs:
            names_by_server.setdefault(ref, []).append(name)
    for ref, names in names_by_server.items():
        if len(names) > 1 and any(name in mapped for name in names):
            yield Finding(Severity.ERROR, str(ref), f"belongs to more than one node: {', '.join(names)}")
