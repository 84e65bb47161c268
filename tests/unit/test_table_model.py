"""The merged view of all load balancers, with texts and order; stale data never look live."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from backends.haproxy.columns import columns_of
from backends.model import Admin, Info, Level, Operational, Server
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import Rates, RowIndex
from tests.support.console_values import HOSTILE, server
from widgets.table.by_server import GroupBy, RowKey, natural_sort_key
from widgets.table.model import MainViewModel, Row, RowCounts, TableOptions, build_view_model

MAINT: dict[str, Any] = {"admin": Admin.FORCED_MAINT, "status": "MAINT", "operational": Operational.STOPPED}
DRAIN: dict[str, Any] = {"admin": Admin.FORCED_DRAIN, "status": "DRAIN"}
DOWN: dict[str, Any] = {
    "status": "DOWN",
    "operational": Operational.STOPPED,
    "check_status": "L4CON",
    "check_health": 0,
}
RISING: dict[str, Any] = {"status": "UP 1/3", "check_health": 2}


def instance(name: str, polls: Sequence[Sequence[Server]], **changes: Any) -> BalancerView:
    """After these looks, one second apart."""
    rates = Rates()
    for at, servers in enumerate(polls):
        columns = columns_of(servers)
        same = columns.names == rates.rows.names
        rates = rates.with_sample(rates.rows if same else RowIndex(columns.names), at, columns)
    fields: dict[str, Any] = {
        "state": "live",
        "info": Info(name, "2.6.12-1+deb12u4", 1, 100, False),
        "level": Level.ADMIN,
        "servers": polls[-1],
        "columns": columns_of(polls[-1]),
        "rates": rates,
        "read_at": 10.0,
    }
    return BalancerView(name, **(fields | changes))


def view(*changes: Mapping[str, Mapping[str, Any]], **of_instances: Mapping[str, Any]) -> FleetView:
    """For each load balancer, what its servers differ in from healthy ones."""
    found = []
    for number, own in enumerate(changes, 1):
        name = f"lb{number}"
        servers = [server(node, name, **fields) for node, fields in own.items()]
        found.append(instance(name, [servers], **of_instances.get(name, {})))
    return FleetView(tuple(found))


def shown(
    of: FleetView,
    options: TableOptions | None = None,
    *,
    now: float = 10.5,
    versions: Mapping[str, str] | None = None,
    names: Mapping[RowKey, str] | None = None,
) -> MainViewModel:
    return build_view_model(of, "shop", now, versions or {}, names or {}, options or TableOptions(), "")


def nodes(found: MainViewModel) -> list[str]:
    return [found.rows[index].node for index in range(len(found.rows))]


def only(of: FleetView, **changes: Any) -> Row:
    found = shown(of, **changes)
    assert len(found.rows) == 1
    return found.rows[0]


def test_a_row_in_full() -> None:
    polls = [
        [server("s1", name, requests=n, errors_5xx=n // 10, sessions=3, queue=1, response_time=time)]
        for name, n, time in (("lb1", 100, 8), ("lb1", 140, 8))
    ]
    two = FleetView((instance("lb1", polls), instance("lb2", polls)))
    row = only(two, versions={"web1": "1.5.0"}, names={("shop", "s1"): "web1"})
    assert row == Row(
        key=("shop", "s1"),
        node="web1",
        backend="shop",
        admin="ready",
        health="▲ up",
        kind="ok",
        version="1.5.0",
        weight="1",
        sessions=6,
        queue=2,
        rate=80,
        errors=0.1,
        response=ResponseTime(8, is_recent=False),
        trend=(80,),
        since_s=5,
        glyphs="✓✓",
        note="",
        is_problem=False,
        address="10.0.0.11:8080",
        check="L7OK 200 1 ms",
    )


@pytest.mark.parametrize(
    ("changes", "kind", "admin", "health", "counts"),
    [
        ({}, "ok", "ready", "▲ up", RowCounts(1, 0, 0, 0)),
        (DOWN, "bad", "ready", "▼ L4CON", RowCounts(0, 0, 0, 1)),
        (RISING, "moving", "ready", "△ 2/4 L7OK", RowCounts(1, 0, 0, 0)),
        (
            DOWN | {"status": "DOWN 1/2", "check_health": 1},
            "moving",
            "ready",
            "▼ L4CON",
            RowCounts(0, 0, 0, 1),
        ),
        (DRAIN, "out", "drain", "▲ up", RowCounts(0, 1, 0, 0)),
        (DRAIN | {"sessions": 2}, "moving", "drain", "▲ up", RowCounts(0, 1, 0, 0)),
        (MAINT, "out", "maint", "-", RowCounts(0, 0, 1, 0)),
        (MAINT | {"status": "MAINT (resolution)"}, "bad", "maint", "-", RowCounts(0, 0, 1, 0)),
        ({"weight": 0, "effective_weight": 0}, "out", "ready", "▲ up", RowCounts(0, 1, 0, 0)),
        ({"throttle": 40}, "moving", "ready", "▲ up", RowCounts(1, 0, 0, 0)),
    ],
)
def test_words_and_colors(
    changes: dict[str, Any], kind: str, admin: str, health: str, counts: RowCounts
) -> None:
    of = view({"web1": changes}, {"web1": changes})
    row = only(of)
    assert (row.kind, row.admin, row.health, row.note) == (kind, admin, health, "")
    assert row.is_problem == (kind != "ok")
    assert row.glyphs == ("✗✗" if row.is_problem else "✓✓")
    assert shown(of).counts == counts


@pytest.mark.parametrize(
    ("first", "second", "admin", "glyphs", "note", "kind"),
    [
        (MAINT, {}, "maint/ready", "✗✓", "ready on lb2", "moving"),
        ({}, MAINT, "ready/maint", "✓✗", "maint on lb2", "moving"),
        ({}, DOWN, "ready", "✓✗", "▼ L4CON on lb2", "bad"),
        (RISING, {}, "ready", "✗✓", "▲ up on lb2", "moving"),
        (DRAIN, DRAIN | {"sessions": 1}, "drain", "✗✗", "", "moving"),
    ],
)
def test_load_balancers_that_disagree(
    first: dict[str, Any], second: dict[str, Any], admin: str, glyphs: str, note: str, kind: str
) -> None:
    row = only(view({"web1": first}, {"web1": second}))
    assert (row.admin, row.glyphs, row.note, row.kind) == (admin, glyphs, note, kind)
    assert row.is_problem


def test_the_minority_is_named() -> None:
    row = only(view({"web1": {}}, {"web1": {}}, {"web1": MAINT}))
    assert row.note == "maint on lb3"
    assert only(view({"web1": MAINT}, {"web1": {}}, {"web1": {}})).note == "maint on lb1"


def test_a_server_that_one_load_balancer_lacks() -> None:
    of = view({"web1": {}, "web2": {}}, {"web1": {}})
    row = shown(of).rows[0]
    assert (row.node, row.glyphs, row.note, row.kind, row.is_problem) == (
        "web2",
        "✓?",
        "missing on lb2",
        "moving",
        True,
    )
    assert shown(of).counts == RowCounts(2, 0, 0, 0)


def test_one_stale_load_balancer_is_a_question_mark_and_none_of_its_numbers_counts() -> None:
    of = view({"web1": {"sessions": 5}}, {"web1": {"sessions": 7} | MAINT}, lb2={"state": "stale"})
    row = only(of)
    assert (row.glyphs, row.sessions, row.admin) == ("✓?", 5, "ready")
    assert (row.kind, row.is_problem) == ("moving", True)


def test_what_no_load_balancer_says_now_is_called_stale_with_its_age() -> None:
    stale = {"state": "stale", "failing": "no answer"}
    of = view({"web1": {"sessions": 5}}, {"web1": {}}, lb1=stale, lb2=stale)
    found = shown(of, now=22.4)
    row = found.rows[0]
    assert (row.glyphs, row.note, row.kind, row.rate) == ("??", "stale 12 s", "moving", None)
    assert (row.admin, row.sessions, row.is_problem) == ("ready", 5, True)
    assert found.counts == RowCounts(0, 0, 0, 0)
    assert (found.instances[0].state, found.instances[0].note) == ("stale", "no answer")
    assert found.instances[0].age_s == pytest.approx(12.4)


def test_instances_in_the_header() -> None:
    of = FleetView((BalancerView("lb1"), instance("lb2", [[]], reloaded_at=5.0)))
    first, second = shown(of).instances
    assert (first.state, first.version, first.age_s, first.note) == ("connecting", "", 0, "")
    assert (second.version, second.age_s, second.note) == ("2.6.12", 0.5, "reloaded 6 s ago")
    assert shown(of, now=100).instances[1].note == ""


MANY: dict[str, dict[str, Any]] = {
    "web10": {},
    "web2": {"sessions": 9},
    "web1": MAINT,
    "web3": DOWN,
    "web4": RISING,
    "web5": {"response_time": 30, "sessions": 1},
}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("problems", "web3 web4 web1 web2 web5 web10"),
        ("node", "web1 web2 web3 web4 web5 web10"),
        ("sessions", "web2 web5 web1 web3 web4 web10"),
        ("response", "web5 web1 web2 web3 web4 web10"),
        ("rate", "web1 web2 web3 web4 web5 web10"),
        ("errors", "web1 web2 web3 web4 web5 web10"),
    ],
)
def test_orders(sort: Any, expected: str) -> None:
    assert nodes(shown(view(MANY), TableOptions(sort=sort))) == expected.split()


def test_reversed_orders() -> None:
    assert nodes(shown(view(MANY), TableOptions(sort="node", reverse=True)))[0] == "web10"
    assert nodes(shown(view(MANY), TableOptions(sort="sessions", reverse=True)))[-1] == "web2"


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [("WEB1", "web1 web10"), ("maint", "web1"), ("l4con", "web3"), ("sho", ""), ("nothing", "-")],
)
def test_filter(filter_: str, expected: str) -> None:
    found = nodes(shown(view(MANY), TableOptions(filter=filter_)))
    assert found == {"": nodes(shown(view(MANY))), "-": []}.get(expected, expected.split())


def test_only_problems_and_only_one_backend() -> None:
    assert nodes(shown(view(MANY), TableOptions(problems_only=True))) == ["web3", "web4", "web1"]
    two = FleetView((instance("lb1", [[server("a"), server("a", backend="api")]]),))
    found = shown(two, TableOptions(backend="api"))
    assert [found.rows.key(n) for n in range(len(found.rows))] == [("api", "a")]


def test_keys_find_their_rows() -> None:
    rows = shown(view(MANY), TableOptions(problems_only=True)).rows
    for index in range(len(rows)):
        assert rows.index(rows.key(index)) == index
        assert rows[index].key == rows.key(index)
    assert rows.index(("shop", "web10")) is None
    assert rows.index(("shop", "who")) is None


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_shown_sorted_and_found(text: str) -> None:
    of = view({text: {}, "web1": {}, "x": DOWN | {"check_status": text}})
    found = shown(of, TableOptions(sort="node"))
    assert text in nodes(found)
    assert found.rows.index(("shop", text)) is not None
    filtered = shown(of, TableOptions(filter=text))
    assert text in nodes(filtered)


def test_natural_order_takes_any_digits() -> None:
    names = ["web10", "web2", "web" + "9" * 5000, "web²", "web٣", "10", "2", "", "web02"]
    assert sorted(names, key=natural_sort_key)[:3] == ["", "2", "10"]
    ordered = sorted(names, key=natural_sort_key)
    assert ordered.index("web2") < ordered.index("web10") < ordered.index("web" + "9" * 5000)


def test_nothing_at_all() -> None:
    found = shown(FleetView((BalancerView("lb1"),)))
    assert len(found.rows) == 0
    assert found.counts == RowCounts(0, 0, 0, 0)


EMPTY: dict[str, Any] = {
    "admin": Admin.RESOLUTION_MAINT,
    "status": "MAINT (resolution)",
    "operational": Operational.STOPPED,
    "empty_slot": True,
}


@pytest.mark.parametrize("by", ["server", "node"])
def test_slots_that_nothing_has_filled_are_neither_counted_nor_shown(by: GroupBy) -> None:
    of = view(*[{"web1": {}, "web2": DOWN, "web3": EMPTY, "web4": EMPTY}] * 2)
    found = shown(of, TableOptions(by=by))
    assert found.counts == RowCounts(1, 0, 0, 1, by)
    assert nodes(found) == ["web2", "web1"]
    assert nodes(shown(of, TableOptions(by=by, filter="web3"))) == []


def test_a_slot_that_one_load_balancer_has_filled_is_missing_on_the_other() -> None:
    row = shown(view({"web1": {}, "web2": {}}, {"web1": EMPTY, "web2": {}})).rows[0]
    assert (row.glyphs, row.note, row.is_problem) == ("✓?", "missing on lb2", True)


def test_a_slot_that_is_empty_where_it_can_be_seen_is_not_shown() -> None:
    of = view({"web1": {}, "web2": EMPTY}, {"web1": {}, "web2": EMPTY}, lb1={"state": "stale"})
    assert nodes(shown(of)) == ["web1"]


def test_the_empty_slot_of_a_node_is_shown_as_out() -> None:
    of = view({"web1": {}, "web2": EMPTY, "web3": EMPTY})
    found = shown(of, names={("shop", "web2"): "n2"})
    assert nodes(found) == ["n2", "web1"]
    assert (found.rows[0].admin, found.rows[0].kind) == ("maint", "bad")
    assert found.counts == RowCounts(1, 0, 1, 0)


def test_where_every_slot_is_empty_they_are_shown() -> None:
    assert shown(view({"web1": EMPTY, "web2": EMPTY})).counts == RowCounts(0, 0, 2, 0)


def test_where_every_slot_is_empty_those_of_no_node_are_shown_too() -> None:
    found = shown(view({"web1": EMPTY, "web2": EMPTY}), names={("shop", "web1"): "n1"})
    assert nodes(found) == ["n1", "web2"]
