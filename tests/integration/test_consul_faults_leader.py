"""During an upgrade the leader of a cluster of three servers is killed, or our own agent hangs."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.consul_faults import moments, upgrade_at
from tests.support.consul_world import tell, use
from tests.support.held_steps import Moment
from tests.support.rollouts import tune, world
from tests.support.servers.consul import Agent, client_of, needs_consul, three_servers

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


@moments()
async def test_our_own_agent_of_a_cluster_hangs_and_the_lock_stays_ours(
    tmp_path: Path, moment: Moment
) -> None:
    """The others give its machine up after some seconds; the lock is not to hang on that."""
    async with (
        three_servers(tmp_path) as servers,
        client_of(servers, tmp_path) as ours,
        world(tmp_path / "s", nodes=2) as stack,
    ):
        await tell(stack, ours)
        use(stack, ours)
        tune(stack, "lock", ttl=81)
        async with upgrade_at(stack, moment) as upgrade:
            ours.freeze()
            await given_up(servers[0], "client")
            ours.thaw()
            await ours.ready()
            await upgrade.assert_goes_on(servers[0])


async def given_up(server: Agent, node: str) -> None:
    """Wait until the cluster has noticed that this machine's agent is silent."""
    async with asyncio.timeout(60):
        while True:
            checks = await server.ask("GET", f"/v1/health/node/{node}")
            if any(check["CheckID"] == "serfHealth" and check["Status"] == "critical" for check in checks):
                return
            await asyncio.sleep(0.1)


async def leader_and_other(agents: list[Agent]) -> tuple[Agent, Agent]:
    """The leader, and one that is not it."""
    address = await agents[0].ask("GET", "/v1/status/leader")
    [leader] = [agent for agent in agents if address == f"127.0.0.1:{agent.ports['server']}"]
    return leader, next(agent for agent in agents if agent is not leader)
