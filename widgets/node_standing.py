"""How a node stands in all of its backends on all load balancers: one standing, and where it differs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from widgets.standing import (
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
