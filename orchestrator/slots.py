"""Server lines that count: all but the slots that nothing has filled. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from backends.haproxy.columns import Name, columns_of
from backends.model import Server, ServerRef, Snapshot
from orchestrator.endpoints import Match
from orchestrator.mapping import owners
from orchestrator.node import Node


def node_names(
    views: Iterable[Sequence[Server]], nodes: Sequence[Node], match: Match, before: Mapping[Name, str]
) -> dict[Name, str]:
    """The node behind each server line of several load balancers.

    Args:
        views: the servers of each.
        nodes: of the application.
        match: by what server lines belong to them.
        before: the names until now: a slot that a node has left, and that nothing has filled since, is still
            said to be its own, unless it stands in another one now.
    """
    found: dict[Name, str] = {}
    empty: set[Name] = set()
    for servers in views:
        found |= owners(nodes, servers, match)
        empty |= empty_names(servers)
    there = set(found.values())
    return {name: node for name, node in before.items() if name in empty and node not in there} | found


def empty_names(servers: Sequence[Server]) -> frozenset[Name]:
    """Backend and name of the slots that nothing has filled; costs next to nothing when there are none."""
    return frozenset(_empty(servers))


def filled(servers: Sequence[Server], kept: Collection[Name] = ()) -> Sequence[Server]:
    """The servers without empty slots; the same sequence when there are none, which costs next to nothing.

    A backend in which every slot is empty has lost all that it had, or never had any: there the slots count,
    so that nobody takes it for healthy.

    Args:
        servers: of one load balancer.
        kept: those that count even so, because they are, or were, somebody's.
    """
    empty = empty_names(servers).difference(kept)
    if not empty:
        return servers
    names = columns_of(servers).names
    serving = {name[0] for name in names if name not in empty}
    empty = frozenset(name for name in empty if name[0] in serving)
    return tuple(servers[at] for at, name in enumerate(names) if name not in empty)


def filled_of(
    snapshots: Mapping[str, Snapshot],
    kept: Collection[ServerRef] = (),
    *,
    nodes: Sequence[Node] = (),
    match: Match = "name",
) -> dict[str, Snapshot]:
    """What load balancers say, without empty slots.

    Args:
        snapshots: as they were read.
        kept: servers that count even so.
        nodes: of the application. A slot that a node has by its name counts: a floor must not shrink because
            a node has died, and its record with it.
        match: by what servers belong to nodes.
    """
    found = {}
    for instance, snapshot in snapshots.items():
        own = {(ref.backend, ref.server) for ref in kept if ref.instance == instance}
        if nodes and match == "name" and next(_empty(snapshot.servers), None) is not None:
            own |= owners(nodes, snapshot.servers, match).keys()
        servers = filled(snapshot.servers, own)
        found[instance] = snapshot if servers is snapshot.servers else replace(snapshot, servers=servers)
    return found


def _empty(servers: Sequence[Server]) -> Iterator[Name]:
    """By name; servers in the same state share one look."""
    columns = columns_of(servers)
    heads = {first for first in set(columns.alike) if servers[first].empty_slot}
    if heads:
        yield from (name for name, first in zip(columns.names, columns.alike, strict=True) if first in heads)
