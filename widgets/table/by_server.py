"""All load balancers of a view, one place for each server: what costs time is done once for each view."""

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache

from orchestrator.live.poller import InstanceView, View
from orchestrator.live.rates import Places
from widgets.table.aggregate import NOWHERE, Sums, Where
from widgets.table.server_status import ABSENT, EMPTY, Look, Standing, drains, look, together
from widgets.view_model import Key, node_key, node_of

_DIGITS = re.compile(r"([0-9]+)")


@lru_cache(maxsize=32_768)
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts web2 before web10, for any text."""
    return tuple(
        (1, len(part.lstrip("0")), part.lstrip("0")) if number % 2 else (0, 0, part)
        for number, part in enumerate(_DIGITS.split(text.casefold()))
    )


class Layout:
    """Which servers there are, in the natural order of their nodes, and where each load balancer has them."""

    def __init__(self, places: tuple[Places, ...], names: Mapping[Key, str]) -> None:
        every = dict.fromkeys(name for each in places for name in each.names)
        nodes = {key: node_of(key, names) for key in every}
        self.keys = sorted(every, key=lambda key: (natural(nodes[key]), natural(key[0]), key))
        self.nodes = [nodes[key] for key in self.keys]
        self.backends = [key[0] for key in self.keys]
        self.where = [[each.index.get(key, NOWHERE) for key in self.keys] for each in places]

    def stands_in(self, place: int, backend: str) -> bool:
        return self.backends[place] == backend

    def same(self, key: Key) -> tuple[int, ...]:
        """The places of a server, or of all servers of a node."""
        if (place := self.places.get(key)) is not None:
            return (place,)
        if key[0]:
            return ()
        return tuple(at for at, node in enumerate(self.nodes) if key == node_key(node))

    def size(self, place: int) -> int:
        """In how many backends it stands."""
        return 1

    @cached_property
    def places(self) -> dict[Key, int]:
        return {key: place for place, key in enumerate(self.keys)}

    @cached_property
    def texts(self) -> list[str]:
        """What a filter looks in."""
        return [
            f"{node} {key[0]} {key[1]}".casefold() for node, key in zip(self.nodes, self.keys, strict=True)
        ]


class Merged(Sums):
    """A view, with one standing for each place of its layout."""

    def __init__(self, view: View, layout: Layout, standings: list[Standing]) -> None:
        super().__init__(view, layout.where)
        self.layout = layout
        self.standings = standings

    def last_look(self, place: int) -> Look:
        """The last that was known of it."""
        seen = self.seen(place)
        return look(seen[0][0].servers[seen[0][1]]) if seen else ABSENT

    def _at(self, place: int, among: Where) -> list[tuple[InstanceView, int]]:
        return [(each, where[place]) for each, where in among if where[place] != NOWHERE]


class _Latest:
    """The last results: a picture is asked for more often than anything changes."""

    layout: Layout | None = None
    places: tuple[Places, ...] = ()
    names: dict[Key, str] | None = None
    merged: Merged | None = None


def merged(view: View, names: Mapping[Key, str]) -> Merged:
    """Merge a view; the same view with the same names is merged once."""
    places = tuple(each.places for each in view.instances)
    if _Latest.layout is None or _Latest.places != places or names != _Latest.names:
        _Latest.layout, _Latest.places, _Latest.names = Layout(places, names), places, dict(names)
        _Latest.merged = None
    if _Latest.merged is None or _Latest.merged.view is not view:
        _Latest.merged = Merged(view, _Latest.layout, _standings(view, _Latest.layout, names))
    return _Latest.merged


def _standings(view: View, layout: Layout, names: Mapping[Key, str]) -> list[Standing]:
    looks = [
        _looks(instance, where, layout.keys, names)
        for instance, where in zip(view.instances, layout.where, strict=True)
    ]
    known: dict[tuple[Look | None, ...], Standing] = {}
    instances = [each.name for each in view.instances]
    result = []
    for row in zip(*looks, strict=True):
        standing = known.get(row)
        if standing is None:
            standing = known[row] = together(instances, row)
        result.append(standing)
    return result


def _looks(
    instance: InstanceView, where: list[int], keys: list[Key], names: Mapping[Key, str]
) -> list[Look | None]:
    """One for each place; servers in the same state share one. The slot of a node is never an empty one."""
    if instance.state != "live":
        return [None] * len(where)
    columns = instance.columns
    quiet, busy = {}, {}
    for first in set(columns.alike):
        server = instance.servers[first]
        quiet[first] = EMPTY if server.empty_slot else look(server)
        if drains(server):
            busy[first] = look(server, busy=True)
    found: list[Look | None] = [
        busy[first] if sessions and first in busy else quiet[first]
        for first, sessions in zip(columns.alike, columns.sessions, strict=True)
    ]
    found.append(ABSENT)  # at `NOWHERE`, the end
    if EMPTY in quiet.values():
        # As in `orchestrator.planning.slots.filled`: where every slot is empty, they are shown.
        serving = {name[0] for name, look in zip(columns.names, found, strict=False) if look is not EMPTY}
        for key, place in zip(keys, where, strict=True):
            if found[place] is EMPTY and (key in names or key[0] not in serving):
                found[place] = look(instance.servers[place])
    return [found[place] for place in where]
