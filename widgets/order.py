"""Which rows are shown, in which order. The same for servers and for nodes."""

from collections.abc import Callable
from operator import neg

from widgets.merged import Merged
from widgets.model import Arrangement
from widgets.nodes import Nodes

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
