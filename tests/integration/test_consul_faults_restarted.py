"""Consul is killed and restarted during an upgrade that holds its lock there, with and without its data."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.events.steps import Step
from tests.integration.consul_faults import (
    LOCK,
    LONG,
    RENEWAL,
    Upgrade,
    moments,
    out,
    told,
    upgrade_at,
)
from tests.support.consul_world import consul_world, tell
from tests.support.held_steps import Moment
from tests.support.rollouts import (
    DRAIN,
    MAINT,
    NEW,
    OLD,
    Run,
    State,
    rolldeck,
    seconds_of,
    states,
    versions,
)
from tests.support.servers.consul import Agent, needs_consul

pytestmark = [needs_consul, pytest.mark.timeout(300)]

ENDED = "the lock's session in Consul has ended"


@dataclass(frozen=True, slots=True)
class Left:
    """What web1 is left as: a command that was under way has come to its end, and no other was sent."""

    step: Step  # the one that would have had to send something
    admin: int
    running: str | None
    installed: str


LEFT: dict[Moment, Left] = {
    "drain": Left("drain", DRAIN, OLD, OLD),  # not in maintenance yet, and nobody has stopped it
    "stop": Left("install", MAINT, None, OLD),
    "install": Left("start", MAINT, None, NEW),
    "start": Left("verify", MAINT, NEW, NEW),
    "verify": Left("verify", MAINT, NEW, NEW),
}


async def restart(agent: Agent, away: float = 0.0, *, empty: bool = False) -> None:
    """Kill it, and return when it is back and the holder of the lock has learned what it has there.

    Args:
        agent: keeps its data, or is empty.
        away: seconds that it is gone for.
        empty: the holder's session is denied. That alone proves nothing: then it reads the lock's key.
    """
    await agent.kill()
    await asyncio.sleep(away)
    since = agent.logged()
    await agent.start()
    await agent.ready()
    await agent.answered(RENEWAL, since)  # perhaps before we knew that it was ready
    if empty:
        await agent.answered(LOCK, since)


async def assert_fenced(upgrade: Upgrade, run: Run, left: Left) -> None:
    """It ended in the middle of web1, and says so; and so does whoever looks later."""
    stack, ended = upgrade.stack, run.ended
    assert run.code == 1, run.text
    assert ended["result"] == "degraded"
    assert ended["reason"] == f"{ENDED}; no further commands are sent"
    assert (ended["upgraded"], ended["interrupted"], ended["pending"]) == ([], ["web1"], ["web2"])
    assert (ended["failed"], ended["unreachable_balancers"]) == ([], [])
    assert told(stack, run) == await out(stack) == {"lb1": {"web1"}, "lb2": {"web1"}}
    for servers in (await states(stack)).values():
        assert servers == {"web1": State(left.admin, 1), "web2": State(0, 1)}
    assert await versions(stack) == {"web1": left.running, "web2": OLD}
    assert {name: node.installed for name, node in stack.nodes.items()} == {
        "web1": left.installed,
        "web2": OLD,
    }


@moments(sample="stop")
async def test_an_agent_that_comes_back_empty_has_ended_the_session(tmp_path: Path, moment: Moment) -> None:
    """A development agent keeps nothing: whoever asks there now would get the lock, so nothing is sent."""
    async with (
        consul_world(tmp_path / "s", nodes=2) as (stack, agent),
        upgrade_at(stack, moment) as upgrade,
    ):
        before = await states(stack)
        await restart(agent, empty=True)
        heard = time.time()
        run = await upgrade.end()
        assert await states(stack) == before
        assert not [
            event for event in run.events if event["event"] == "command_sending" and seconds_of(event) > heard
        ]
        if moment == "bake":  # it is in rotation, and nothing was to be sent any more
            await upgrade.assert_ended_after_the_node(run, ENDED)
            await tell(stack, agent)
        else:
            await assert_fenced(upgrade, run, LEFT[moment])
            await tell(stack, agent)
            listed = await rolldeck(stack, "status")
            assert listed.code == 1, listed.text
            assert "web1 was left by rollout 1 (" in listed.text
            assert f"): interrupted at {LEFT[moment].step}" in listed.text
        await upgrade.assert_resumed()


@moments(sample="install")
async def test_an_agent_that_comes_back_with_its_data_has_kept_the_lock(
    tmp_path: Path, moment: Moment
) -> None:
    async with (
        consul_world(tmp_path / "s", nodes=2, keeps=True) as (stack, agent),
        upgrade_at(stack, moment) as upgrade,
    ):
        await restart(agent)
        await upgrade.assert_goes_on(agent)


@moments()
async def test_even_after_longer_than_the_lock_lasts(tmp_path: Path, moment: Moment) -> None:
    """A server gives each session its whole time again when it has become the leader."""
    async with (
        consul_world(tmp_path / "s", nodes=2, keeps=True) as (stack, agent),
        upgrade_at(stack, moment) as upgrade,
    ):
        await restart(agent, away=LONG)
        await upgrade.assert_goes_on(agent)


@moments()
async def test_one_that_is_gone_for_long_ends_it_after_the_node(tmp_path: Path, moment: Moment) -> None:
    """And the session that it has kept is no hindrance to who goes on."""
    async with (
        consul_world(tmp_path / "s", nodes=2, keeps=True) as (stack, agent),
        upgrade_at(stack, moment) as upgrade,
    ):
        await agent.kill()
        await asyncio.sleep(LONG)
        run = await upgrade.end()
        await upgrade.assert_ended_after_the_node(run, "the lock could not be renewed in Consul for")
        await agent.start()
        await agent.ready()
        await upgrade.assert_resumed()
