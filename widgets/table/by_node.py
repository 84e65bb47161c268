"""The servers of a view by machine: grouped once for each layout, judged once for each case."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter

from orchestrator.live.poller import InstanceView, View
from widgets.table.aggregate import Sums, Where
from widgets.table.by_server import Layout, Merged, merged, natural
from widgets.table.server_status import (
    ABSENT,
    EMPTY,
    RANKS,
    Look,
    Standing,
    is_empty,
    mark,
    no_server,
    summed,
    word_of,
)
from widgets.view_model import By, Key, node_key, node_of

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
    """The last results, as in `widgets.table.by_server`."""

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


@dataclass(frozen=True, slots=True)
class _Cell:
    """A node in one backend on one load balancer."""

    backend: str
    instance: str
    look: Look | None


def over_backends(
    names: Sequence[str], backends: Sequence[str], looks: Sequence[Sequence[Look | None]]
) -> Standing:
    """Merge what the servers of one node say.

    Args:
        names: of the load balancers.
        backends: of the servers, one for each.
        looks: for each server, one for each load balancer; None where the data are stale or not there yet.
    """
    if is_empty(every := [look for own in looks for look in own]):
        return no_server(tuple(every))
    cells = [
        _Cell(backend, name, each)
        for backend in dict.fromkeys(backends)
        for at, name in enumerate(names)
        for each in _present([own[at] for own, its in zip(looks, backends, strict=True) if its == backend])
    ]
    marks = "".join(_mark([each.look for each in cells if each.instance == name]) for name in names)
    standing = summed(tuple(each.look for each in cells), marks, _note(cells))
    # A filter finds each health, not only the worst one that is shown.
    healths = dict.fromkeys(each.health.casefold() for each in standing.looks if each is not None)
    return replace(standing, words=" ".join((standing.words, *healths)))


def _present(looks: Sequence[Look | None]) -> Sequence[Look | None]:
    """The servers of a node in one backend there: one has another name on each load balancer perhaps."""
    return [look for look in looks if look not in (ABSENT, EMPTY)] or [ABSENT]


def _mark(looks: Sequence[Look | None]) -> str:
    """In rotation only when it is so in every backend; being out outweighs not being known."""
    marks = set(map(mark, looks))
    return next((each for each in "✗?✓" if each in marks), "?")


def _note(cells: Sequence[_Cell]) -> str:
    """Where it differs from most; from the better, when there are as many."""
    every = [each for each in cells if each.look is not None]
    looks = [each.look for each in every if each.look is not None]
    said: dict[str, list[_Cell]] = {}
    best: dict[str, int] = {}
    for cell, look in zip(every, looks, strict=True):
        _, word = word_of(look, looks)
        said.setdefault(word, []).append(cell)
        best[word] = max(best.get(word, 0), RANKS[look.kind])
    usual = max(said, key=lambda word: (len(said[word]), best[word]), default="")
    return ", ".join(
        f"{word} {place}" for word, own in said.items() if word != usual for place in _places(own, every)
    )


def _places(own: Sequence[_Cell], every: Sequence[_Cell]) -> Sequence[str]:
    """As short as it is exact: a whole backend, a whole load balancer, or one on the other."""
    whole = _covered(own, every, lambda each: each.backend)
    rest = [each for each in own if each.backend not in whole]
    if len({each.backend for each in every}) == 1:
        return [f"on {each.instance}" for each in own]
    if rest:
        instances = _covered(own, every, lambda each: each.instance)
        if all(each.instance in instances for each in own):
            return [f"on {each}" for each in instances]
    return [*(f"in {each}" for each in whole), *(f"in {each.backend} on {each.instance}" for each in rest)]


def _covered(own: Sequence[_Cell], every: Sequence[_Cell], part: Callable[[_Cell], str]) -> Sequence[str]:
    """The parts of which all cells are among these."""
    wanted = [each for each in every if each not in own]
    left = set(map(part, wanted))
    return [each for each in dict.fromkeys(map(part, own)) if each not in left]
