"""The node view: one row for each machine, over all backends and load balancers, and where they differ."""

from collections.abc import Mapping
from typing import Any

import pytest

from backends.model import Server
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.live.poller import FleetView
from tests.support.console_values import HOSTILE, server
from tests.unit.test_table_model import DOWN, DRAIN, MAINT, RISING, instance, only, shown
from tests.unit.test_table_model import nodes as names_of
from widgets.table.by_node import group_by_node, translate_keys
from widgets.table.by_server import RowKey, merge_by_name, node_key, node_of
from widgets.table.model import MainViewModel, Row, RowCounts, TableOptions

NODES = TableOptions(by="node")

Changes = Mapping[str, Mapping[str, Any]]
"""What a server differs in from a healthy one, by "backend/server"."""


def servers(name: str, own: Changes) -> list[Server]:
    split = [(key.partition("/"), changes) for key, changes in own.items()]
    return [server(node, name, backend, **changes) for (backend, _, node), changes in split]


def view(*own: Changes, stale: tuple[str, ...] = ()) -> FleetView:
    """For each load balancer, its servers."""
    found = []
    for number, differences in enumerate(own, 1):
        state = {"state": "stale"} if f"lb{number}" in stale else {}
        found.append(instance(f"lb{number}", [servers(f"lb{number}", differences)], **state))
    return FleetView(tuple(found))


def node(*own: Changes, stale: tuple[str, ...] = ()) -> Row:
    """The only row of this view."""
    return only(view(*own, stale=stale), options=NODES)


def by_node(of: FleetView, **changes: Any) -> MainViewModel:
    return shown(of, TableOptions(by="node", **changes))


def test_a_row_in_full() -> None:
    def polls(instance_name: str) -> list[list[Server]]:
        looks = [(100, 10, 0), (140, 14, 0), (220, 18, 2)]
        return [
            [
                server("s1", instance_name, "shop", requests=a, errors_5xx=bad, sessions=3, response_time=8),
                server("web1", instance_name, "api", requests=b, queue=1, response_time=30, last_change=2),
            ]
            for a, b, bad in looks
        ]

    two = FleetView((instance("lb1", polls("lb1")), instance("lb2", polls("lb2"))))
    row = only(two, options=NODES, versions={"web1": "1.5.0"}, names={("shop", "s1"): "web1"})
    assert row == Row(
        key=("", "web1"),
        node="web1",
        backend="api, shop",
        admin="ready",
        health="▲ up",
        kind="ok",
        version="1.5.0",
        weight="1",
        sessions=6,
        queue=2,
        rate=168,
        errors=4 / 168,
        response=ResponseTime(30, is_recent=True),
        trend=(88, 168),
        since_s=2,
        glyphs="✓✓",
        note="",
        is_problem=False,
        backend_count=2,
        address="10.0.0.11:8080",
        check="L7OK 200 1 ms",
    )


@pytest.mark.parametrize(
    ("api", "shop", "admin", "glyphs", "note", "kind"),
    [
        ((MAINT, MAINT), ({}, {}), "maint/ready", "✗✗", "maint in api", "moving"),
        (({}, {}), (MAINT, MAINT), "ready/maint", "✗✗", "maint in shop", "moving"),
        (({}, {}), ({}, MAINT), "ready/maint", "✓✗", "maint in shop on lb2", "moving"),
        (({}, MAINT), ({}, MAINT), "ready/maint", "✓✗", "maint on lb2", "moving"),
        ((MAINT, MAINT), ({}, MAINT), "maint/ready", "✗✗", "ready in shop on lb1", "moving"),
        (
            (MAINT, {}),
            ({}, MAINT),
            "maint/ready",
            "✗✗",
            "maint in api on lb1, maint in shop on lb2",
            "moving",
        ),
        ((MAINT, MAINT), (DRAIN, DRAIN), "maint/drain", "✗✗", "drain in shop", "moving"),
        (({}, {}), (DOWN, DOWN), "ready", "✗✗", "▼ L4CON in shop", "bad"),
        (({}, RISING), ({}, {}), "ready", "✓✗", "△ 2/4 L7OK in api on lb2", "moving"),
        ((MAINT, MAINT), (MAINT, MAINT), "maint", "✗✗", "", "out"),
        ((MAINT, MAINT), (DOWN, DOWN), "maint/ready", "✗✗", "ready in shop", "bad"),
    ],
)
def test_it_names_where_it_differs(
    api: tuple[Mapping[str, Any], Mapping[str, Any]],
    shop: tuple[Mapping[str, Any], Mapping[str, Any]],
    admin: str,
    glyphs: str,
    note: str,
    kind: str,
) -> None:
    row = node(*({"api/web1": one, "shop/web1": other} for one, other in zip(api, shop, strict=True)))
    assert (row.admin, row.glyphs, row.note, row.kind) == (admin, glyphs, note, kind)
    assert row.is_problem


