"""The fast parser returns the same as the full one, or leaves the reply to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import UnreadableReply
from backends.haproxy import columns, parse
from backends.haproxy import columns as rows
from backends.haproxy.columns import columns_of
from backends.haproxy.fast_parse import fast_join
from tests.unit.test_haproxy_parse import VERSIONS, read
from tests.unit.test_haproxy_parse import tables as captured

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def tables(version: str, kind: str = "admin") -> tuple[str, str]:
    """Without the backend of its own that 2.2 shows, when it is asked for all of them, in one of two."""
    state, stat = captured(version, kind)
    return "\n".join(line for line in state.split("\n") if " MASTER " not in line), stat


@pytest.mark.parametrize("kind", ["admin", "user"])
def test_it_reads_the_same_from_what_haproxy_said(version: str, kind: str) -> None:
    state, stat = tables(version, kind)
    fast = fast_join("lb1", [stat], [state])
    assert fast is not None
    backends, servers = read(state, stat)
    assert (fast[0], tuple(fast[1])) == (backends, servers)
    assert fast[1][-1] == servers[-1]
    assert fast[1][1:3] == servers[1:3]


def test_the_columns_say_what_the_servers_say(version: str) -> None:
    state, stat = tables(version)
    fast = fast_join("lb1", [stat], [state])
    assert fast is not None
    quick, slow = columns_of(fast[1]), columns_of(read(state, stat)[1])
    for name in ("names", "sessions", "counters", "response"):
        assert list(getattr(quick, name)) == getattr(slow, name)
    for server, first in zip(fast[1], quick.alike, strict=True):
        like = fast[1][first]
        assert (server.admin_state, server.in_rotation, server.receives_traffic, server.status) == (
            like.admin_state,
            like.in_rotation,
            like.receives_traffic,
            like.status,
        )


def test_counters_say_the_same_one_by_one_and_all_at_once(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, stat = tables(version)
    slow = columns_of(read(state, stat)[1])
    for few in (1000, 3, 0):
        monkeypatch.setattr(columns, "MAX_SINGLE_ROWS", few)
        fast = fast_join("lb1", [stat], [state])
        assert fast is not None
        quick = columns_of(fast[1])
        assert list(quick.counters) == slow.counters
        assert (quick.counters[1:3], quick.response[-1]) == (slow.counters[1:3], slow.response[-1])


@given(data=st.data())
def test_no_damage_makes_it_say_anything_else(version: str, data: st.DataObject) -> None:
    replies = list(tables(version))
    which = data.draw(st.integers(0, 1))
    text = replies[which]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 40, len(text))))
    damage = data.draw(st.text(alphabet='-,\n" 0129x²٣', max_size=5))
    replies[which] = text[:start] + damage + text[end:]
    fast = fast_join("lb1", [replies[1]], [replies[0]])
    if fast is not None:
        assert (fast[0], tuple(fast[1])) == read(replies[0], replies[1])


def test_the_same_backend_twice_is_left_to_the_slow_way(version: str) -> None:
    state, stat = tables(version)
    assert fast_join("lb1", [stat, stat], [state, state]) is None
    assert fast_join("lb1", [], []) is None


@pytest.mark.parametrize("piece", [1, 700])
def test_a_reply_that_is_matched_in_pieces_is_read_to_its_last_row(
    version: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_CHUNK_CHARS", piece)
    state, stat = tables(version)
    fast = fast_join("lb1", [stat], [state])
    assert fast is not None
    assert (fast[0], tuple(fast[1])) == read(state, stat)


def test_columns_that_stand_in_another_order_are_left_to_the_slow_way(version: str) -> None:
    state, stat = tables(version)
    assert fast_join("lb1", [stat.replace("status,weight", "weight,status", 1)], [state]) is None
    assert fast_join("lb1", [stat.replace("pxname,svname", "svname,pxname", 1)], [state]) is None
    assert fast_join("lb1", [stat.replace(",hrsp_1xx,", ",hrsp_9xx,", 1)], [state]) is None


def test_a_reply_that_is_too_large_is_left_to_the_slow_way_which_refuses_it(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, stat = tables(version)
    for module in (columns, parse):
        monkeypatch.setattr(module, "MAX_ROWS", 100)
    header, row, *_ = stat.split("\n")
    body = stat.removeprefix(header)
    for large in (
        f"{header},{'x' * parse.MAX_ROW_CHARS}{body}",
        header + ",x" * parse.MAX_COLUMNS + body.replace("\n", "\n" + "," * parse.MAX_COLUMNS),
        stat + row.replace(",", ",x" * parse.MAX_ROW_CHARS, 1) + "\n",
        stat + f"{row}\n" * 101,
    ):
        assert fast_join("lb1", [large], [state]) is None
        with pytest.raises(UnreadableReply):
            parse.parse_stat("lb1", large)
