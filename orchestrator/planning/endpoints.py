"""Whether a server line of HAProxy is the machine of its node: its address against the inventory's. Pure."""

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from backends.errors import BackendError
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.followers import (
    TrackTargets,
    describe_followers,
    followers,
    is_same_endpoint,
    returning_followers,
    tracked_servers,
)
from orchestrator.balancers.group import present
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


MAX_LISTED_NODES = 8  # nodes of one backend that are named


@dataclass(frozen=True, slots=True)
class SharedEndpoints:
    """The load balancers with all of their backends.

    Attributes:
        snapshots: of those that could be read so.
        tracked: which of their servers follow another one.
        findings: what could not be read.
    """

    snapshots: Mapping[str, Snapshot]
    tracked: TrackTargets
    findings: tuple[Finding, ...] = ()

    def followers(self, refs: Collection[ServerRef]) -> tuple[ServerRef, ...]:
        """The servers that are carried along when these are taken out."""
        return tuple(sorted(followers(self.tracked, refs)))

    def returning(self, refs: Collection[ServerRef]) -> frozenset[ServerRef]:
        """The followers that are in rotation as soon as these are."""
        return returning_followers(self.servers(self.followers(refs)).values(), refs)

    def servers(self, refs: Collection[ServerRef]) -> dict[ServerRef, Server]:
        """Those of these that are there; no other is built."""
        return present(refs, self.snapshots.values())


async def read_shared_endpoints(balancers: Iterable[LoadBalancer]) -> SharedEndpoints:
    """Read all backends of these load balancers.

    One that cannot be read so is an error: what a drain also affects there would not be known.
    """

    async def read(balancer: LoadBalancer) -> Snapshot | Finding:
        try:
            return await balancer.snapshot()
        except BackendError as error:
            text = (
                "whether its nodes are also in other backends, or tracked there, could not be checked:"
                f" {error.problem}"
            )
            return Finding(Severity.ERROR, balancer.name, text)

    results = await asyncio.gather(*map(read, balancers))
    snapshots = {found.info.instance: found for found in results if isinstance(found, Snapshot)}
    return SharedEndpoints(
        snapshots,
        tracked_servers(snapshots.values()),
        tuple(found for found in results if isinstance(found, Finding)),
    )


def judge_shared_endpoints(
    shared: SharedEndpoints, mapped: Mapping[str, Sequence[ServerRef]], ignored_backends: Collection[str]
) -> list[Finding]:
    """Find server lines with a node's address and port that its turn would not take out.

    Stopping the service would cut what comes through them, and nothing here would notice: an error, unless
    somebody has said that it may be so. One that follows the node's own line is taken out with it. Each
    backend is one finding, whatever of it is concerned.

    Args:
        shared: all backends.
        mapped: the server lines of each node, on all load balancers.
        ignored_backends: backends in which that is accepted; only a warning then.
    """
    out = {name: {*refs, *shared.followers(refs)} for name, refs in mapped.items()}
    found: dict[str, list[tuple[str, Server]]] = {}
    for snapshot in shared.snapshots.values():
        for name, server in _left_in(mapped, out, snapshot.servers):
            found.setdefault(server.ref.backend, []).append((name, server))
    return [_finding(backend, left, ignored_backends) for backend, left in found.items()]


def judge_followers(name: str, refs: Sequence[ServerRef], shared: SharedEndpoints) -> Iterable[Finding]:
    """Say what a node that is taken out carries along; another machine is worth a warning."""
    carried = shared.followers(refs)
    if not carried:
        return
    servers = shared.servers((*refs, *carried))
    own = [servers[ref] for ref in refs if ref in servers]
    same = [ref for ref in carried if is_same_endpoint(servers[ref], own)]
    others = [ref for ref in carried if ref not in same]
    for severity, found in ((Severity.WARNING, others), (Severity.INFO, same)):
        for words in describe_followers(shared.tracked, found):
            yield Finding(severity, name, f"also affects {words}")


def _left_in(
    mapped: Mapping[str, Sequence[ServerRef]],
    out: Mapping[str, Collection[ServerRef]],
    servers: Sequence[Server],
) -> Iterator[tuple[str, Server]]:
    """The lines of one load balancer that are left in, each with the node that it is too."""
    own: dict[ServerRef, list[str]] = {}
    for name, refs in mapped.items():
        for ref in refs:
            own.setdefault(ref, []).append(name)
    # An address is empty where the socket's level hides it.
    places: dict[tuple[str, int], dict[str, None]] = {}
    for server in servers:
        if server.ref in own and server.address:
            places.setdefault((server.address, server.port), {}).update(dict.fromkeys(own[server.ref]))
    for server in servers:
        if server.admin_state is AdminState.MAINT:
            continue
        for name in places.get((server.address, server.port), ()):
            if server.ref not in out[name]:
                yield name, server


def _finding(backend: str, left: Sequence[tuple[str, Server]], unmanaged: Collection[str]) -> Finding:
    nodes: dict[str, dict[str, None]] = {}
    for name, server in left:
        nodes.setdefault(name, {})[server.ref.server] = None
    words = [
        name if list(servers) == [name] else f"{name} (as {', '.join(servers)})"
        for name, servers in nodes.items()
    ]
    more = f" and {len(words) - MAX_LISTED_NODES} more" if len(words) > MAX_LISTED_NODES else ""
    where = ", ".join(dict.fromkeys(server.ref.instance for _, server in left))
    one = len(words) == 1
    text = (
        f"has {'the node' if one else 'the nodes'} {', '.join(words[:MAX_LISTED_NODES])}{more} too"
        f" (on {where}),"
        f" {'which is' if one else 'which are'} not drained there: requests that come that way fail while"
        f" {'it is' if one else 'they are'} worked on"
    )
    if backend in unmanaged:
        return Finding(Severity.WARNING, f"backend {backend}", text)
    text += "; add it to `backends` (or `servers`), or accept that in `ignored_backends`"
    return Finding(Severity.ERROR, f"backend {backend}", text)
