"""Consul fails while an upgrade runs that has its lock there: hung, back but empty, without its leader."""

import asyncio
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from orchestrator.events import STEPS, Step
from tests.consuls import Agent, needs_consul, three_servers
from tests.integration.consul_world import TTL, consul_world, tell, use
from tests.integration.held_steps import held
from tests.integration.rollouts import (
    NEW,
    OLD,
    Run,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    tune,
    versions,
    world,
)

pytestmark = needs_consul

SHORTLY = 4.0  # seconds: at least one renewal falls into them, and they are less than the TTL
LONG = TTL + 3.0  # seconds


async def out(stack: Stack) -> dict[str, set[str]]:
    """Load balancers and the nodes that somebody has out there, as HAProxy says."""
    return {
        balancer: {name for name, each in own.items() if each.admin or each.weight != 1}
        for balancer, own in (await states(stack)).items()
    }


def told(stack: Stack, run: Run) -> dict[str, set[str]]:
    """The same, as the end of the run says."""
    places = [place for each in run.ended["out_of_rotation"] for place in each["where"]]
    found: dict[str, set[str]] = {name: set() for name in stack.instances}
    for place in places:  # "shop/web1 on lb1: maint"
        server, _, rest = place.partition(" on ")
        found[rest.partition(":")[0]].add(server.removeprefix("shop/"))
    return found


async def assert_all_is_new(stack: Stack) -> None:
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
    assert await out(stack) == {name: set() for name in stack.instances}


@pytest.mark.parametrize(
    "step",
    [each if each in ("stop", "verify") else pytest.param(each, marks=pytest.mark.long) for each in STEPS],
)
async def test_an_agent_that_hangs_shortly_is_not_noticed(tmp_path: Path, step: Step) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, step) as let_go:
        async with (
            Load(100, stack.frontends) as load,
            started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running,
        ):
            await running.event("step_started", node="web1", step=step)
            agent.freeze()
            await asyncio.sleep(SHORTLY)
            agent.thaw()
            let_go()
            run = await running.end()
            report = await load.stop()
        assert run.code == 0, run.text
        assert run.ended["result"] == "healthy"
        assert_nothing_failed(report, at_least=100)
        await assert_all_is_new(stack)
        [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/lock")
        assert "Session" not in pair
        assert pair["LockIndex"] == 1  # it was ours all the time


@pytest.mark.parametrize("step", [pytest.param("drain", marks=pytest.mark.long), "start"])
async def test_an_agent_that_hangs_for_long_ends_it_after_the_node(tmp_path: Path, step: Step) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, step) as let_go:
        async with Load(100, stack.frontends) as load:
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("step_started", node="web1", step=step)
                agent.freeze()
                await asyncio.sleep(LONG)
                let_go()
                run = await running.end()
            assert run.code == 1, run.text
            assert run.ended["result"] == "degraded"
            assert "the lock could not be renewed in Consul for" in run.ended["reason"]
            assert (run.ended["upgraded"], run.ended["untouched"]) == (["web1"], ["web2"])
            assert not [each for each in run.sent if "web2" in each[0] or "/web2 " in each[1]]
            assert told(stack, run) == await out(stack) == {"lb1": set(), "lb2": set()}
            assert await versions(stack) == {"web1": NEW, "web2": OLD}
            agent.thaw()
            await agent.ready()
            resumed = await rolldeck(stack, "resume", "shop", "--yes")
            report = await load.stop()
        assert resumed.code == 0, resumed.text
        assert_nothing_failed(report, at_least=100)
        await assert_all_is_new(stack)


async def test_an_agent_that_comes_back_empty_has_ended_the_session(tmp_path: Path) -> None:
    """A development agent keeps nothing: whoever asks there now would get the lock, so nothing is sent."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, "start") as let_go:
        async with Load(100, stack.frontends) as load:
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("step_started", node="web1", step="start")
                await agent.kill()
                await agent.start()
                await agent.ready()
                await asyncio.sleep(TTL)  # it is renewed three times in that
                let_go()
                run = await running.end()
            assert run.code == 1, run.text
            assert run.ended["result"] == "degraded"
            assert "the lock's session in Consul has ended" in run.ended["reason"]
            assert (run.ended["interrupted"], run.ended["untouched"]) == (["web1"], ["web2"])
            assert told(stack, run) == await out(stack) == {"lb1": {"web1"}, "lb2": {"web1"}}
            await tell(stack, agent)
            listed = await rolldeck(stack, "status")
            assert "web1 was left by rollout 1" in listed.text
            resumed = await rolldeck(stack, "resume", "shop", "--yes")
            report = await load.stop()
        assert resumed.code == 0, resumed.text
        assert_nothing_failed(report, at_least=100)
        await assert_all_is_new(stack)


async def test_a_new_leader_is_waited_for(tmp_path: Path) -> None:
    async with three_servers(tmp_path) as agents, world(tmp_path / "s", nodes=2) as stack:
        leader, ours = await leader_and_other(agents)
        await tell(stack, ours)
        use(stack, ours)
        # Consul gives an election up to ten seconds and more; it is not the TTL that is looked at here.
        tune(stack, "lock", ttl=81)
        async with held(stack, "stop") as let_go:
            async with (
                Load(100, stack.frontends) as load,
                started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running,
            ):
                await running.event("step_started", node="web1", step="stop")
                await leader.kill()
                await ours.ready()
                let_go()
                run = await running.end()
                report = await load.stop()
            assert run.code == 0, run.text
            assert run.ended["result"] == "healthy"
            assert_nothing_failed(report, at_least=100)
            await assert_all_is_new(stack)


async def leader_and_other(agents: list[Agent]) -> tuple[Agent, Agent]:
    """The leader, and one that is not it."""
    address = await agents[0].ask("GET", "/v1/status/leader")
    [leader] = [each for each in agents if address == f"127.0.0.1:{each.ports['server']}"]
    return leader, next(each for each in agents if each is not leader)
