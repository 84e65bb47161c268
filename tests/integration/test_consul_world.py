"""Upgrades of what Consul knows: nodes, load balancers and the lock come from a real agent."""

from pathlib import Path

import pytest

from console.demo.load import Load
from tests.support.consul_world import consul_world, elsewhere, far_away, killed, lock_runs_out
from tests.support.held_steps import held
from tests.support.rollouts import (
    NEW,
    OLD,
    admin_states,
    assert_nothing_failed,
    rolldeck,
    started,
    upgrade,
    versions,
)
from tests.support.servers.consul import needs_consul

pytestmark = needs_consul


async def test_an_upgrade_of_what_consul_knows_loses_no_request(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        status = await rolldeck(stack, "status")
        assert status.code == 0, status.text
        assert "2 of 2 in rotation" in status.text
        async with Load(50, stack.frontends, slow_share=0) as load:
            run = await upgrade(stack, NEW)
            report = await load.stop()
        assert run.code == 0, run.text
        assert run.ended["upgraded"] == ["web1", "web2"]
        assert_nothing_failed(report, at_least=50)
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_two_machines_on_one_consul_are_one_at_a_time(tmp_path: Path) -> None:
    """The second has a journal of its own, and so no lock file in common."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _), held(stack, "start") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            with elsewhere(stack):
                for command in (["upgrade", "shop", "9.9.9"], ["weight", "shop", "web2", "--to", "7"]):
                    refused = await rolldeck(stack, *command, "--yes")
                    assert refused.code == 3, refused.text
                    assert f"process {running.process.pid} on " in refused.text
                    assert "upgrade to 1.5.0" in refused.text
            let_go()
            first = await running.end()
        assert first.code == 0, first.text
        with elsewhere(stack):
            later = await rolldeck(stack, "upgrade", "shop", OLD, "--yes")
        assert later.code == 0, later.text


async def test_after_a_kill_the_same_machine_goes_on_at_once(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, _):
        await killed(stack)
        resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        assert resumed.code == 0, resumed.text
        assert [event["fence"] for event in resumed.events if event["event"] == "lock_taken"] == [2]
        assert "taken over from" not in resumed.text, "our own journal has it already"
        said = [event["text"] for event in resumed.events if event["event"] == "node_note"]
        assert any("took over stale lock of" in text for text in said)
        assert await versions(stack) == {"web1": NEW, "web2": NEW}


@pytest.mark.long  # test_consul_sharing.py has one that takes over what was left
async def test_after_a_kill_another_machine_gets_the_lock_when_it_has_run_out(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        async with Load(50, stack.frontends, slow_share=0) as load:
            pid = await killed(stack)
            with elsewhere(stack):
                refused = await far_away(stack, "upgrade", "shop", NEW, "--yes")
                assert refused.code == 3, refused.text
                assert f"process {pid} on " in refused.text
                await lock_runs_out(agent)
                # Its journal knows nothing of what is left, so it is told that web1 belongs in rotation.
                ended = await far_away(stack, "upgrade", "shop", NEW, "--yes", "--force-ready", "web1")
            report = await load.stop()
        assert ended.code == 0, ended.text
        assert_nothing_failed(report)
        assert await versions(stack) == {"web1": NEW, "web2": NEW}
        assert await admin_states(stack) == {0}


async def test_a_broken_lock_is_heard_at_once_and_nothing_is_sent_any_more(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, "start") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            with elsewhere(stack):
                broken = await rolldeck(stack, "weight", "shop", "web2", "--to", "7", "--yes", "--break-lock")
            assert broken.code == 0, broken.text
            let_go()  # what was begun on this machine comes to its end
            first = await running.end()
        assert first.code == 1, first.text
        assert "lock" in first.ended["reason"]
        assert first.ended["pending"] == ["web2"]
        [pair] = await agent.ask("GET", "/v1/kv/rolldeck/shop/lock")
        assert "Session" not in pair
        assert pair["LockIndex"] == 2
        [taken] = [event for event in first.events if event["event"] == "lock_taken"]
        assert taken["fence"] == 1


async def test_without_consul_nothing_is_begun_and_all_is_said(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        agent.freeze()
        for command in (["status"], ["upgrade", "shop", NEW, "--yes"]):
            run = await rolldeck(stack, *command)
            assert run.code == 1, run.text
            assert "consul: key haproxy: no answer from" in run.text
        agent.thaw()
        assert (await rolldeck(stack, "status")).code == 0
        assert await versions(stack) == {"web1": OLD, "web2": OLD}
