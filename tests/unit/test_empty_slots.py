"""Slots that nothing has filled are no servers: not for a floor, a count or a first configuration."""

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from backends.haproxy.columns import Name, columns_of
from backends.model import Admin, Backend, Info, Level, Operational, Server, ServerRef, Snapshot
from console.config.config_file import parse
from console.config.first_configuration import BalancerScan, merge_backends, render_configuration
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.live.disruptions import measure_headroom
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import Rates, RowIndex
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.mapping import map_nodes, map_servers
from orchestrator.planning.server_pool import drop_empty_slots, drop_ignored_slots, name_servers
from tests.support.console_values import server
from tests.support.fake_fleet import World

EMPTY: dict[str, Any] = {
    "address": "",
    "admin": Admin.RESOLUTION_MAINT,
    "operational": Operational.STOPPED,
    "status": "MAINT (resolution)",
    "empty_slot": True,
}


def slots(up: int, empty: int, instance: str = "lb1") -> Snapshot:
    """So many filled slots, with addresses, and so many empty ones behind them."""
    full = [server(f"web-{n}", instance, address=f"10.0.0.{n}") for n in range(1, up + 1)]
    none = [server(f"web-{n}", instance, **EMPTY) for n in range(up + 1, up + empty + 1)]
    return Snapshot(Info(instance, "2.6", 1, 1, False), Level.ADMIN, (), (*full, *none))


def ref(number: int) -> ServerRef:
    return ServerRef("lb1", "shop", f"web-{number}")


HALF = Policy(min_available="50%")


def test_half_of_three_is_two_however_many_slots_there_are() -> None:
    counted = drop_empty_slots({"lb1": slots(3, 7)}, {ref(1)})
    (found,) = capacity.check_capacity(counted, {ref(1)}, HALF)
    assert (found.before, found.after, found.floor) == (3, 2, 2)
    with pytest.raises(CapacityViolation):
        capacity.check_capacity({"lb1": slots(3, 7)}, {ref(1)}, HALF)


def test_without_any_the_servers_are_the_same_object() -> None:
    servers = slots(3, 0).servers
    assert drop_ignored_slots(servers) is servers


def test_where_every_slot_is_empty_they_count() -> None:
    servers = slots(0, 3).servers
    assert [server.ref for server in drop_ignored_slots(servers)] == [server.ref for server in servers]
    other = server("api1", backend="api")
    assert len(drop_ignored_slots((*servers, other))) == 4


@pytest.mark.virtual_time
async def test_a_node_of_that_name_counts_although_its_record_is_gone() -> None:
    world = World(nodes=3, instances=1)
    world.server("web3").emptied = True
    seen = await world.balancer_group.read_all()
    assert len(drop_empty_slots(seen)["lb1"].servers) == 2
    assert len(drop_empty_slots(seen, nodes=world.application.nodes)["lb1"].servers) == 3


@pytest.mark.virtual_time
async def test_a_plan_counts_only_what_is_there() -> None:
    world = World(nodes=3, instances=1, min_available="50%")
    for number in range(4, 11):
        world.balancers["lb1"].add("shop", f"slot{number}", world.nodes["web1"]).emptied = True
    plan = await world.plan()
    assert not plan.findings
    assert [str(capacity) for (capacity,) in plan.capacities] == [
        "shop on lb1: in rotation 3 → 2, floor 2"
    ] * 3
    assert (await world.carry_out(plan)).result == "healthy"


@pytest.mark.virtual_time
async def test_a_plan_counts_only_nodes_where_every_slot_is_empty() -> None:
    world = World(nodes=3, instances=1, min_available="50%")
    for number in range(4, 11):
        world.balancers["lb1"].add("shop", f"slot{number}", world.nodes["web1"]).emptied = True
    for number in range(1, 4):
        world.server(f"web{number}").emptied = True
    plan = await world.plan()
    assert [str(capacity) for (capacity,) in plan.capacities] == [
        "shop on lb1: in rotation 0 → 0, floor 2",
        "shop on lb1: in rotation 1 → 1, floor 2",
        "shop on lb1: in rotation 2 → 2, floor 2",
    ]


@pytest.mark.virtual_time
async def test_what_is_not_registered_is_not_looked_for_among_empty_slots() -> None:
    world = World(nodes=1, instances=1)
    node = replace(world.application.nodes[0], servers=("web9",))
    _, (missing,) = map_nodes([node], {"lb1": slots(2, 3)}, "name")
    assert missing.text == "is not registered on lb1: looked for web9, found web-1, web-2"


