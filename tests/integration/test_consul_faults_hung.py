"""Consul hangs during an upgrade that holds its lock there: briefly, and for longer than the lock lasts."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.consul_faults import LONG, moments, upgrade_at
from tests.support.consul_world import consul_world
from tests.support.held_steps import Moment
from tests.support.servers.consul import needs_consul

pytestmark = [needs_consul, pytest.mark.timeout(300)]

SHORTLY = 4.0  # seconds: at least one renewal falls into them, and they are less than the lock lasts


@moments()  # test_consul_faults_leader.py has a Consul that does not answer for a while, too
async def test_an_agent_that_hangs_shortly_is_not_noticed(tmp_path: Path, moment: Moment) -> None:
    async with (
        consul_world(tmp_path / "s", nodes=2) as (stack, agent),
        upgrade_at(stack, moment) as upgrade,
    ):
        agent.freeze()
        await asyncio.sleep(SHORTLY)
        agent.thaw()
        await upgrade.assert_goes_on(agent)


@moments(sample="start")
async def test_an_agent_that_hangs_for_long_ends_it_after_the_node(tmp_path: Path, moment: Moment) -> None:
    async with (
        consul_world(tmp_path / "s", nodes=2) as (stack, agent),
        upgrade_at(stack, moment) as upgrade,
    ):
        agent.freeze()
        await asyncio.sleep(LONG)
        run = await upgrade.end()
        await upgrade.assert_ended_after_the_node(run, "the lock could not be renewed in Consul for")
        agent.thaw()
        await agent.ready()
        await upgrade.assert_resumed()
