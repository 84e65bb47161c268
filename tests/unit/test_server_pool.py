"""A server that falls out of rotation while another node is upgraded stops new drains."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from backends.model import Admin, Info, Level, Operational, Server, ServerRef, Snapshot
from orchestrator.engine.control import ABORT
from orchestrator.engine.rollout_context import RolloutContext
from orchestrator.events.events import NodeFailed, NodeUpgraded, Record, RolloutEnded, RolloutKind, Waiting
from orchestrator.planning.server_pool import ServerPool
from tests.support.console_values import server
from tests.support.fake_fleet import World, answer, steps


async def while_web1_stops(world: World, happens: Callable[[], object]) -> RolloutEnded:
    """An upgrade, with something that happens while web1 is upgraded."""

    async def strike() -> None:
        await world.until(lambda: world.nodes["web1"].asked)
        happens()

    return await world.during(strike())


def fall(world: World, name: str) -> None:
    world.nodes[name].healthy = False


def errors(world: World) -> list[str]:
    return [failure.error for failure in world.events(NodeFailed)]


@pytest.mark.virtual_time
async def test_the_next_drain_waits_for_it_and_then_fails_untouched() -> None:
    world = World(nodes=4, min_available=1, capacity_timeout=20)
    ended = await while_web1_stops(world, lambda: fall(world, "web3"))
    reason = "web3 fell out of rotation during the upgrade of web1: DOWN L4CON on lb1, lb2"
    assert errors(world) == [f"capacity to take it out: not within 20 s; last seen: {reason}"]
    assert (ended.result, ended.upgraded, ended.held) == ("degraded", ["web1"], ["web2"])
    assert reason in [wait.reason for wait in world.events(Waiting) if wait.node == "web2"]
    assert (world.sent("web2"), world.nodes["web2"].asked) == ([], [])
    assert [entry.node for entry in ended.out_of_rotation] == ["web3"]


@pytest.mark.virtual_time
async def test_the_operator_sees_why_it_waits_and_decides() -> None:
    world = World(nodes=4, min_available=1, capacity_timeout=5, interactive=True)

    async def operator() -> None:
        question = await world.question("web2")
        text = next(asked.text for asked in world.control.questions if asked.id == question)
        assert "web3 fell out of rotation during the upgrade of web1: DOWN L4CON" in text
        await answer(world, ABORT, "web2")

    async with asyncio.TaskGroup() as group:
        group.create_task(operator())
        ended = await while_web1_stops(world, lambda: fall(world, "web3"))
    assert ended.result == "aborted"
    assert world.sent("web2") == []


@pytest.mark.virtual_time
async def test_when_it_comes_back_in_time_all_goes_on() -> None:
    world = World(nodes=3, min_available=1, capacity_timeout=60)

    def trip() -> None:
        fall(world, "web3")
        world.at(40, lambda: setattr(world.nodes["web3"], "healthy", True))

    ended = await while_web1_stops(world, trip)
    assert (ended.result, ended.upgraded) == ("healthy", ["web1", "web2", "web3"])
    assert any("web3 fell out of rotation" in wait.reason for wait in world.events(Waiting))


@pytest.mark.virtual_time
async def test_what_was_down_before_forbids_nothing_new() -> None:
    world = World(nodes=4, min_available=1)
    fall(world, "web4")
    await asyncio.sleep(10)
    ended = await world.carry_out(await world.plan(limit=["web1", "web2"]))
    assert (ended.result, ended.upgraded, ended.out_of_rotation) == ("healthy", ["web1", "web2"], [])


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_what_a_human_takes_out_meanwhile_forbids_nothing(state: str) -> None:
    world = World(nodes=4, min_available=1)

    def take_out() -> None:
        world.take_out("web4", state)
        fall(world, "web4")

    plan = await world.plan(limit=["web1", "web2"])

    async def strike() -> None:
        await world.until(lambda: world.nodes["web1"].asked)
        take_out()

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        ended = await world.carry_out(plan)
    assert (ended.result, ended.upgraded) == ("healthy", ["web1", "web2"])


@pytest.mark.virtual_time
async def test_what_has_failed_and_is_kept_out_forbids_nothing() -> None:
    world = World(nodes=4, min_available=1, max_fail_percentage=100, start_timeout=30, verify_timeout=30)
    world.nodes["web1"].sick = frozenset({"2.0"})
    ended = await world.upgrade()
    assert (ended.failed, ended.upgraded) == (["web1"], ["web2", "web3", "web4"])


@pytest.mark.virtual_time
async def test_the_one_that_fell_may_be_worked_on() -> None:
    world = World(nodes=3, min_available=1, capacity_timeout=10)

    def fall_until_upgraded() -> None:
        fall(world, "web2")
        world.nodes["web2"].on_asked = lambda what: setattr(world.nodes["web2"], "healthy", what == "start")

    ended = await while_web1_stops(world, fall_until_upgraded)
    assert (ended.result, ended.upgraded) == ("healthy", ["web1", "web2", "web3"])


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", ["upgrade", "rollback"])
async def test_a_rollback_goes_on_to_the_node_that_fell(kind: RolloutKind) -> None:
    world = World(nodes=4, min_available=1, capacity_timeout=10)
    plan = await world.plan()

    async def strike() -> None:
        await world.until(lambda: world.nodes["web1"].asked)
        fall(world, "web3")
        world.nodes["web3"].on_asked = lambda what: setattr(world.nodes["web3"], "healthy", what == "start")

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        ended = await world.carry_out(plan, RolloutContext(kind=kind))
    if kind == "rollback":
        assert (ended.result, ended.rolled_back) == ("healthy", ["web1", "web2", "web3", "web4"])
    else:
        assert (ended.result, ended.held) == ("degraded", ["web2"])


@pytest.mark.virtual_time
async def test_a_slot_that_name_resolution_empties_has_fallen_out() -> None:
    world = World(nodes=4, instances=1, min_available=1, capacity_timeout=10)
    ended = await while_web1_stops(world, lambda: setattr(world.server("web3"), "emptied", True))
    assert ended.held == ["web2"]
    assert "web3 fell out of rotation during the upgrade of web1: MAINT (resolution)" in errors(world)[0]


def seen(*servers: Server) -> Snapshot:
    return Snapshot(Info("lb1", "2.6", 1, 1, False), Level.ADMIN, (), servers)


DOWN: dict[str, Any] = {
    "operational": Operational.STOPPED,
    "status": "DOWN",
    "check_status": "L4CON",
    "check_health": 0,
}


@pytest.mark.parametrize(
    ("changes", "fallen"),
    [
        (DOWN, True),
        (DOWN | {"status": "DOWN (agent)"}, True),
        (DOWN | {"admin": Admin.INHERITED_MAINT, "status": "MAINT (via shop/web1)"}, False),
        (DOWN | {"admin": Admin.INHERITED_DRAIN}, False),
        (DOWN | {"admin": Admin.FORCED_DRAIN}, False),
        (DOWN | {"backup": True}, False),
        ({"status": "UP 1/3", "check_health": 2}, False),
        ({"weight": 0, "effective_weight": 0}, False),
    ],
)
def test_only_what_went_down_by_itself_has_fallen_out(changes: dict[str, Any], fallen: bool) -> None:
    pool = ServerPool(backends=["shop"])
    before: dict[str, Any] = {"backup": True} if "backup" in changes else {}
    pool.add(seen(server("web1"), server("web2", **before), server("web3", backend="other")))
    after = seen(server("web1"), server("web2", **changes), server("web3", backend="other", **DOWN))
    pool.add(after)
    words = pool.fallen({"lb1": after}, ())
    assert words.startswith("shop/web2 fell out of rotation since the rollout began: DOWN") == fallen
    assert bool(words) == fallen
    assert pool.fallen({"lb1": after}, {ServerRef("lb1", "shop", "web2")}) == ""


@pytest.mark.virtual_time
async def test_who_is_not_in_the_plan_is_named_at_the_end() -> None:
    world = World(nodes=3, min_available=1)
    plan = await world.plan(limit=["web1"])
    context = RolloutContext(other_versions={"web3": "1.0"})

    async def strike() -> None:
        await world.until(lambda: "verify" in steps(world, "web1"))
        fall(world, "web3")

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        ended = await world.carry_out(plan, context)
    assert (ended.result, ended.upgraded) == ("degraded", ["web1"])
    (out,) = ended.out_of_rotation
    assert (out.node, out.intentional) == ("web3", False)
    assert out.servers == ["shop/web3 on lb1: ready (DOWN)", "shop/web3 on lb2: ready (DOWN)"]
    assert out.command_texts == ["rolldeck upgrade shop 1.0 --limit web3"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("up", [True, False])
async def test_a_node_that_is_not_whole_at_the_very_end_is_in_the_account(up: bool) -> None:
    world = World(nodes=1, instances=2, min_available=0, bake_time=0)

    def lose() -> None:
        server = world.server("web1")
        server.up, server.health = up, server.rise if up else 0
        server.inter = 1000.0

    def at_the_end(record: Record) -> None:
        if isinstance(record.event, NodeUpgraded):
            lose()

    world.bus.subscribe(at_the_end)
    ended = await world.upgrade()
    (out,) = ended.out_of_rotation
    assert (ended.result, out.node) == ("degraded", "web1")
    assert out.servers == [f"shop/web1 on lb1: ready ({'UP 1/3' if up else 'DOWN'})"]


def slots(up: int, empty: int) -> Snapshot:
    """So many filled slots, and so many empty ones behind them."""
    none: dict[str, Any] = {"admin": Admin.RESOLUTION_MAINT, "status": "MAINT (resolution)"} | {
        "operational": Operational.STOPPED,
        "empty_slot": True,
    }
    full = [server(f"web{number}") for number in range(1, up + 1)]
    return seen(*full, *(server(f"web{number}", **none) for number in range(up + 1, up + empty + 1)))


def test_a_slot_that_was_filled_when_the_rollout_began_never_stops_counting() -> None:
    pool = ServerPool(backends=["shop"])
    pool.add(slots(3, 7))
    for gone in (slots(2, 8), slots(1, 9)):
        pool.add(gone)
        assert len(pool.filled({"lb1": gone})["lb1"].servers) == 3


def test_the_slot_of_a_node_of_the_plan_counts_though_it_was_never_filled() -> None:
    pool = ServerPool({ServerRef("lb1", "shop", "web5"): "n5"}, ["shop"])
    counted = pool.filled({"lb1": slots(2, 8)})["lb1"].servers
    assert [server.ref.server for server in counted] == ["web1", "web2", "web5"]
