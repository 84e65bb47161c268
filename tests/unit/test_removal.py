"""The order in which nodes are put back, and in which backends all backup servers serve together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from backends.errors import Unreachable
from backends.haproxy.config_facts import HaproxyFacts
from backends.model import Admin, Info, Level, Server, ServerRef, Snapshot
from orchestrator.planning.findings import Facts, PreflightFailed
from orchestrator.planning.removal import (
    find_all_backups,
    find_several_backups,
    read_all_backups,
    sort_for_return,
)
from tests.support.console_values import server
from tests.support.fake_balancer import FakeFacts
from tests.support.fake_fleet import World


def out(name: str) -> Server:
    return server(name, admin=Admin.FORCED_MAINT, status="MAINT")


def inheriting(name: str, followed: str, backend: str = "shop") -> Server:
    return server(
        name, backend=backend, track_target=followed, admin=Admin.INHERITED_MAINT, status="MAINT (via x/y)"
    )


def sort_names(world: World, servers_by_node: Mapping[str, Sequence[Server]]) -> list[str]:
    nodes = [node for name in servers_by_node for node in world.application.nodes if node.name == name]
    servers = {server.ref: server for own in servers_by_node.values() for server in own}
    mapped = {name: [server.ref for server in own] for name, own in servers_by_node.items()}
    return [node.name for node in sort_for_return(nodes, mapped, servers)]


@pytest.mark.virtual_time
async def test_a_node_that_is_followed_is_put_back_first() -> None:
    chain = {
        "web1": [inheriting("web1", "shop/web2")],
        "web2": [inheriting("web2", "shop/web3")],
        "web3": [out("web3")],
    }
    assert sort_names(World(3), chain) == ["web3", "web2", "web1"]


@pytest.mark.virtual_time
async def test_one_server_that_follows_is_enough_to_wait() -> None:
    """Its other servers follow nobody: that must not let the node go first."""
    both = {
        "web1": [out("web1a"), inheriting("web1", "shop/web2")],
        "web2": [out("web2")],
    }
    assert sort_names(World(2), both) == ["web2", "web1"]


@pytest.mark.virtual_time
async def test_nodes_that_inherit_nothing_keep_their_order() -> None:
    """A server that only tracks another one, and was taken out itself, can return by itself."""
    own = {
        "web2": [replace(server("web2", track_target="shop/web1"), admin=Admin.FORCED_MAINT)],
        "web1": [out("web1")],
    }
    assert sort_names(World(2), own) == ["web2", "web1"]


@pytest.mark.virtual_time
async def test_a_circle_of_followers_ends() -> None:
    circle = {"web1": [inheriting("web1", "shop/web2")], "web2": [inheriting("web2", "shop/web1")]}
    assert sort_names(World(2), circle) == ["web1", "web2"]


@pytest.mark.virtual_time
async def test_a_node_that_follows_a_server_that_stays_out_cannot_return() -> None:
    with pytest.raises(PreflightFailed, match="follows other/o1, which is out, and cannot return without it"):
        sort_names(World(1), {"web1": [inheriting("web1", "other/o1")]})


# -- all backup servers -------------------------------------------------------------------------


def backup(name: str, backend: str, instance: str = "lb1") -> Server:
    return server(name, instance, backend, backup=True)


def snapshot(instance: str, *servers: Server) -> Snapshot:
    return Snapshot(Info(instance, "3.0", 1, 1, False), Level.ADMIN, (), servers)


SNAPSHOTS = {
    "lb1": snapshot(
        "lb1", server("web1"), backup("b1", "shop"), backup("b2", "shop"), backup("b3", "one"), server("o1")
    ),
    "lb2": snapshot("lb2", server("web1", "lb2"), backup("b1", "shop", "lb2")),
}
REFS = {ServerRef("lb1", "shop", "web1"), ServerRef("lb2", "shop", "web1"), ServerRef("lb1", "one", "b3")}


def test_one_backup_server_serves_alone_whatever_the_option_says() -> None:
    assert find_several_backups(SNAPSHOTS, REFS) == {("lb1", "shop")}
    assert find_several_backups(SNAPSHOTS, [ServerRef("lb1", "one", "b3")]) == frozenset()
    assert find_several_backups({}, REFS) == frozenset()


def test_where_the_configuration_cannot_be_read_one_backup_server_counts() -> None:
    """More would let a backend fall below its floor."""
    several = {("lb1", "shop"), ("lb2", "shop")}
    facts: dict[str, Facts] = {
        "lb1": HaproxyFacts(all_backups=frozenset({"shop", "other"})),
        "lb2": Unreachable("lb2", "no route"),
    }
    assert find_all_backups(facts, several) == {("lb1", "shop")}
    assert find_all_backups({"lb1": HaproxyFacts()}, several) == frozenset()
    assert find_all_backups({}, several) == frozenset()


@pytest.mark.virtual_time
async def test_facts_are_read_only_where_there_are_several_backups() -> None:
    world = World(1, 2)
    for balancer in world.balancers.values():
        balancer.config = FakeFacts(all_backups=frozenset({"shop"}))
    world.balancers["lb2"].faults.add("facts", AssertionError("it has one backup server"))
    found = await read_all_backups(world.application.balancer_group.balancers, SNAPSHOTS, REFS)
    assert found == frozenset({("lb1", "shop")})
