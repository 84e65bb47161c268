"""What another machine has taken out and not finished is nobody's decision, whoever upgrades next."""

import signal
from pathlib import Path

from console.demo.stack import Stack
from tests.integration.test_consul_signed import free, give_key
from tests.support.consul_world import consul_world, elsewhere, far_away
from tests.support.rollouts import MAINT, NEW, Run, rolldeck, started, states, tune, upgrade, versions
from tests.support.servers.consul import needs_consul

pytestmark = needs_consul


async def left_in_maintenance(stack: Stack) -> None:
    """By a rollout of this machine; what follows is to be on another."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("step_started", node="web1", step="stop")
        running.signal(signal.SIGKILL)
        await running.end()
    assert {servers["web1"].admin for servers in (await states(stack)).values()} == {MAINT}


async def admins(stack: Stack) -> dict[str, set[int]]:
    found = await states(stack)
    return {node: {servers[node].admin for servers in found.values()} for node in stack.nodes}


def assert_refused(run: Run) -> None:
    assert run.code == 3, run.text
    assert "web1: is as the upgrade of shop to 1.5.0 by " in run.err
    assert "it comes from Consul unauthenticated" in run.err
    assert "`rolldeck resume shop` finishes it, --force-ready web1" in run.err


async def test_without_a_key_somebody_has_to_decide(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, agent):
        tune(stack, "apps.shop.rollout", min_available=1)
        await left_in_maintenance(stack)
        await free(agent)
        with elsewhere(stack):
            assert_refused(await upgrade(stack))
            # What this one publishes would replace what Consul knows of web1.
            assert_refused(await upgrade(stack, NEW, "--limit", "web2"))
            decided = await rolldeck(stack, "maint", "shop", "web1", "--yes")
            assert decided.code == 0, decided.text
            run = await upgrade(stack)
            assert run.code == 0, run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert await admins(stack) == {"web1": {MAINT}, "web2": {0}, "web3": {0}}


async def test_what_is_signed_is_finished_by_the_next_upgrade(tmp_path: Path) -> None:
    """What it has left is known before its lock has run out: whoever breaks that goes on with its rollout."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        give_key(stack)
        await left_in_maintenance(stack)
        with elsewhere(stack):
            run = await far_away(stack, "upgrade", "shop", NEW, "--yes", "--json", "--break-lock")
            assert run.code == 0, run.text
            again = await rolldeck(stack, "resume", "shop", "--yes")
            assert (again.code, again.text.strip()) == (0, "shop: nothing to resume")
        assert run.ended["out_of_rotation"] == []
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert set().union(*(await admins(stack)).values()) == {0}
