"""The servers of a view by machine: grouped once for each layout, judged once for each case."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import itemgetter

from orchestrator.live.poller import InstanceView, View
from widgets.merged import Layout, Merged, merged, natural
from widgets.model import By, Key, node_key, node_of
from widgets.node_standing import over_backends
from widgets.standing import Look, Standing
from widgets.sums import Sums, Where

_Pick = Callable[[list[Standing]], "Standing | tuple[Standing, ...]"]


class NodeLayout:
    """Which nodes there are, in their natural order, and the places of their servers."""

    def __init__(self, servers: Layout) -> None:
        groups: dict[str, list[int]] = {}
        for place, node in enumerate(servers.nodes):
            groups.setdefault(node, []).append(place)
        self.servers = servers
        self.nodes = list(groups)
        self.keys = [node_key(each) for each in self.nodes]
        self.groups = list(groups.values())
        # The backends of each group, the same object for the same backends: thousands of nodes share one.
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        stands = (tuple(servers.backends[place] for place in group) for group in self.groups)
        self.stands = [known.setdefault(each, each) for each in stands]
        self.picks: list[_Pick] = [itemgetter(*group) for group in self.groups]
        shown = {each: ", ".join(dict.fromkeys(sorted(each, key=natural))) for each in known}
        self.backends = [shown[each] for each in self.stands]

    @cached_property
    def places(self) -> dict[Key, int]:
        return {key: place for place, key in enumerate(self.keys)}

    @cached_property
    def texts(self) -> list[str]:
        """What a filter looks in."""
        texts = self.servers.texts
        return [" ".join([texts[place] for place in group]) for group in self.groups]

    def stands_in(self, place: int, backend: str) -> bool:
        return backend in self.stands[place]

    def same(self, key: Key) -> tuple[int, ...]:
        """The place of a node, or of a server's node."""
        at = self.servers.places.get(key)
        place = self.places.get(key if at is None else node_key(self.servers.nodes[at]))
        return () if place is None else (place,)

    def size(self, place: int) -> int:
        """In how many backends it stands."""
        return len(set(self.stands[place]))


class Nodes(Sums):
    """A view, with one standing for each node of its layout."""

    def __init__(self, servers: Merged, layout: NodeLayout) -> None:
        super().__init__(servers.view, servers.layout.where)
        self.layout = layout
        self.standings = _standings(servers, layout)
        self._servers = servers

    def last_look(self, place: int) -> Standing:
        """The last that was known of it."""
        looks: list[list[Look | None]] = [
            [self._servers.last_look(each)] for each in self.layout.groups[place]
        ]
        return over_backends([""], self.layout.stands[place], looks)

    def _at(self, place: int, among: Where) -> list[tuple[InstanceView, int]]:
        group = self.layout.groups[place]
        return [(each, where[own]) for own in group for each, where in among if where[own] >= 0]


def _standings(servers: Merged, layout: NodeLayout) -> list[Standing]:
    names = [each.name for each in servers.view.instances]
    own = servers.standings
    known: dict[object, Standing] = {}
    result = []
    for stands, pick in zip(layout.stands, layout.picks, strict=True):
        picked = pick(own)
        if isinstance(picked, Standing):
            result.append(picked)
            continue
        case = id(stands), picked
        standing = known.get(case)
        if standing is None:
            standing = known[case] = over_backends(names, stands, [each.looks for each in picked])
        result.append(standing)
    return result


class _Latest:
    """The last results, as in `widgets.merged`."""

    layout: NodeLayout | None = None
    nodes: tuple[Merged, Nodes] | None = None


def nodes_of(servers: Merged) -> Nodes:
    """The nodes of a merged view; the same view is taken together once."""
    if _Latest.layout is None or _Latest.layout.servers is not servers.layout:
        _Latest.layout = NodeLayout(servers.layout)
    if _Latest.nodes is None or _Latest.nodes[0] is not servers:
        _Latest.nodes = servers, Nodes(servers, _Latest.layout)
    return _Latest.nodes[1]


def carried(keys: Iterable[Key], view: View, names: Mapping[Key, str], by: By) -> frozenset[Key]:
    """What stands for the same machines in the other view: the nodes of servers, all servers of nodes.

    Args:
        keys: of rows of either view.
        view: of the watch.
        names: the node of each server, by backend and server name.
        by: what a row is where they are carried to.
    """
    if by == "node":
        return frozenset(node_key(node_of(key, names)) for key in keys)
    wanted, layout = {node_of(key, names) for key in keys}, merged(view, names).layout
    return frozenset(key for key, node in zip(layout.keys, layout.nodes, strict=True) if node in wanted)
