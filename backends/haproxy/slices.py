"""Slices of what one HAProxy reports: the servers of some of its backends, without building any of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from backends.haproxy.columns import Columnar, names_of
from backends.model import Server, Snapshot

T = TypeVar("T")


def join_parts(items: Sequence[T], parts: Sequence[slice]) -> list[T]:
    """Return the items of these parts, one after the other."""
    if len(parts) == 1:
        return list(items[parts[0]])
    return list(chain.from_iterable(items[part] for part in parts))


class SnapshotSlices:
    """Cuts one snapshot into the backends of several applications.

    Args:
        snapshot: the snapshot, of all backends.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._places = {backend.name: place for place, backend in enumerate(snapshot.backends)}
        self._parts: Mapping[str, Sequence[slice]] | None = None

    def missing(self, wanted: Collection[str]) -> list[str]:
        """Return which of these backends the snapshot does not have."""
        return [name for name in wanted if name not in self._places]

    def cut(self, wanted: Collection[str]) -> Snapshot:
        """Return these backends and their servers; the snapshot itself if there are no others."""
        names = set(wanted)
        if self._places.keys() <= names:
            return self._snapshot
        if self._parts is None:
            self._parts = _find_parts(self._snapshot.servers)
        found = sorted(
            (part for name in names for part in self._parts.get(name, ())), key=lambda part: part.start
        )
        places = sorted(self._places[name] for name in names & self._places.keys())
        backends = tuple(self._snapshot.backends[place] for place in places)
        return replace(self._snapshot, backends=backends, servers=_take(self._snapshot.servers, found))


def _take(servers: Sequence[Server], parts: Sequence[slice]) -> Sequence[Server]:
    if not parts:
        return ()
    return servers.take(parts) if isinstance(servers, Columnar) else tuple(join_parts(servers, parts))


def _find_parts(servers: Sequence[Server]) -> dict[str, list[slice]]:
    """Return where the servers of each backend are; HAProxy lists them together."""
    parts: dict[str, list[slice]] = {}
    current, begin, index = None, 0, 0
    for index, (backend, _) in enumerate(names_of(servers)):
        if backend != current:
            if current is not None:
                parts.setdefault(current, []).append(slice(begin, index))
            current, begin = backend, index
    if current is not None:
        parts.setdefault(current, []).append(slice(begin, index + 1))
    return parts
