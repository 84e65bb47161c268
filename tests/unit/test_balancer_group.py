"""Several load balancers as one: written to everywhere, read back from each."""

import pytest

from backends.errors import PermissionDenied, Refused, UnknownOutcome, Unreachable, UnreadableReply
from backends.haproxy import commands
from backends.model import AdminState, Level, ServerRef
from orchestrator.engine.steps.drain import in_maintenance
from tests.support.fake_fleet import World

REFS = (ServerRef("lb1", "shop", "web1"), ServerRef("lb2", "shop", "web1"))


async def maint(world: World) -> bool:
    return await world.balancer_group.ensure(REFS, commands.maint, in_maintenance)


@pytest.mark.virtual_time
async def test_writes_to_all_and_reads_back() -> None:
    world = World()
    assert await maint(world)
    assert world.admin("web1") == [AdminState.MAINT] * 2
    assert world.sent() == ["set server shop/web1 state maint"] * 2


@pytest.mark.virtual_time
async def test_what_is_there_already_is_not_sent_again() -> None:
    world = World()
    world.server("web1", "lb2").set_state("maint")
    assert await maint(world)
    assert world.balancers["lb2"].sent == []
    assert not await maint(world)
    assert len(world.sent()) == 1


@pytest.mark.virtual_time
async def test_an_instance_that_cannot_be_read_stops_before_anything_is_sent() -> None:
    world = World()
    world.balancers["lb2"].down = True
    with pytest.raises(Unreachable, match="lb2"):
        await maint(world)
    with pytest.raises(Unreachable, match="lb2"):
        await world.balancer_group.read_all()
    assert world.sent() == []


@pytest.mark.virtual_time
async def test_one_dead_instance_keeps_no_write_from_the_others() -> None:
    world = World()
    world.balancers["lb1"].faults.add("write", Unreachable("lb1", "refused"))
    with pytest.raises(Unreachable):
        await maint(world)
    assert world.admin("web1") == [AdminState.READY, AdminState.MAINT]


@pytest.mark.virtual_time
@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_is_looked_at_and_nothing_is_repeated(executed: bool) -> None:
    world = World()
    lost = UnknownOutcome("lb1", "cut off")
    world.balancers["lb1"].faults.add("write", lost, executed=executed)
    if executed:
        assert await maint(world)
        assert len(world.sent()) == 2
    else:
        with pytest.raises(Refused, match=r"lb1: 'set server shop/web1 state maint' was accepted, but"):
            await maint(world)
        assert world.balancers["lb1"].sent == []


@pytest.mark.virtual_time
async def test_accepted_and_not_done_is_a_refusal() -> None:
    world = World()
    world.balancers["lb2"].deaf = True
    with pytest.raises(Refused, match=r"lb2: .* shop/web1 reads ready \(UP\)"):
        await maint(world)


@pytest.mark.virtual_time
async def test_too_low_a_level_is_told_as_such() -> None:
    world = World()
    world.balancers["lb1"].level = Level.OPERATOR
    with pytest.raises(PermissionDenied):
        await maint(world)


@pytest.mark.virtual_time
async def test_a_server_that_is_gone_is_not_measured() -> None:
    world = World()
    del world.balancers["lb2"].servers["shop/web1"]
    with pytest.raises(UnreadableReply, match="lb2: no longer knows shop/web1"):
        await world.balancer_group.servers(REFS)
