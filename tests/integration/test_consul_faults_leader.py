"""The leader of three servers is killed while an upgrade runs that has its lock there."""

from pathlib import Path

import pytest

from tests.consuls import Agent, needs_consul, three_servers
from tests.integration.consul_faults import moments, upgrade_at
from tests.integration.consul_world import tell, use
from tests.integration.held_steps import Moment
from tests.integration.rollouts import tune, world

pytestmark = [needs_consul, pytest.mark.timeout(300)]


@moments(sample="drain")
async def test_a_new_leader_is_waited_for(tmp_path: Path, moment: Moment) -> None:
    async with three_servers(tmp_path) as agents, world(tmp_path / "s", nodes=2) as stack:
        leader, ours = await leader_and_other(agents)
        await tell(stack, ours)
        use(stack, ours)
        # Consul gives an election up to ten seconds and more; it is not the TTL that is looked at here.
        tune(stack, "lock", ttl=81)
        async with upgrade_at(stack, moment) as upgrade:
            await leader.kill()
            await ours.ready()
            await upgrade.assert_goes_on(ours)


async def leader_and_other(agents: list[Agent]) -> tuple[Agent, Agent]:
    """The leader, and one that is not it."""
    address = await agents[0].ask("GET", "/v1/status/leader")
    [leader] = [each for each in agents if address == f"127.0.0.1:{each.ports['server']}"]
    return leader, next(each for each in agents if each is not leader)
