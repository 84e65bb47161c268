"""From snapshots to polls: what counts, for which group, and that nothing is counted twice or lost."""

import asyncio
from collections.abc import Callable

import pytest

from backends.haproxy.columns import Name
from backends.model import Snapshot
from orchestrator.canary.poll import Cell, Poll
from orchestrator.canary.signals import PollSeries, is_sticky, read_lifetimes
from orchestrator.events.judgement import Group
from tests.support.fake_fleet import World
from tests.support.fake_server import FakeServer

GROUPS: dict[str, Group] = {"web1": "new", "web2": "old", "web3": "old"}


class Reader:
    """A series of polls of one load balancer of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.groups = dict(GROUPS)
        self.series = PollSeries(self.find_nodes, lambda node: self.groups.get(node, ""))
        self.poll()

    def find_nodes(self, snapshot: Snapshot) -> dict[Name, str]:
        return {(server.ref.backend, server.ref.server): server.ref.server for server in snapshot.servers}

    def poll(self) -> Poll:
        return self.series.add(self.world.balancers["lb1"].seen(), asyncio.get_running_loop().time())

    def cells(self) -> dict[str, Cell]:
        return {cell.node: cell for stratum in self.poll().strata for cell in stratum.cells}


def serve(world: World, name: str, requests: int, errors: int = 0) -> None:
    server = world.server(name)
    server.requests += requests - errors
    server.errors_5xx += errors


@pytest.mark.virtual_time
async def test_a_poll_has_what_came_since_the_one_before() -> None:
    world = World()
    serve(world, "web1", 1000, 100)  # before
    reader = Reader(world)
    serve(world, "web1", 10, 2)
    serve(world, "web2", 30)
    cells = reader.cells()
    assert {name: (cell.group, cell.requests, cell.errors) for name, cell in cells.items()} == {
        "web1": ("new", 10, 2),
        "web2": ("old", 30, 0),
    }
    assert reader.cells() == {}


OUT: dict[str, Callable[[FakeServer], object]] = {
    "in maintenance": lambda server: server.set_state("maint"),
    "drained": lambda server: server.set_state("drain"),
    "down": lambda server: setattr(server, "up", False),
    "backup": lambda server: setattr(server, "backup", True),
    "weight 0": lambda server: setattr(server, "weight", 0),
    "slow start": lambda server: vars(server).update(slow_start=60, ramp_ends=60),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", OUT)
async def test_a_server_that_is_out_is_in_no_group(how: str) -> None:
    world = World()
    OUT[how](world.server("web2"))
    reader = Reader(world)
    reader.poll()
    serve(world, "web2", 10)
    serve(world, "web3", 10)
    assert list(reader.cells()) == ["web3"]


@pytest.mark.virtual_time
async def test_errors_during_the_slow_start_of_the_new_version_count() -> None:
    world = World()
    reader = Reader(world)
    OUT["slow start"](world.server("web1"))
    serve(world, "web1", 10, 5)
    assert reader.cells()["web1"].errors == 5


@pytest.mark.virtual_time
async def test_what_a_server_did_before_its_checks_took_it_out_counts() -> None:
    world = World()
    reader = Reader(world)
    serve(world, "web1", 10)
    reader.poll()
    serve(world, "web1", 10, 9)
    world.server("web1").up = False
    assert reader.cells()["web1"].errors == 9
    serve(world, "web1", 10, 9)
    assert reader.cells() == {}


@pytest.mark.virtual_time
async def test_what_comes_while_a_node_is_worked_on_is_no_evidence() -> None:
    world = World()
    reader = Reader(world)
    reader.groups["web1"] = ""
    serve(world, "web1", 10, 10)
    assert reader.cells() == {}
    reader.groups["web1"] = "new"
    serve(world, "web1", 5, 1)
    assert reader.cells()["web1"].errors == 1


@pytest.mark.virtual_time
async def test_a_backend_whose_counters_went_back_begins_anew() -> None:
    world = World()
    serve(world, "web1", 100)
    reader = Reader(world)
    serve(world, "web2", 10)
    world.balancers["lb1"].reload()
    serve(world, "web3", 10)
    assert reader.poll().strata == []
    serve(world, "web3", 7, 1)
    assert reader.cells()["web3"][3:5] == (7, 1)


@pytest.mark.virtual_time
async def test_an_error_that_comes_without_a_request_counts_with_the_next_one() -> None:
    world = World()
    reader = Reader(world)
    server = world.server("web1")
    server.requests = 10
    reader.poll()
    server.requests, server.errors_5xx = 9, 1  # the answer of a request that was counted before
    assert reader.cells() == {}
    server.requests += 1
    assert reader.cells()["web1"][3:5] == (1, 1)


@pytest.mark.virtual_time
async def test_a_server_whose_requests_wait_for_an_answer_is_seen_without_new_ones() -> None:
    world = World()
    reader = Reader(world)
    server = world.server("web1")
    server.requests, server.share = 3, lambda: 3
    assert (reader.cells()["web1"].requests, reader.cells()["web1"].requests) == (3, 0)
    server.errors_5xx += 1
    server.requests -= 1
    assert reader.cells()["web1"][3:5] == (0, 0)
    server.requests += 2
    cell = reader.cells()["web1"]
    assert (cell.requests, cell.errors, cell.in_flight) == (2, 1, 3)


@pytest.mark.virtual_time
async def test_in_tcp_mode_errors_are_not_known() -> None:
    world = World()
    for server in world.balancers["lb1"].servers.values():
        server.http = False
    reader = Reader(world)
    world.server("web1").requests = 5
    assert reader.cells()["web1"][3:5] == (5, None)


@pytest.mark.virtual_time
async def test_history_and_stickiness_are_read_from_a_snapshot() -> None:
    world = World()
    serve(world, "web1", 10, 2)
    snapshot = world.balancers["lb1"].seen()
    lifetimes = read_lifetimes(snapshot, {("shop", "web1"): "web1"})
    assert [lifetime[1:5] for lifetime in lifetimes] == [("shop", "web1", 10, 2)]
    assert not is_sticky(snapshot, {"shop"})
    world.balancers["lb1"].cookie = "SRV"
    assert is_sticky(world.balancers["lb1"].seen(), {"shop"})
