"""Whether a server line of HAProxy is the machine of its node: its address against the inventory's. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal

from backends.model import Server
from orchestrator.node import Node
from orchestrator.planning.plan import Finding, Severity

Match = Literal["name", "address"]
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Endpoints:
    """The addresses and ports of all nodes of an application.

    Only addresses are compared. A host name that nobody has resolved, and what HAProxy hides or has not
    resolved itself, say nothing, and nothing is said of them.
    """

    def __init__(self, nodes: Iterable[Node] = (), match: Match = "name") -> None:
        """Index the addresses of the nodes.

        Args:
            nodes: all of the application.
            match: by what server lines belong to them.
        """
        self._match: Match = match
        self._nodes: dict[Ip, list[Node]] = {}
        for node in nodes:
            for ip in _ips(node):
                self._nodes.setdefault(ip, []).append(node)

    def judge(self, node: Node, servers: Sequence[Server]) -> Iterator[Finding]:
        """Compare the server lines that a node has by their names on one load balancer.

        The address of another node is an error: one machine would be drained, and another one stopped. An
        address that no node has is a warning. A machine of its own may have several ports, such as that of
        a sidecar, as long as one of its lines has the node's.
        """
        own = _ips(node)
        lines = [(server, ip) for server in servers if (ip := _ip_of(server, node)) is not None]
        if not own or self._match == "address":
            return
        has_port = any(ip in own and server.port == node.port for server, ip in lines)
        ours = _listed(sorted(map(str, own)), node.port)
        for server, ip in lines:
            there = _place(str(ip), server.port)
            others = self._others(node, own, ip, server.port)
            if others:
                names = " or ".join(other.name for other in others)
                text = (
                    f"{server.ref} has the address {there}, which is that of {names}; {node.name} is"
                    f" {ours}: one machine would be drained, and another one stopped"
                )
                yield Finding(Severity.ERROR, node.name, text)
            elif ip not in own or (server.port and not has_port):
                text = (
                    f"{server.ref} has the address {there}, the inventory says {ours}:"
                    " is it the same machine?"
                )
                yield Finding(Severity.WARNING, node.name, text)

    def misplaced(self, node: Node, servers: Sequence[Server]) -> str:
        """Why these lines are not the node's any more, in words; empty when they are, or nothing is known.

        They were when the plan was made, but `set server ... addr` may have come since, and name resolution
        may have filled a slot with another machine.
        """
        if self._match == "address":
            for server in servers:
                if server.address and (server.address not in node.addresses or server.port != node.port):
                    there = _place(server.address, server.port)
                    ours = _listed(sorted(node.addresses), node.port)
                    return f"{server.ref} has the address {there} now, and not {ours} any more"
            return ""
        found: dict[str, list[Server]] = {}
        for server in servers:
            found.setdefault(server.ref.instance, []).append(server)
        wrong = (finding for own in found.values() for finding in self.judge(node, own))
        return next((finding.text for finding in wrong if finding.severity is Severity.ERROR), "")

    def _others(self, node: Node, own: frozenset[Ip], ip: Ip, port: int) -> list[Node]:
        """The other nodes with this address. Where machines share one, as on loopback, the port tells."""
        holders = [other for other in self._nodes.get(ip, ()) if other.name != node.name]
        exact = [other for other in holders if other.port == port]
        if ip in own:
            return exact if port != node.port else []
        return exact or holders


def _ips(node: Node) -> frozenset[Ip]:
    return frozenset(ip for address in node.addresses if (ip := _ip(address)) is not None)


def _ip_of(server: Server, node: Node) -> Ip | None:
    """None where it tells nothing: hidden, empty, or of the very name that the node has."""
    if not server.address or server.host_name in node.addresses:
        return None
    ip = _ip(server.address)
    return None if ip is None or ip.is_unspecified else ip


@lru_cache(maxsize=32_768)
def _ip(text: str) -> Ip | None:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return ip if mapped is None else mapped


def _place(address: str, port: int) -> str:
    """`10.0.0.1:80`, `[::1]:80`; the address alone where the port is not known."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _listed(addresses: Iterable[str], port: int) -> str:
    return " or ".join(_place(address, port) for address in addresses)
