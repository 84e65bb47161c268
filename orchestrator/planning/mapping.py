"""The selection of nodes, their servers in HAProxy, and a check that the addresses of both agree. Pure."""

import fnmatch
import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from backends.haproxy import commands
from backends.haproxy.columns import Name, columns_of
from backends.model import Server, ServerRef, Snapshot
from backends.name_ranges import Own, fold_names
from backends.text import there_is
from orchestrator.node import Node
from orchestrator.planning.application import Match
from orchestrator.planning.findings import Finding, Severity

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Endpoints:
    """The addresses and ports of all nodes of an application.

    Only addresses are compared. A host name that is not resolved, and what HAProxy hides or has not resolved
    itself, give no finding.
    """

    def __init__(self, nodes: Iterable[Node] = (), match: Match = "name") -> None:
        """Index the addresses of the nodes.

        Args:
            nodes: all nodes of the application.
            match: how server lines are matched with nodes.
        """
        self._match: Match = match
        self._nodes: dict[Ip, list[Node]] = {}
        for node in nodes:
            for ip in _parse_ips(node):
                self._nodes.setdefault(ip, []).append(node)

    def judge(self, node: Node, servers: Sequence[Server]) -> Iterator[Finding]:
        """Compare the server lines that a node has by their names on one load balancer.

        The address of another node is an error: one machine would be drained, and another one stopped. An
        address that no node has is a warning. A machine of its own may have several ports, such as that of
        a sidecar, as long as one of its lines has the node's.
        """
        own = _parse_ips(node)
        lines = [(server, ip) for server in servers if (ip := _parse_server_ip(server, node)) is not None]
        if not own or self._match == "address":
            return
        has_port = any(ip in own and server.port == node.port for server, ip in lines)
        ours = _format_endpoints(sorted(map(str, own)), node.port)
        for server, ip in lines:
            found = _format_endpoint(str(ip), server.port)
            others = self._find_others(node, own, ip, server.port)
            if others:
                names = " or ".join(other.name for other in others)
                text = (
                    f"{server.ref} has the address {found}, which is that of {names}; {node.name} is"
                    f" {ours}: one machine would be drained, and another one stopped"
                )
                yield Finding(Severity.ERROR, node.name, text)
            elif ip not in own or (server.port and not has_port):
                text = (
                    f"{server.ref} has the address {found}, the inventory says {ours}:"
                    " is it the same machine?"
                )
                yield Finding(Severity.WARNING, node.name, text)

    def misplaced(self, node: Node, servers: Sequence[Server]) -> str:
        """Describe why these lines are not the node's any more; empty when they are, or nothing is known.

        They were when the plan was made, but `set server ... addr` may have come since, and name resolution
        may have filled a slot with another machine.
        """
        if self._match == "address":
            for server in servers:
                if server.address and (server.address not in node.addresses or server.port != node.port):
                    found = _format_endpoint(server.address, server.port)
                    ours = _format_endpoints(sorted(node.addresses), node.port)
                    return f"{server.ref} has the address {found} now, and not {ours} any more"
            return ""
        by_instance: dict[str, list[Server]] = {}
        for server in servers:
            by_instance.setdefault(server.ref.instance, []).append(server)
        wrong = (finding for own in by_instance.values() for finding in self.judge(node, own))
        return next((finding.text for finding in wrong if finding.severity is Severity.ERROR), "")

    def _find_others(self, node: Node, own: frozenset[Ip], ip: Ip, port: int) -> list[Node]:
        """Return the other nodes with this address; where machines share it, as on loopback, by the port."""
        holders = [other for other in self._nodes.get(ip, ()) if other.name != node.name]
        exact = [other for other in holders if other.port == port]
        if ip in own:
            return exact if port != node.port else []
        return exact or holders


def _parse_ips(node: Node) -> frozenset[Ip]:
    return frozenset(ip for address in node.addresses if (ip := _parse_ip(address)) is not None)


