"""Manual changes: the guard, the override by name, the read-back, the safe way out of maintenance."""

from typing import Any

import pytest

from backends.errors import Refused
from backends.model import AdminState, Level, Server
from orchestrator.engine.manual_change import Action, Change, apply, find_nodes, read_impact
from orchestrator.errors import StepTimeout
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.findings import PreflightFailed
from tests.support.fake_fleet import World

PROVE = "set server shop/web1 state drain; set server shop/web1 health down"
READY = "set server shop/web1 state ready"


def change(world: World, action: Action, *names: str, **more: Any) -> Change:
    return Change(action, find_nodes(world.application, names), **more)


async def carry_out(world: World, wanted: Change) -> tuple[Server, ...]:
    return await apply(world.application, wanted, world.control, world.clock, world.bus)


@pytest.mark.virtual_time
@pytest.mark.parametrize("action", ["drain", "maint"])
async def test_a_node_is_taken_out_everywhere_and_read_back(action: Action) -> None:
    world = World()
    after = await carry_out(world, change(world, action, "web1"))
    assert [(str(server.ref), server.admin_state) for server in after] == [
        ("shop/web1 on lb1", action),
        ("shop/web1 on lb2", action),
    ]
    assert world.sent() == [f"set server shop/web1 state {action}"] * 2


@pytest.mark.virtual_time
@pytest.mark.parametrize(("action", "more"), [("drain", {}), ("maint", {}), ("weight", {"weight": 0})])
async def test_the_floor_is_kept_unless_every_node_is_named(action: Action, more: dict[str, int]) -> None:
    world = World(nodes=2, min_available=1)
    both = change(world, action, "web1", "web2", **more)
    assert [capacity.after for capacity in (await read_impact(world.application, both)).broken] == [0, 0]
    with pytest.raises(CapacityViolation, match="shop on lb1: in rotation 2 → 0, floor 1"):
        await carry_out(world, both)
    half = change(world, action, "web1", "web2", override=frozenset({"web1"}), **more)
    with pytest.raises(CapacityViolation):
        await carry_out(world, half)
    assert world.sent() == []
    named = change(world, action, "web1", "web2", override=frozenset({"web1", "web2"}), **more)
    assert not any(server.in_rotation for server in await carry_out(world, named))


@pytest.mark.virtual_time
async def test_a_weight_above_zero_needs_no_guard() -> None:
    world = World(nodes=1, min_available=1)
    after = await carry_out(world, change(world, "weight", "web1", weight=50))
    assert [server.weight for server in after] == [50, 50]


@pytest.mark.virtual_time
async def test_the_impact_is_read_and_nothing_is_touched() -> None:
    world = World()
    world.server("web1", "lb2").leaving = [1e6, 1e6]
    world.server("web1", "lb2").queue = 1
    seen = await read_impact(world.application, change(world, "maint", "web1"))
    assert (seen.nodes, seen.sessions, seen.broken) == (("web1",), 3, ())
    assert [(capacity.before, capacity.after) for capacity in seen.capacities] == [(3, 2), (3, 2)]
    assert (await read_impact(world.application, change(world, "ready", "web1"))).capacities == ()
    assert not world.touched()


@pytest.mark.virtual_time
@pytest.mark.parametrize("action", ["drain", "maint", "ready", "weight"])
async def test_on_a_socket_that_may_not_change_nothing_is_sent_anywhere(action: Action) -> None:
    world = World()
    world.balancers["lb2"].level = Level.OPERATOR  # lb1 may, and would be written to first
    wanted = change(world, action, "web1", weight=1)
    said = r"lb2: the socket has level operator; changing states needs admin \(`level admin` at its"
    with pytest.raises(PreflightFailed, match=said):
        await read_impact(world.application, wanted)
    with pytest.raises(PreflightFailed, match=said):
        await carry_out(world, wanted)
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_names_that_do_not_exist_are_refused_and_doubles_count_once() -> None:
    world = World()
    with pytest.raises(PreflightFailed, match=r"web9: no such node; did you mean 'web3'\? there is: web1"):
        find_nodes(world.application, ["web1", "web9"])
    assert [node.name for node in find_nodes(world.application, ["web2", "web2"])] == ["web2"]


