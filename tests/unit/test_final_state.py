"""Everything that is out of rotation is named with commands that bring it back, and they work."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from backends.model import AdminState, Operational, Snapshot
from orchestrator.engine.final_state import read_final_state
from orchestrator.events.ways_back import OutOfRotation, describe_intention
from tests.support.fake_fleet import World


async def look(world: World) -> tuple[list[OutOfRotation], list[str]]:
    """As at the end of a rollout whose plan was made before anything below happened."""
    return await read_final_state(world.application, await world.plan(), {})


@pytest.mark.virtual_time
async def test_nothing_is_out() -> None:
    assert await look(World()) == ([], [])


@pytest.mark.virtual_time
async def test_the_commands_by_hand_bring_it_back_as_it_was() -> None:
    world = World(nodes=2)
    for server in world.servers("web1"):
        server.weight, server.agent_configured, server.agent = 50, True, True
    plan = await world.plan()
    for server in world.servers("web1"):
        server.weight, server.agent = 1, False
        server.set_state("maint")
    (out,), unseen = await read_final_state(world.application, plan, {})
    assert (out.node, out.intentional, unseen) == ("web1", False, [])
    assert out.servers == [
        "shop/web1 on lb1: maint (MAINT), weight 1 of 50, agent check off",
        "shop/web1 on lb2: maint (MAINT), weight 1 of 50, agent check off",
    ]
    assert out.command_texts[0] == "rolldeck ready shop web1"
    for command in out.command_texts[1:]:
        instance, _, line = command.partition(": ")
        await world.balancers[instance].write(line.split("   (then wait")[0])
        await asyncio.sleep(3)
    assert await read_final_state(world.application, plan, {}) == ([], [])


@pytest.mark.virtual_time
async def test_what_was_drained_and_is_in_maintenance_now_was_not_left_so() -> None:
    world = World(nodes=2, instances=1)
    world.take_out("web1", "drain")
    plan = await world.plan()
    world.take_out("web1", "maint")
    ((out,), _) = await read_final_state(world.application, plan, {})
    assert not out.intentional
    assert out.command_texts == ["lb1: set server shop/web1 state drain"]
    assert out.rollback_command == ""  # that would put it in rotation


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_what_a_human_had_taken_out_is_on_purpose(state: str) -> None:
    world = World(nodes=2)
    world.take_out("web1", state)
    ((out,), _) = await look(world)
    assert (out.intentional, out.command_texts) == (True, [])


@pytest.mark.virtual_time
async def test_a_weight_of_zero_is_on_purpose_only_while_nothing_else_keeps_it_out() -> None:
    world = World(nodes=2)
    for server in world.servers("web1"):
        server.weight = 0
    plan = await world.plan()
    ((before,), _) = await read_final_state(world.application, plan, {})
    world.take_out("web1")
    ((after,), _) = await read_final_state(world.application, plan, {})
    assert (before.intentional, after.intentional) == (True, False)
    assert "lb1: set server shop/web1 state ready" in after.command_texts


@pytest.mark.virtual_time
async def test_in_rotation_with_a_silenced_agent_is_not_as_it_was() -> None:
    world = World(nodes=2)
    world.server("web1").agent_configured = world.server("web1").agent = True
    plan = await world.plan()
    world.server("web1").agent = False
    ((out,), _) = await read_final_state(world.application, plan, {})
    assert out.command_texts[1:] == ["lb1: enable agent shop/web1"]
    assert world.admin("web1") == [AdminState.READY] * 2


@pytest.mark.virtual_time
async def test_what_is_down_is_started_on_the_version_that_it_has() -> None:
    """Not on that of a plan which has not come to it, or of one that took it back."""

    world = World(nodes=2, instances=1)
    plan = await world.plan()
    world.server("web1").health_down()
    ((out,), _) = await read_final_state(world.application, plan, {}, versions={"web1": "1.0"})
    assert out.command_texts == ["rolldeck upgrade shop 1.0 --limit web1"]


@pytest.mark.virtual_time
async def test_a_weight_is_told_without_a_moment_that_nobody_knows() -> None:
    world = World(nodes=2, instances=1)
    plan = await world.plan()
    await asyncio.sleep(20)
    world.server("web1").weight = 0
    ((weightless,), _) = await read_final_state(world.application, plan, {}, now=1000.0)
    assert (weightless.by_others, weightless.since) == (True, 0.0)
    assert weightless.servers == ["shop/web1 on lb1: ready (UP), weight 0"]
    assert describe_intention(weightless) == "kept out by somebody else, untouched"
    world.take_out("web1")
    ((out,), _) = await read_final_state(world.application, plan, {}, now=1000.0)
    assert out.since > 0


@pytest.mark.virtual_time
async def test_what_an_agent_has_said_is_read_again_while_haproxy_asks_it_again() -> None:
    """HAProxy blanks the words when it begins to ask, and keeps the verdict."""

    world = World(nodes=2, instances=1)
    plan = await world.plan()
    balancer, words = world.balancers["lb1"], ["via agent : down (disk full)", "", ""]
    read = balancer.snapshot

    async def snapshot(backends: Sequence[str] = ()) -> Snapshot:
        whole, said = await read(backends), words[-1]
        words[1:] = words[1:-1]
        first, *others = whole.servers
        down = replace(first, status="DOWN (agent)", operational=Operational.STOPPED, last_agent=said)
        return replace(whole, servers=(down, *others))

    balancer.snapshot = snapshot  # type: ignore[method-assign]
    ((out,), _) = await read_final_state(world.application, plan, {})
    assert out.not_ready == "down by its agent check: down (disk full)"


@pytest.mark.virtual_time
async def test_a_dead_instance_hides_nothing_of_the_others() -> None:
    world = World(nodes=2)
    plan = await world.plan()
    world.take_out("web1")
    world.balancers["lb1"].down = True
    (out,), unseen = await read_final_state(world.application, plan, {})
    assert out.servers == ["shop/web1 on lb2: maint (MAINT)"]
    assert unseen == ["lb1: connection refused"]


@pytest.mark.virtual_time
async def test_a_server_that_an_instance_no_longer_knows_is_not_seen() -> None:
    world = World(nodes=2)
    plan = await world.plan()
    del world.balancers["lb2"].servers["shop/web1"]
    assert await read_final_state(world.application, plan, {}) == ([], ["lb2: no longer knows shop/web1"])


@pytest.mark.virtual_time
async def test_a_failed_node_names_the_way_to_its_old_version() -> None:
    world = World(nodes=2, verify_timeout=30)
    world.nodes["web1"].sick = frozenset({"2.0"})
    ended = await world.upgrade()
    (out,) = ended.out_of_rotation
    assert out.rollback_command == "rolldeck upgrade shop 1.0 --limit web1 --force-ready web1"
    world.control = type(world.control)(world.clock, world.bus)
    back = await world.upgrade("1.0", force_ready={"web1"})
    assert back.result == "healthy"
    assert world.admin("web1") == [AdminState.READY] * 2
