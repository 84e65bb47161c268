"""From the live view to the picture: merged, sorted, filtered; each row made when it is asked for."""

from collections import Counter
from collections.abc import Callable, Mapping
from operator import neg

from orchestrator.watch import InstanceView, View
from widgets.merged import Merged, merged
from widgets.model import Arrangement, Counts, InstanceLine, Key, Picture, Row

_RELOAD_SHOWN = 60.0  # seconds
_NOTHING = -1.0  # sorts after every number


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
    data = merged(view, names)
    return Picture(
        application=application_name,
        instances=tuple(_line(each, now) for each in view.instances),
        counts=_counts(data),
        rows=MergedRows(data, _order(data, arrangement), versions, now),
        read_only=read_only,
    )


class MergedRows:
    """Implements `widgets.model.Rows`."""

    def __init__(self, data: Merged, order: list[int], versions: Mapping[str, str], now: float) -> None:
        self._data = data
        self._order = order
        self._versions = versions
        self._now = now

    def __len__(self) -> int:
        return len(self._order)

    def key(self, index: int) -> Key:
        return self._data.layout.keys[self._order[index]]

    def index(self, key: Key) -> int | None:
        place = self._data.layout.places.get(key)
        try:
            return None if place is None else self._order.index(place)
        except ValueError:
            return None

    def __getitem__(self, index: int) -> Row:
        data, place = self._data, self._order[index]
        key, node = data.layout.keys[place], data.layout.nodes[place]
        standing = data.standings[place]
        seen = data.seen(place)
        servers = [instance.servers[at] for instance, at in seen]
        admin, health, weight, note = standing.admin, standing.health, standing.weight, standing.note
        if standing.group == "unseen":  # the last that is known, and called so
            last = data.last_look(place)
            age = max((_age(instance, self._now) for instance, _ in seen), default=0.0)
            admin, health, weight, note = last.admin, last.health, last.weight, f"stale {age:.0f} s"
        done, failed = data.responses(place)
        times = [each.response_time for each in servers if each.response_time is not None]
        return Row(
            key=key,
            node=node,
            backend=key[0],
            admin=admin,
            health=health,
            kind=standing.kind,
            version=self._versions.get(node, ""),
            weight=weight,
            sessions=sum(each.sessions for each in servers),
            queue=sum(each.queue for each in servers),
            rate=data.rate(place),
            errors=failed / done if done else None,
            response=max(times, default=None),
            trend=data.trend(place),
            since=min((each.last_change for each in servers), default=0),
            marks=standing.marks,
            note=note,
            problem=standing.problem,
        )


def _order(data: Merged, wanted: Arrangement) -> list[int]:
    """Places to show. They come naturally sorted by node, and every sort here is stable."""
    keys, standings, needle = data.layout.keys, data.standings, wanted.filter.casefold().strip()
    places = list(range(len(keys)))
    if wanted.backend:
        places = [each for each in places if keys[each][0] == wanted.backend]
    if wanted.problems_only:
        places = [each for each in places if standings[each].problem]
    if needle:
        texts = data.layout.texts
        places = [each for each in places if needle in texts[each] or needle in standings[each].words]
    if wanted.sort == "node":
        return places[::-1] if wanted.reverse else places
    values = _values(data, wanted.sort)
    if not wanted.reverse:  # the most remarkable first
        return sorted(places, key=values.__getitem__)
    return sorted(places, key=[-each for each in values].__getitem__)


def _values(data: Merged, sort: str) -> list[float]:
    """What to sort by: the smaller the earlier."""
    if sort == "problems":
        return [each.rank for each in data.standings]
    places = range(len(data.standings))
    by: dict[str, Callable[[int], float]] = {
        "sessions": data.sessions,
        "rate": lambda place: _or_nothing(data.rate(place)),
        "errors": lambda place: _share(*data.responses(place)),
        "response": lambda place: _or_nothing(data.response(place)),
    }
    return list(map(neg, map(by[sort], places)))


def _or_nothing(value: float | None) -> float:
    return _NOTHING if value is None else value


def _share(done: int, failed: int) -> float:
    return failed / done if done else _NOTHING


def _counts(data: Merged) -> Counts:
    groups: Counter[str] = Counter()
    for standing, count in Counter(data.standings).items():
        groups[standing.group] += count
    return Counts(groups["up"], groups["draining"], groups["maint"], groups["down"])


def _line(instance: InstanceView, now: float) -> InstanceLine:
    note = instance.failing
    if not note and instance.reloaded_at is not None and now - instance.reloaded_at < _RELOAD_SHOWN:
        note = f"reloaded {now - instance.reloaded_at:.0f} s ago"
    version = instance.info.version.partition("-")[0] if instance.info is not None else ""
    return InstanceLine(instance.name, instance.state, version, _age(instance, now), note)


def _age(instance: InstanceView, now: float) -> float:
    return 0.0 if instance.read_at is None else max(0.0, now - instance.read_at)