def test_the_minority_is_named_and_the_worst_health_shown() -> None:
    row = node({"a/web1": {}, "b/web1": DOWN, "c/web1": RISING, "d/web1": {}, "e/web1": {}})
    assert row.note == "▼ L4CON in b, △ 2/4 L7OK in c"
    assert (row.health, row.backend, row.glyphs) == ("▼ L4CON", "a, b, c, d, e", "✗")


def test_one_backend_alone_reads_as_in_the_server_view() -> None:
    of = view({"shop/web1": MAINT}, {"shop/web1": {}})
    servers_row, row = only(of), only(of, options=NODES)
    assert (row.admin, row.note, row.glyphs) == (servers_row.admin, servers_row.note, servers_row.glyphs)
    assert row.key == ("", "web1")


def test_a_stale_load_balancer_is_a_question_mark_and_counts_for_nothing() -> None:
    one: Changes = {"api/web1": {"sessions": 5}, "shop/web1": {"sessions": 2}}
    other: Changes = {"api/web1": {"sessions": 7} | MAINT, "shop/web1": MAINT}
    row = node(one, other, stale=("lb2",))
    assert (row.glyphs, row.sessions, row.admin, row.note) == ("✓?", 7, "ready", "")
    assert (row.kind, row.is_problem) == ("moving", True)


def test_what_nobody_says_now_is_called_stale_with_the_last_that_was_known() -> None:
    of = view({"api/web1": MAINT, "shop/web1": {"sessions": 3}}, stale=("lb1",))
    found = shown(of, NODES, now=22.4)
    row = found.rows[0]
    assert (row.glyphs, row.note, row.admin, row.sessions) == ("?", "stale 12 s", "maint/ready", 3)
    assert (row.rate, row.is_problem, found.counts) == (None, True, RowCounts(0, 0, 0, 0, "node"))


def test_what_one_load_balancer_lacks_is_missing_there() -> None:
    row = node({"api/web1": {}, "shop/web1": {}}, {"shop/web1": {}})
    assert (row.glyphs, row.note, row.kind) == ("✓?", "missing in api on lb2", "moving")
    row = node({"api/web1": {}, "shop/web1": {}}, {})
    assert (row.glyphs, row.note) == ("✓?", "missing on lb2")
    row = node({"api/web1": {}, "shop/web1": {}}, {"shop/web1": MAINT})
    assert row.glyphs == "✓✗", "being out outweighs not being known"


def test_another_server_name_on_each_load_balancer_is_nothing_missing() -> None:
    of = view({"api/a": {}, "shop/web1": {}}, {"api/b": {}, "shop/web1": {}})
    names = {("api", "a"): "web1", ("api", "b"): "web1"}
    row = only(of, options=NODES, names=names)
    assert (row.glyphs, row.note, row.backend, row.backend_count) == ("✓✓", "", "api, shop", 2)


MANY: Changes = {
    "api/web1": {"sessions": 1},
    "api/web2": {"sessions": 4},
    "shop/web2": MAINT | {"sessions": 4},
    "shop/web10": {"sessions": 7},
    "www/web3": DOWN,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sort": "problems"}, "web3 web2 web1 web10"),
        ({"sort": "node"}, "web1 web2 web3 web10"),
        ({"sort": "node", "reverse": True}, "web10 web3 web2 web1"),
        ({"sort": "sessions"}, "web2 web10 web1 web3"),
        ({"sort": "sessions", "reverse": True}, "web3 web1 web10 web2"),
        ({"problems_only": True}, "web3 web2"),
        ({"backend": "shop", "sort": "node"}, "web2 web10"),
        ({"backend": "none"}, ""),
        ({"filter": "WWW"}, "web3"),
        ({"filter": "maint in shop"}, "web2"),
        ({"filter": "l4con"}, "web3"),
        ({"filter": "shop", "sort": "node"}, "web2 web10"),
    ],
)
def test_sorted_and_filtered_like_servers(changes: dict[str, Any], expected: str) -> None:
    assert names_of(by_node(view(MANY), **changes)) == expected.split()


