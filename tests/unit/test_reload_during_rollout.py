"""What somebody has changed by a reload of HAProxy in the middle of a rollout is theirs, and not undone."""

import pytest

from backends.model import Admin, AdminState
from orchestrator.events.events import NodeNote, StepDone, StepStarted
from tests.support.fake_fleet import World
from tests.unit.world_events import act_at_step


@pytest.mark.virtual_time
@pytest.mark.parametrize("by", [Admin.FORCED_MAINT | Admin.CONFIG_MAINT, Admin.FORCED_DRAIN])
async def test_what_a_reload_has_taken_out_was_somebody_and_stays_out(by: Admin) -> None:
    """By `disabled` in the new configuration, or by a state file that has what was set by hand meanwhile."""
    world = World(3, 1, min_available=0)

    def reload() -> None:
        world.balancers["lb1"].reload()
        world.server("web3").admin = by

    act_at_step(world, StepStarted, "install", reload)
    await world.upgrade()
    assert world.admin("web3") == [AdminState.MAINT if by & Admin.FORCED_MAINT else AdminState.DRAIN]
    assert not [line for line in world.sent("web3") if line.endswith("state ready")]
    assert [note.text for note in world.events(NodeNote) if "set shop/web3 on lb1 to" in note.text]


@pytest.mark.virtual_time
async def test_what_was_made_ready_although_it_is_disabled_is_made_so_again() -> None:
    world = World(3, 1)
    world.server("web3").admin = Admin.CONFIG_MAINT  # as it reads after `ready`

    def reload() -> None:
        world.balancers["lb1"].reload()
        world.server("web3").admin = Admin.CONFIG_MAINT | Admin.FORCED_MAINT

    act_at_step(world, StepStarted, "install", lambda: world.at(2, reload))
    assert (await world.upgrade()).result == "healthy"
    assert world.server("web3").admin == Admin.CONFIG_MAINT


@pytest.mark.virtual_time
async def test_a_weight_that_the_configuration_has_now_is_kept() -> None:
    world = World(3, 1)

    def reload() -> None:
        world.server("web3").initial_weight = 20
        world.balancers["lb1"].reload()

    act_at_step(world, StepDone, "verify", lambda: world.at(0.01, reload))
    assert (await world.upgrade()).result == "healthy"
    assert world.server("web3").weight == 20
