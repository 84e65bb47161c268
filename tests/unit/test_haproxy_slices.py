"""Slices of a snapshot: the servers of some backends, the same as if only these had been read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.haproxy.columns import Columnar, columns_of
from backends.haproxy.fast_parse import Servers, fast_join
from backends.haproxy.slices import SnapshotSlices
from backends.model import Info, Level, Snapshot
from orchestrator.planning.server_pool import find_empty_slots
from tests.unit.test_haproxy_fast_parse import tables
from tests.unit.test_haproxy_parse import VERSIONS


def snapshot(version: str = "3.2", *, slow: bool = False) -> Snapshot:
    state, stat = tables(version)
    fast = fast_join("lb1", [stat], [state])
    assert fast is not None
    servers: Any = tuple(fast[1]) if slow else fast[1]
    return Snapshot(Info("lb1", version, 1, 1, False), Level.ADMIN, fast[0], servers)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("slow", [False, True])
def test_a_slice_has_what_would_be_read_of_these_backends(version: str, slow: bool) -> None:
    whole = snapshot(version, slow=slow)
    names = [backend.name for backend in whole.backends]
    for number in range(len(names)):
        wanted = names[number::2]
        part = SnapshotSlices(whole).cut(wanted)
        assert [backend.name for backend in part.backends] == wanted
        expected = tuple(server for server in whole.servers if server.ref.backend in wanted)
        assert tuple(part.servers) == expected
        assert find_empty_slots(part.servers) == find_empty_slots(expected)
        quick, full = columns_of(part.servers), columns_of(expected)
        for name in ("names", "sessions", "counters", "response"):
            assert list(getattr(quick, name)) == list(getattr(full, name))
        for server, first in zip(expected, quick.alike, strict=True):
            assert (server.in_rotation, server.status) == (
                expected[first].in_rotation,
                expected[first].status,
            )


def test_a_whole_snapshot_stays_the_same_and_a_slice_builds_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = snapshot()
    names = [backend.name for backend in whole.backends]
    assert SnapshotSlices(whole).cut([*names, "other"]) is whole
    assert SnapshotSlices(whole).missing(["other", names[0]]) == ["other"]

    def build(*_: object) -> None:
        raise AssertionError("a server was built")

    monkeypatch.setattr("backends.haproxy.fast_parse.build_server", build)
    part = SnapshotSlices(whole).cut(names[:1])
    assert isinstance(part.servers, Columnar)
    assert part.servers.columns().sessions
    assert SnapshotSlices(whole).cut(["other"]).servers == ()


@given(data=st.data())
def test_parts_may_be_anywhere(data: st.DataObject) -> None:
    servers = snapshot().servers
    assert isinstance(servers, Servers)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(servers)), min_size=2, max_size=6)))
    parts = [slice(begin, end) for begin, end in zip(cuts[::2], cuts[1::2], strict=False)]
    expected = [server for part in parts for server in servers[part]]
    taken = servers.take(parts)
    assert list(taken) == expected
    assert list(taken.columns().counters) == [server.counters for server in expected]