@pytest.mark.virtual_time
async def test_what_does_not_read_back_is_a_refusal() -> None:
    world = World()
    world.balancers["lb2"].deaf = True
    with pytest.raises(Refused, match="lb2"):
        await carry_out(world, change(world, "drain", "web1"))


@pytest.mark.virtual_time
async def test_an_agent_is_silenced_first_and_wakes_with_ready() -> None:
    world = World()
    server = world.server("web1")
    server.agent = server.agent_configured = True
    await carry_out(world, change(world, "maint", "web1"))
    assert [line for _, line in world.balancers["lb1"].sent] == [
        "disable agent shop/web1",
        "set server shop/web1 state maint",
    ]
    await carry_out(world, change(world, "ready", "web1"))
    assert server.agent


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_ready_goes_the_safe_way(state: str) -> None:
    world = World()
    world.take_out("web1", state)
    after = await carry_out(world, change(world, "ready", "web1"))
    assert all(server.in_rotation for server in after)
    assert [line for _, line in world.balancers["lb1"].sent] == [PROVE, READY]


@pytest.mark.virtual_time
async def test_ready_of_what_is_in_rotation_sends_nothing() -> None:
    world = World()
    assert all(server.in_rotation for server in await carry_out(world, change(world, "ready", "web1")))
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_ready_of_what_is_being_stopped_waits_for_its_end() -> None:
    world = World(verify_timeout=5)
    world.take_out("web1", "maint")
    world.nodes["web1"].stopping = True
    with pytest.raises(StepTimeout, match=r"its service is being stopped \(running\)"):
        await carry_out(world, change(world, "ready", "web1"))
    assert READY not in world.sent()
    assert world.admin("web1") == [AdminState.MAINT] * 2


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
@pytest.mark.parametrize("ill", ["itself", "for HAProxy"])
async def test_ready_of_an_unhealthy_node_ends_in_maintenance(state: str, ill: str) -> None:
    world = World(verify_timeout=30)
    world.take_out("web1", state)
    if ill == "itself":
        world.nodes["web1"].healthy = False
    else:
        world.nodes["web1"].flaps = [True] * 1000
        world.nodes["web1"].healthy = False
    with pytest.raises(StepTimeout, match="own health" if ill == "itself" else "HAProxy's checks"):
        await carry_out(world, change(world, "ready", "web1"))
    assert world.admin("web1") == [AdminState.MAINT] * 2
    assert READY not in world.sent()


@pytest.mark.virtual_time
async def test_a_drain_of_what_is_in_maintenance_is_a_change_too() -> None:
    world = World()
    world.take_out("web1", "maint")
    after = await carry_out(world, change(world, "drain", "web1"))
    assert [server.admin_state for server in after] == [AdminState.DRAIN] * 2


@pytest.mark.virtual_time
async def test_a_server_with_part_of_its_weight_does_not_count_for_the_floor() -> None:
    world = World(2, 1)
    for server in world.servers("web2"):
        server.weight = 50  # as a rollout has left it that was killed
    weights = {world.server("web2").ref: 100}
    out = change(world, "drain", "web1")
    assert not (await read_impact(world.application, out)).broken
    assert (await read_impact(world.application, out, weights)).broken
    with pytest.raises(CapacityViolation):
        await apply(world.application, out, world.control, world.clock, world.bus, weights)
    back = change(world, "ready", "web2")
    await apply(world.application, back, world.control, world.clock, world.bus, weights)
    assert world.server("web2").weight == 100
    await apply(world.application, out, world.control, world.clock, world.bus, weights)