def _parse_server_ip(server: Server, node: Node) -> Ip | None:
    """Return the IP address of a server; None where it is hidden, empty, or of the node's own host name."""
    if not server.address or server.host_name in node.addresses:
        return None
    ip = _parse_ip(server.address)
    return None if ip is None or ip.is_unspecified else ip


@lru_cache(maxsize=32_768)
def _parse_ip(text: str) -> Ip | None:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return ip if mapped is None else mapped


def _format_endpoint(address: str, port: int) -> str:
    """Format as `10.0.0.1:80` or `[::1]:80`; the address alone where the port is unknown."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _format_endpoints(addresses: Iterable[str], port: int) -> str:
    return " or ".join(_format_endpoint(address, port) for address in addresses)


def select_nodes(
    nodes: Sequence[Node], limit: Sequence[str], force_ready: Collection[str] = ()
) -> tuple[list[Node], list[Finding]]:
    """Return the nodes that `--limit` selects, and findings about names that match none."""
    findings = []
    known = [node.name for node in nodes]
    if not known:
        findings.append(Finding(Severity.ERROR, "inventory", "has no nodes"))
    for pattern in limit:
        if not fnmatch.filter(known, pattern):
            text = f"--limit {pattern} matches no node; {there_is(pattern, known)}"
            findings.append(Finding(Severity.ERROR, "inventory", text))
    chosen = [
        node
        for node in nodes
        if not limit or any(fnmatch.fnmatchcase(node.name, pattern) for pattern in limit)
    ]
    for name in sorted(set(force_ready) - {node.name for node in chosen}):
        others = "" if name in known else f"; {there_is(name, known)}"
        text = f"--force-ready {name} is not among the chosen nodes{others}"
        findings.append(Finding(Severity.ERROR, "inventory", text))
    return chosen, findings


Mapped = dict[str, tuple[ServerRef, ...]]
_Key = tuple[str, int]
"""Identifies a server line: its address and port, or its name and 0."""


def map_nodes(
    nodes: Sequence[Node],
    snapshots: Mapping[str, Snapshot],
    match: Match,
    *,
    among: Sequence[Node] = (),
) -> tuple[Mapped, tuple[Finding, ...]]:
    """Find every server line of every node on every load balancer.

    A node must be on each load balancer at least once, and at most once in each backend there, and no server
    line may belong to two nodes. Everything else is an error, because the wrong machine would be drained.

    Args:
        nodes: the nodes to map.
        snapshots: what every load balancer says now.
        match: how server lines are matched with nodes.
        among: all nodes of the application: a server line may not belong to one that was not chosen either,
            or have its address.
    """
    mapped: Mapped = {}
    findings: list[Finding] = []
    endpoints = Endpoints(among or nodes, match)
    lines = {instance: _Lines(snapshot.servers, match) for instance, snapshot in snapshots.items()}
    for node in nodes:
        for instance, own in lines.items():
            findings += _judge(node, instance, own.of(node), own.servers, match)
            findings += endpoints.judge(node, own.of(node))
        found = _find_refs(node, lines.values())
        mapped[node.name] = tuple(sorted(ref for ref in found if commands.is_safe(ref)))
        findings += _judge_uneven(node, found)
    others = {node.name: _find_refs(node, lines.values()) for node in among if node.name not in mapped}
    return mapped, (*findings, *_judge_shared(mapped, others))


def map_servers(nodes: Iterable[Node], servers: Sequence[Server], match: Match) -> dict[Name, str]:
    """Return the node of each server line of one load balancer; lines without a node are left out."""
    known = {key: node.name for node in nodes for key in _keys_of(node, match)}
    # By name alone no server has to be built: there may be thousands.
    keys = map(_by_address, servers) if match == "address" else map(_by_name, columns_of(servers).names)
    found = zip(columns_of(servers).names, keys, strict=True)
    return {name: known[key] for name, own in found for key in own if key in known}


class _Lines:
    """An index of the server lines of one load balancer."""

    def __init__(self, servers: Sequence[Server], match: Match) -> None:
        self.servers = servers
        self._match: Match = match
        self._indexes: dict[_Key, list[int]] = {}
        for index, server in enumerate(servers):
            own = (
                _by_address(server)
                if match == "address"
                else _by_name((server.ref.backend, server.ref.server))
            )
            for key in own:
                self._indexes.setdefault(key, []).append(index)

    def of(self, node: Node) -> list[Server]:
        """Return the server lines of a node, in the order of the load balancer."""
        found = {index for key in _keys_of(node, self._match) for index in self._indexes.get(key, ())}
        return [self.servers[index] for index in sorted(found)]


def _keys_of(node: Node, match: Match) -> Iterable[_Key]:
    if match == "address":
        return [(address, node.port) for address in node.addresses]
    return [(name, 0) for name in node.servers]


def _by_address(server: Server) -> tuple[_Key, ...]:
    # 2.2 keeps the address of a machine that has left a slot, and may be in another one by now.
    return () if server.empty_slot else ((server.address, server.port),)


def _by_name(name: Name) -> tuple[_Key, ...]:
    return (name[1], 0), ("/".join(name), 0)


def _find_refs(node: Node, lines: Iterable[_Lines]) -> list[ServerRef]:
    return [server.ref for known in lines for server in known.of(node)]


def _judge(
    node: Node, instance: str, servers: Sequence[Server], peers: Iterable[Server], match: Match
) -> Iterable[Finding]:
    if not servers:
        yield _judge_missing(node, instance, peers, match)
    backends = [server.ref.backend for server in servers]
    for backend in sorted({backend for backend in backends if backends.count(backend) > 1}):
        names = fold_names(server.ref.server for server in servers if server.ref.backend == backend)
        yield Finding(Severity.ERROR, node.name, f"is in {backend} on {instance} more than once: {names}")
    for server in servers:
        if not commands.is_safe(server.ref):
            yield Finding(
                Severity.ERROR,
                node.name,
                f"{server.ref}: HAProxy could misread this name; no commands are sent for it",
            )


def _judge_missing(node: Node, instance: str, peers: Iterable[Server], match: Match) -> Finding:
    peers = [peer for peer in peers if not peer.empty_slot]
    if match == "name":
        wanted, known = " or ".join(node.servers), sorted({server.ref.server for server in peers})
    else:
        wanted = " or ".join(f"{address}:{node.port}" for address in sorted(node.addresses))
        known = sorted({f"{server.address}:{server.port}" for server in peers})
    listed = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
    return Finding.of(
        Severity.ERROR,
        node.name,
        f"is not registered on {instance}: looked for ",
        Own(wanted),
        f", found {listed or 'no servers'}",
    )


def _judge_uneven(node: Node, refs: Sequence[ServerRef]) -> Iterable[Finding]:
    backends_on: dict[str, set[str]] = {}
    for ref in refs:
        backends_on.setdefault(ref.instance, set()).add(ref.backend)
    if len({frozenset(backends) for backends in backends_on.values()}) > 1:
        listed = "; ".join(f"{name}: {', '.join(sorted(backends))}" for name, backends in backends_on.items())
        yield Finding(Severity.WARNING, node.name, f"is in different backends on each ({listed})")


def _judge_shared(mapped: Mapped, others: Mapping[str, Sequence[ServerRef]]) -> Iterable[Finding]:
    names_by_server: dict[ServerRef, list[str]] = {}
    for name, refs in (*mapped.items(), *others.items()):
        for ref in refs:
            names_by_server.setdefault(ref, []).append(name)
    for ref, names in names_by_server.items():
        if len(names) > 1 and any(name in mapped for name in names):
            yield Finding(Severity.ERROR, str(ref), f"belongs to more than one node: {', '.join(names)}")