def test_counts_are_of_nodes() -> None:
    assert by_node(view(MANY)).counts == RowCounts(up=2, draining=0, maint=1, down=1, of="node")
    assert shown(view(MANY)).counts == RowCounts(up=3, draining=0, maint=1, down=1)


def test_a_filter_finds_each_health_not_only_the_worst() -> None:
    of = view({"api/web1": DOWN, "shop/web1": DOWN | {"check_status": "L7STS"}})
    assert names_of(by_node(of, filter="l7sts")) == names_of(by_node(of, filter="l4con")) == ["web1"]


def test_a_key_of_one_view_finds_its_machine_in_the_other() -> None:
    of = view(MANY)
    nodes, servers_ = by_node(of, sort="node").rows, shown(of, TableOptions(sort="node")).rows
    assert nodes.index(("shop", "web2")) == nodes.index(("api", "web2")) == nodes.index(("", "web2")) == 1
    found = servers_.index(node_key("web2"))
    assert found is not None
    assert servers_.key(found) == ("api", "web2")
    only_shop = shown(of, TableOptions(backend="shop")).rows
    found = only_shop.index(node_key("web2"))
    assert found is not None
    assert only_shop.key(found) == ("shop", "web2"), "the first that is shown"
    assert only_shop.index(node_key("web1")) is None
    assert nodes.index(("shop", "who")) is servers_.index(node_key("who")) is None
    for index in range(len(nodes)):
        assert nodes.index(nodes.key(index)) == index
        assert nodes[index].key == nodes.key(index)


def test_marks_go_to_the_node_and_to_all_of_its_servers() -> None:
    of, names = view(MANY), {("www", "web3"): "machine"}
    marked: frozenset[RowKey] = frozenset({("shop", "web2"), ("www", "web3"), ("shop", "gone")})
    nodes = translate_keys(marked, of, names, "node")
    assert nodes == {node_key("web2"), node_key("machine"), node_key("gone")}
    assert translate_keys(nodes, of, names, "server") == {("api", "web2"), ("shop", "web2"), ("www", "web3")}
    assert {node_of(key, names) for key in marked} == {node_of(key, names) for key in nodes}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_grouped_and_found(text: str) -> None:
    own: Changes = {f"api/{text}": {}, f"shop/{text}": MAINT}
    of = FleetView((instance("lb1", [[*servers("lb1", own), server("web1", backend=text, **DOWN)]]),))
    found = by_node(of, sort="node")
    assert sorted(names_of(found)) == sorted(("web1", text))
    row = found.rows[names_of(found).index(text)]
    assert (row.backend, row.note) == ("api, shop", "maint in shop")
    assert text in names_of(by_node(of, filter=text))
    assert names_of(by_node(of, backend=text)) == ["web1"]


def test_alike_nodes_share_one_standing_and_the_grouping_is_kept() -> None:
    own: Changes = {f"{backend}/web{number}": {} for backend in ("api", "shop") for number in range(50)}
    one, other = view({**own, "shop/web7": MAINT}), view(own)
    first = group_by_node(merge_by_name(one, {}))
    assert len(set(map(id, first.statuses))) == 2
    assert group_by_node(merge_by_name(one, {})) is first
    names = {("shop", "web7"): "web8"}
    assert len(group_by_node(merge_by_name(other, names)).rows.keys) == 50
    assert group_by_node(merge_by_name(other, names)).rows.groups != first.rows.groups


def test_a_second_look_at_the_same_servers_keeps_the_grouping() -> None:
    one = view(MANY)
    layout = group_by_node(merge_by_name(one, {})).rows
    assert group_by_node(merge_by_name(FleetView(one.instances), {})).rows is layout


def test_nothing_at_all() -> None:
    assert len(by_node(FleetView(())).rows) == len(by_node(view({})).rows) == 0
