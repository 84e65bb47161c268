"""Server lines that count, and those that name resolution fills: a node that stops may lose its line."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from backends.errors import BackendError
from backends.haproxy.columns import Name, columns_of
from backends.model import Server, ServerRef, Snapshot
from orchestrator.balancers.group import Facts
from orchestrator.node import Node
from orchestrator.planning.endpoints import Match
from orchestrator.planning.mapping import node_by_server
from orchestrator.planning.plan import Finding, Severity
from orchestrator.planning.policy import Policy


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
        found |= node_by_server(nodes, servers, match)
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
            own |= node_by_server(nodes, snapshot.servers, match).keys()
        servers = filled(snapshot.servers, own)
        found[instance] = snapshot if servers is snapshot.servers else replace(snapshot, servers=servers)
    return found


def _empty(servers: Sequence[Server]) -> Iterator[Name]:
    """By name; servers in the same state share one look."""
    columns = columns_of(servers)
    heads = {first for first in set(columns.alike) if servers[first].empty_slot}
    if heads:
        yield from (name for name, first in zip(columns.names, columns.alike, strict=True) if first in heads)


def longest_absence_s(policy: Policy) -> float:
    """How long a node's service may be down in one turn at most, in seconds."""
    return policy.stop_timeout + policy.install_timeout + policy.start_timeout + policy.verify_timeout


def judge_slots(
    snapshot: Snapshot,
    facts: Facts,
    refs: Collection[ServerRef],
    policy: Policy,
) -> Iterator[Finding]:
    """Refuse where a slot could be emptied in the middle of its node's turn.

    Args:
        snapshot: of one load balancer.
        facts: of its configuration file, or why it could not be looked at.
        refs: the servers of the nodes to be worked on.
        policy: of the rollout.
    """
    slots: dict[str, str] = {}
    for server, source in _slots(snapshot.servers, refs):
        slots.setdefault(server.ref.backend, source)
    needed_s = longest_absence_s(policy)
    for backend, source in slots.items():
        problem = _not_held(backend, facts, needed_s, snapshot.info.instance)
        if problem:
            text = (
                f"name resolution fills its servers ({source}): when a service stops and its record goes,"
                " HAProxy empties the slot, and fills perhaps another one, UP and unproven, when it is back."
                f" Set `hold obsolete {needed_s:.0f}s` in the section `resolvers` of HAProxy's configuration:"
                f" so long a node's service may be stopped (stop, install, start and verify). {problem}"
            )
            yield Finding(Severity.ERROR, f"{backend} on {snapshot.info.instance}", text)


def _slots(servers: Iterable[Server], refs: Collection[ServerRef]) -> Iterator[tuple[Server, str]]:
    """Those of these servers that are slots, and by what they are filled.

    A host name alone belongs to its server, whatever its addresses; but several servers of one backend with
    the same name and port are slots for the addresses of that name.
    """
    named = [server for server in servers if server.srv_record or server.host_name]
    alike = Counter(_place(server) for server in named)
    for server in named:
        if server.ref not in refs:
            continue
        if server.srv_record:
            yield server, f"SRV record {server.srv_record}"
        elif alike[_place(server)] > 1:
            yield server, f"addresses of {server.host_name}"


def _place(server: Server) -> tuple[str, str, int]:
    return server.ref.backend, server.host_name, server.port


def _not_held(backend: str, facts: Facts, needed_s: float, instance: str) -> str:
    """Why a slot may be emptied too early; empty when it is not."""
    known = None if isinstance(facts, BackendError) else facts.hold_obsolete_s
    if known is None:
        why = facts.problem if isinstance(facts, BackendError) else facts.unseen
        return f"What is set now is unknown: {why} (`config_file` of [haproxy.{instance}] names the file)"
    if backend not in known:
        return ""  # the names are resolved once, when HAProxy starts
    if known[backend] >= needed_s:
        return ""
    return f"It is {known[backend]:g} s now"
