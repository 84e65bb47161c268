"""From the live view to the table: merged, sorted, filtered; each row made when it is asked for."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import neg

from backends.text import counted
from orchestrator.live.poller import InstanceView, View
from widgets.table.by_node import Nodes, nodes_of
from widgets.table.by_server import Merged, merged
from widgets.view_model import Arrangement, By, Counts, InstanceLine, Key, Picture, Row

_RELOAD_SHOWN = 60.0  # seconds


def picture(
    view: View,
    application_name: str,
    now: float,
    versions: Mapping[str, str],
    names: Mapping[Key, str],
    arrangement: Arrangement,
    read_only: str,
) -> Picture:
    """Everything that the main view shows of HAProxy.

    Args:
        view: of the watch.
        application_name: what it is called.
        now: monotonic seconds of the watch's clock.
        versions: what runs, by node.
        names: the node of each server, by backend and server; a server without one is its own node.
        arrangement: what to show, in which order.
        read_only: why nothing can be changed; empty when it can.
    """
    servers = merged(view, names)
    data = nodes_of(servers) if arrangement.by == "node" else servers
    return Picture(
        application=application_name,
        instances=tuple(_line(each, now) for each in view.instances),
        counts=_counts(data, arrangement.by),
        rows=MergedRows(data, order(data, arrangement), versions, now),
        read_only=read_only,
    )


class MergedRows:
    """Implements `widgets.view_model.Rows`."""

    def __init__(
        self, data: Merged | Nodes, places: list[int], versions: Mapping[str, str], now: float
    ) -> None:
        self._data = data
        self._order = places
        self._versions = versions
        self._now = now

    def __len__(self) -> int:
        return len(self._order)

    def key(self, index: int) -> Key:
        return self._data.layout.keys[self._order[index]]

    def index(self, key: Key) -> int | None:
        found = []
        for place in self._data.layout.same(key):
            with suppress(ValueError):
                found.append(self._order.index(place))
        return min(found, default=None)

    def __getitem__(self, index: int) -> Row:
        data, place = self._data, self._order[index]
        layout, node = data.layout, data.layout.nodes[place]
        standing = data.standings[place]
        seen = data.seen(place)
        servers = [instance.servers[at] for instance, at in seen]
        admin, health, weight, note = standing.admin, standing.health, standing.weight, standing.note
        if standing.group == "unseen":  # the last that is known, and called so
            last = data.last_look(place)
            age = max((_age(instance, self._now) for instance, _ in seen), default=0.0)
            admin, health, weight, note = last.admin, last.health, last.weight, f"stale {age:.0f} s"
        errors, errors_known = data.errors(place)
        times = [each.response_time for each in servers if each.response_time is not None]
        return Row(
            key=layout.keys[place],
            node=node,
            backend=layout.backends[place],
            admin=admin,
            health=health,
            kind=standing.kind,
            version=self._versions.get(node, ""),
            weight=weight,
            sessions=sum(each.sessions for each in servers),
            queue=sum(each.queue for each in servers),
            rate=data.rate(place),
            errors=errors,
            errors_known=errors_known,
            response=max(times, default=None),
            trend=data.trend(place),
            since=min((each.last_change for each in servers), default=0),
            marks=standing.marks,
            note=note,
            problem=standing.problem,
            backends=layout.size(place),
        )


def _counts(data: Merged | Nodes, of: By) -> Counts:
    groups: Counter[str] = Counter()
    for standing, count in Counter(data.standings).items():
        groups[standing.group] += count
    return Counts(groups["up"], groups["draining"], groups["maint"], groups["down"], of)


def _line(instance: InstanceView, now: float) -> InstanceLine:
    note = instance.failing
    if not note and instance.reloaded_at is not None and now - instance.reloaded_at < _RELOAD_SHOWN:
        note = f"reloaded {now - instance.reloaded_at:.0f} s ago"
    if not instance.failing and instance.unattributed:
        note = f"{counted(instance.unattributed, 'error')} not attributable to a server" + (
            f", {note}" if note else ""
        )
    version = instance.info.version.partition("-")[0] if instance.info is not None else ""
    return InstanceLine(instance.name, instance.state, version, _age(instance, now), note)


def _age(instance: InstanceView, now: float) -> float:
    return 0.0 if instance.read_at is None else max(0.0, now - instance.read_at)


_NOTHING = -1.0  # sorts after every number


def order(data: Merged | Nodes, wanted: Arrangement) -> list[int]:
    """Places to show. They come naturally sorted by node, and every sort here is stable."""
    layout, standings, needle = data.layout, data.standings, wanted.filter.casefold().strip()
    places = [place for place, standing in enumerate(standings) if standing.group != "empty"]
    if wanted.backend:
        places = [each for each in places if layout.stands_in(each, wanted.backend)]
    if wanted.problems_only:
        places = [each for each in places if standings[each].problem]
    if needle:
        texts = layout.texts
        places = [each for each in places if needle in texts[each] or needle in standings[each].words]
    if wanted.sort == "node":
        return places[::-1] if wanted.reverse else places
    values = _values(data, wanted.sort)
    if not wanted.reverse:  # the most remarkable first
        return sorted(places, key=values.__getitem__)
    return sorted(places, key=[-each for each in values].__getitem__)


def _values(data: Merged | Nodes, sort: str) -> list[float]:
    """What to sort by: the smaller the earlier."""
    if sort == "problems":
        return [each.rank for each in data.standings]
    return list(map(neg, map(_number(data, sort), range(len(data.standings)))))


def _number(data: Merged | Nodes, sort: str) -> Callable[[int], float]:
    by: dict[str, Callable[[int], float]] = {
        "sessions": data.sessions,
        "rate": lambda place: _or_nothing(data.rate(place)),
        "errors": lambda place: _or_nothing(data.errors(place)[0]),
        "response": lambda place: _or_nothing(data.response(place)),
    }
    return by[sort]


def _or_nothing(value: float | None) -> float:
    return _NOTHING if value is None else value
