"""Which servers in HAProxy a node is: by name, or by address and port. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from backends.haproxy import commands
from backends.model import Server, ServerRef, Snapshot
from orchestrator.node import Node
from orchestrator.plan import Finding, Severity

Match = Literal["name", "address"]
Mapped = dict[str, tuple[ServerRef, ...]]


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
        among: all nodes of the application: a server line may not belong to one that was not chosen either.
    """
    mapped: Mapped = {}
    findings: list[Finding] = []
    for node in nodes:
        for instance, snapshot in snapshots.items():
            servers = [each for each in snapshot.servers if _is(node, each, match)]
            findings += _judge(node, instance, servers, snapshot.servers, match)
        found = _refs(node, snapshots, match)
        mapped[node.name] = tuple(sorted(ref for ref in found if commands.is_safe(ref)))
        findings += _uneven(node, found)
    others = {each.name: _refs(each, snapshots, match) for each in among if each.name not in mapped}
    return mapped, (*findings, *_shared(mapped, others))


def _refs(node: Node, snapshots: Mapping[str, Snapshot], match: Match) -> list[ServerRef]:
    return [
        server.ref
        for snapshot in snapshots.values()
        for server in snapshot.servers
        if _is(node, server, match)
    ]


def _is(node: Node, server: Server, match: Match) -> bool:
    if match == "address":
        return server.address in node.addresses and server.port == node.port
    ref = server.ref
    return ref.server in node.servers or f"{ref.backend}/{ref.server}" in node.servers


def _judge(
    node: Node, instance: str, servers: Sequence[Server], peers: Iterable[Server], match: Match
) -> Iterable[Finding]:
    if not servers:
        yield _missing(node, instance, peers, match)
    backends = [each.ref.backend for each in servers]
    for backend in sorted({each for each in backends if backends.count(each) > 1}):
        names = ", ".join(each.ref.server for each in servers if each.ref.backend == backend)
        yield Finding(Severity.ERROR, node.name, f"stands in {backend} on {instance} more than once: {names}")
    for server in servers:
        if not commands.is_safe(server.ref):
            yield Finding(
                Severity.ERROR,
                node.name,
                f"{server.ref}: HAProxy could take this name for something else; nothing is sent to it",
            )
        if node.addresses and server.address and server.address not in node.addresses:
            ours = ", ".join(sorted(node.addresses))
            yield Finding(
                Severity.WARNING,
                node.name,
                f"{server.ref} has the address {server.address}, the inventory says {ours}:"
                " is it the same machine?",
            )


def _missing(node: Node, instance: str, peers: Iterable[Server], match: Match) -> Finding:
    if match == "name":
        wanted, known = " or ".join(node.servers), sorted({each.ref.server for each in peers})
    else:
        wanted = " or ".join(f"{address}:{node.port}" for address in sorted(node.addresses))
        known = sorted({f"{each.address}:{each.port}" for each in peers})
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
    if len({frozenset(each) for each in places.values()}) > 1:
        listed = "; ".join(f"{name}: {', '.join(sorted(each))}" for name, each in places.items())
        yield Finding(Severity.WARNING, node.name, f"stands in different backends on each ({listed})")


def _shared(mapped: Mapped, others: Mapping[str, Sequence[ServerRef]]) -> Iterable[Finding]:
    owners: dict[ServerRef, list[str]] = {}
    for name, refs in (*mapped.items(), *others.items()):
        for ref in refs:
            owners.setdefault(ref, []).append(name)
    for ref, names in owners.items():
        if len(names) > 1 and any(name in mapped for name in names):
            yield Finding(Severity.ERROR, str(ref), f"is more than one node at once: {', '.join(names)}")
