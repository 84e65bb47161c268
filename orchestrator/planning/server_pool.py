"""The servers that count: those that are not empty slots, and those that served during a rollout."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.haproxy.columns import Name, columns_of
from backends.model import Admin, Operational, Server, ServerRef, Snapshot
from orchestrator.balancers.admin_state import format_path
from orchestrator.node import Node
from orchestrator.planning.application import Match
from orchestrator.planning.mapping import map_servers

_DECIDED = Admin.FORCED_MAINT | Admin.FORCED_DRAIN | Admin.INHERITED_MAINT | Admin.INHERITED_DRAIN


def name_servers(
    views: Iterable[Sequence[Server]], nodes: Sequence[Node], match: Match, before: Mapping[Name, str]
) -> dict[Name, str]:
    """Return the node behind each server line of several load balancers.

    Args:
        views: the servers of each.
        nodes: of the application.
        match: how server lines are matched with nodes.
        before: the names until now: a slot that a node has left, and that nothing has filled since, is still
            said to be its own, unless it is in another one now.
    """
    found: dict[Name, str] = {}
    empty: set[Name] = set()
    for servers in views:
        found |= map_servers(nodes, servers, match)
        empty |= find_empty_slots(servers)
    there = set(found.values())
    return {name: node for name, node in before.items() if name in empty and node not in there} | found


def find_empty_slots(servers: Sequence[Server]) -> frozenset[Name]:
    """Return backend and name of the slots that nothing has filled; cheap when there are none."""
    return frozenset(_find_empty(servers))


def find_ignored_slots(servers: Sequence[Server], kept: Collection[Name] = ()) -> frozenset[Name]:
    """Return the empty slots that do not count; cheap when there are none.

    A backend in which every slot is empty has lost all that it had, or never had any: there the slots count,
    so that it is not taken for healthy. If some of them are kept, only these count.

    Args:
        servers: the servers of one load balancer.
        kept: empty slots that count all the same, because they are, or were, a node's.
    """
    empty = find_empty_slots(servers).difference(kept)
    if not empty:
        return empty
    with_others = {name[0] for name in columns_of(servers).names if name not in empty}
    return frozenset(name for name in empty if name[0] in with_others)


def drop_ignored_slots(servers: Sequence[Server], kept: Collection[Name] = ()) -> Sequence[Server]:
    """Return the servers without the slots that do not count; the same sequence when there are none."""
    ignored = find_ignored_slots(servers, kept)
    if not ignored:
        return servers
    names = columns_of(servers).names
    return tuple(servers[at] for at, name in enumerate(names) if name not in ignored)


def drop_empty_slots(
    snapshots: Mapping[str, Snapshot],
    kept: Collection[ServerRef] = (),
    *,
    nodes: Sequence[Node] = (),
    match: Match = "name",
) -> dict[str, Snapshot]:
    """Return the snapshots without empty slots.

    Args:
        snapshots: the snapshots, by load balancer.
        kept: servers that count all the same.
        nodes: all nodes. A slot that a node has by its name counts: a floor must not shrink because a node
            has died and its record is gone.
        match: how server lines are matched with nodes.
    """
    found = {}
    for instance, snapshot in snapshots.items():
        own = {(ref.backend, ref.server) for ref in kept if ref.instance == instance}
        if nodes and match == "name" and next(_find_empty(snapshot.servers), None) is not None:
            own |= map_servers(nodes, snapshot.servers, match).keys()
        servers = drop_ignored_slots(snapshot.servers, own)
        found[instance] = snapshot if servers is snapshot.servers else replace(snapshot, servers=servers)
    return found


def _find_empty(servers: Sequence[Server]) -> Iterator[Name]:
    """Yield the names of empty slots; of servers in the same state one is judged."""
    columns = columns_of(servers)
    heads = {first for first in set(columns.alike) if servers[first].empty_slot}
    if heads:
        yield from (name for name, first in zip(columns.names, columns.alike, strict=True) if first in heads)


@dataclass(slots=True)
class _History:
    """What was seen of the servers of one load balancer, by backend and server name."""

    served: set[Name] = field(default_factory=set)  # took traffic at least once
    rotated: set[Name] = field(default_factory=set)  # were in rotation with full health
    filled: set[Name] = field(default_factory=set)  # were filled at least once
    last: tuple[object, ...] = ()  # what decides, in the last snapshot


class ServerPool:
    """The history of the servers while a rollout goes on; it is shown every snapshot of a load balancer.

    A snapshot costs little, however many servers there are: those in the same state are judged once.
    """

    def __init__(
        self,
        nodes: Mapping[ServerRef, str] | None = None,
        backends: Collection[str] | None = None,
        *,
        is_rollback: bool = False,
    ) -> None:
        """Begin with the servers of the plan; no snapshot was shown yet.

        Args:
            nodes: the servers of the plan, with the names of their nodes.
            backends: the backends of the application; by default all.
            is_rollback: a rollback brings back what fell out: a node that it has not come to yet does not
                hold it up.
        """
        self._is_rollback = is_rollback
        self._ended: set[str] = set()
        self._nodes = dict(nodes or {})
        self._backends = None if backends is None else frozenset(backends)
        self._histories: dict[str, _History] = {}
        self._fell: dict[
            ServerRef, tuple[str, ...]
        ] = {}  # servers that are down, with the nodes under way when they fell
        self._under_way: tuple[str, ...] = ()  # nodes from the moment at which they were touched
        self._last: tuple[str, ...] = ()  # the node that ended last

    def begin(self, node: str) -> None:
        """Note that a node is worked on from now on."""
        if node not in self._under_way:
            self._under_way = (*self._under_way, node)

    def end(self, node: str) -> None:
        """Note that the rollout of a node is over, however it ended."""
        self._ended.add(node)
        if node in self._under_way:
            self._under_way = tuple(name for name in self._under_way if name != node)
            self._last = (node,)

    def add(self, snapshot: Snapshot) -> None:
        """Take note of the next snapshot of one load balancer."""
        instance = snapshot.info.instance
        history = self._histories.setdefault(instance, _History())
        columns = columns_of(snapshot.servers)
        heads = {first: snapshot.servers[first] for first in set(columns.alike)}
        serving = {first for first, server in heads.items() if server.receives_traffic and not server.backup}
        rotating = {first for first, server in heads.items() if server.in_rotation and not server.backup}
        empty = {first for first, server in heads.items() if server.empty_slot}
        down = {first for first, server in heads.items() if _is_down(server)}
        last = columns.names, columns.alike, serving, rotating, empty, down
        if last == history.last:
            return
        history.last = last
        alike = list(zip(columns.names, columns.alike, strict=True))
        if self._backends is not None:
            alike = [(name, first) for name, first in alike if name[0] in self._backends]
        history.served.update(name for name, first in alike if first in serving)
        history.rotated.update(name for name, first in alike if first in rotating)
        history.filled.update(name for name, first in alike if first not in empty)
        fallen = {
            ServerRef(instance, *name) for name, first in alike if first in down and name in history.served
        }
        for ref in [ref for ref in self._fell if ref.instance == instance and ref not in fallen]:
            del self._fell[ref]
        for ref in fallen:
            self._fell.setdefault(ref, self._under_way or self._last)

    def filled(self, snapshots: Mapping[str, Snapshot]) -> dict[str, Snapshot]:
        """Return the snapshots without empty slots that were never filled and are not of the plan."""
        kept = {
            ServerRef(instance, *name)
            for instance, history in self._histories.items()
            for name in history.filled
        }
        return drop_empty_slots(snapshots, kept | self._nodes.keys())

    def fallen(self, snapshots: Mapping[str, Snapshot], but: Collection[ServerRef]) -> str:
        """Describe the servers that fell out of rotation by themselves and are down now; empty when none did.

        A server that was down before the rollout began is not among them; the floor takes it into account.

        Args:
            snapshots: the snapshots of now, which were passed to `add`.
            but: servers that are worked on, or were left out: it is known why these are down.
        """
        but = frozenset(but)
        if self._is_rollback:
            but |= {ref for ref, node in self._nodes.items() if node not in self._ended}
        if not self._fell.keys() - but:
            return ""
        servers = {
            server.ref: server
            for snapshot in snapshots.values()
            for server in snapshot.servers
            if server.ref in self._fell and server.ref not in but
        }
        groups: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
        for ref, server in servers.items():
            how = f"{server.status} {server.check_status}".rstrip()
            groups.setdefault((self.name_of(ref), self._fell[ref], how), []).append(ref.instance)
        return "; ".join(
            f"{name} fell out of rotation {_format_period(nodes)}: {how}"
            f" on {', '.join(dict.fromkeys(instances))}"
            for (name, nodes, how), instances in groups.items()
        )

    def missing(self, snapshots: Iterable[Snapshot]) -> list[Server]:
        """Return the servers outside the plan that were in rotation and are not now, by nobody's decision."""
        return [
            server
            for snapshot in snapshots
            if (history := self._histories.get(snapshot.info.instance)) is not None
            for server in snapshot.servers
            if (server.ref.backend, server.ref.server) in history.rotated
            and server.ref not in self._nodes
            and not server.in_rotation
            and not server.admin & _DECIDED
            and server.weight > 0
        ]

    def name_of(self, ref: ServerRef) -> str:
        """Return the node of a server of the plan; for any other server, backend and server name."""
        return self._nodes.get(ref, format_path(ref))


def _is_down(server: Server) -> bool:
    """Return whether checks, an agent or name resolution keep a server down, and no operator does."""
    return server.operational is Operational.STOPPED and not server.admin & _DECIDED


def _format_period(nodes: tuple[str, ...]) -> str:
    if not nodes:
        return "since the rollout began"
    return f"during the upgrade of {' and '.join(nodes)}"