@pytest.mark.virtual_time
async def test_by_address_a_node_is_not_in_a_slot_that_it_has_left() -> None:
    world = World(nodes=1, instances=1)
    node = replace(world.application.nodes[0], addresses=frozenset({"10.0.0.1"}), port=8080)
    left = server("web-1", **EMPTY | {"address": "10.0.0.1"})  # as HAProxy 2.2 has it
    now = server("web-2", address="10.0.0.1")
    assert map_servers([node], (left, now), "address") == {("shop", "web-2"): "web1"}
    seen = replace(slots(0, 0), servers=(left, now))
    assert map_nodes([node], {"lb1": seen}, "address") == ({"web1": (now.ref,)}, ())


@pytest.mark.virtual_time
async def test_a_node_is_followed_by_its_address_through_the_slots() -> None:
    world = World(nodes=1, instances=1)
    node = replace(world.application.nodes[0], addresses=frozenset({"10.0.0.1"}), port=8080)

    def named(before: dict[Name, str], *servers: Server) -> dict[Name, str]:
        return name_servers([servers], [node], "address", before)

    one, two = ("shop", "web-1"), ("shop", "web-2")
    full, none = server("web-1", address="10.0.0.1"), server("web-1", **EMPTY)
    start = named({}, full, server("web-2", **EMPTY))
    assert start == {one: "web1"}
    gone = named(start, none, server("web-2", **EMPTY))
    assert gone == {one: "web1"}, "its slot is still its own"
    assert named(gone, none, server("web-2", address="10.0.0.1")) == {two: "web1"}
    assert named(gone, server("web-1", address="10.0.0.9"), server("web-2", **EMPTY)) == {}


def live(snapshot: Snapshot) -> FleetView:
    columns = columns_of(snapshot.servers)
    rates = Rates(RowIndex(columns.names))
    return FleetView(
        (BalancerView("lb1", "live", servers=snapshot.servers, columns=columns, rates=rates, read_at=0.0),)
    )


def test_the_console_counts_what_is_there() -> None:
    view = live(slots(3, 7))
    ((found,), _) = measure_headroom(view, ["shop"], HALF)
    assert (found.before, found.floor) == (3, 2)
    ((kept,), _) = measure_headroom(view, ["shop"], HALF, kept=[ref(4), ServerRef("lb2", "shop", "web-5")])
    assert (kept.before, kept.floor) == (3, 2)
    ((dead,), _) = measure_headroom(live(slots(0, 4)), ["shop"], HALF)
    assert (dead.before, dead.floor) == (0, 2)


def test_haproxy_as_the_inventory_has_no_node_in_an_empty_slot() -> None:
    found = resolve_nodes({}, slots(3, 7).servers, "f", "apps.shop.nodes")
    assert [node.name for node in found] == ["web-1", "web-2", "web-3"]


@pytest.mark.parametrize("srv", ["", "_web._tcp.test"])
def test_init_leaves_empty_slots_out(srv: str) -> None:
    servers = tuple(replace(server, srv_record=srv) for server in slots(3, 7).servers)
    [backend] = {server.ref.backend for server in servers}
    snapshot = replace(slots(3, 7), servers=servers, backends=(Backend(backend, "http", "", ""),))
    text = render_configuration({"lb1": "unix:///x"}, "", merge_backends({"lb1": BalancerScan(snapshot)}, []))
    assert "# 7 of HAProxy's servers here are empty slots" in text
    (app,) = parse(tomllib.loads(text), "f").apps.values()
    assert list(app.nodes) == ["web-1", "web-2", "web-3"]
    assert app.match == ("address" if srv else "name")


def test_init_writes_what_can_be_read_of_a_template_that_is_empty() -> None:
    snapshot = replace(slots(0, 4), backends=(Backend("shop", "http", "", ""),))
    text = render_configuration(
        {"lb1": "unix:///x"}, "", merge_backends({"lb1": BalancerScan(snapshot)}, ["shop"])
    )
    (app,) = parse(tomllib.loads(text), "f").apps.values()
    assert app.nodes == {}


def test_a_level_that_hides_addresses_hides_no_server() -> None:
    hidden = replace(slots(3, 0), level=Level.USER)
    servers = tuple(replace(server, address="") for server in hidden.servers)
    assert drop_ignored_slots(servers) is servers
