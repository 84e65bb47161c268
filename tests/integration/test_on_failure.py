"""`on_failure`: one lock, one combined result, nothing lost if it is refused, and what is unfinished."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.demo.node import Release
from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    OLD,
    admin_states,
    rolldeck,
    started,
    tune,
    upgrade,
    versions,
    world,
)

pytestmark = pytest.mark.timeout(300)  # several rollouts each, on a busy machine


def prepare(stack: Stack, how: str) -> None:
    """web2 will not become healthy on the new version."""
    tune(stack, "apps.shop.rollout", verify_timeout=1, balancer_unreachable_timeout=2, on_failure=how)
    stack.nodes["web2"].add_release(Release(version=NEW, healthy=False, start_delay=0.1))


async def test_one_account_of_how_it_is_at_the_end(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        prepare(stack, "rollback-all")
        run = await rolldeck(stack, "upgrade", "shop", NEW, "--yes")
        assert run.code == 1, run.text
        assert f"  failed and rolled back: web2 ({OLD}, in rotation)" in run.out
        assert f"  upgraded and rolled back: web1 ({OLD}, in rotation)" in run.out
        assert run.out.startswith("degraded: failed: web2; rolled back · ")
        assert "out of rotation" not in run.out
        assert run.out.count("degraded") == 1
        heading = "rolling back web1, web2 (on_failure = rollback-all)"
        assert heading in run.err
        assert "web2       ✓ rolled back" in run.err.partition(heading)[2]
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_a_rollback_that_is_refused_hides_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3) as stack:
        prepare(stack, "rollback-all")
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("node_failed", node="web2")
            await stack.instances["lb2"].kill()
            run = await running.end()
        assert run.code == 1, run.text
        [refused] = [event for event in run.events if event["event"] == "rollback_refused"]
        assert "lb2: cannot be read" in refused["reason"]
        assert "the rollback was refused: lb2: cannot be read" in run.err
        assert "no changes made" not in run.err
        assert "out of rotation: web2" in run.err
        assert "put back in rotation:  rolldeck ready shop web2" in run.err
        assert f"rolldeck upgrade shop {OLD} --limit web2 --force-ready web2" in run.err
        assert {"web1": NEW, "web3": OLD}.items() <= (await versions(stack)).items()


async def test_the_lock_is_held_from_the_rollout_through_its_rollback(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        prepare(stack, "rollback-node")
        lock = tmp_path / "s" / "locks" / "shop.lock"

        def holder() -> Any:
            return json.loads(lock.read_text())

        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="drain")
            first = holder()
            await running.event("rollback_started")
            assert holder() == first
            await running.event("node_rolled_back", node="web2")
            run = await running.end()
        assert run.code == 1, run.text
        assert (await versions(stack))["web2"] == OLD


async def test_an_unfinished_rollout_is_not_forgotten_while_the_fleet_is_mixed(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        prepare(stack, "stop")
        assert (await upgrade(stack, NEW)).code == 1
        advised = await upgrade(stack, OLD, "--limit", "web2", "--force-ready", "web2")
        assert advised.code == 0, advised.text
        assert await versions(stack) == {"web1": NEW, "web2": OLD, "web3": OLD}
        status = await rolldeck(stack, "status")
        assert status.code == 1
        assert "rolldeck resume shop" in status.text
        stack.nodes["web2"].add_release(Release(version=NEW, start_delay=0.1))
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        assert resumed.code == 0, resumed.text
        assert "resuming rollout 1 of" in resumed.err
        assert f"web2: {NEW} failed here at verify in rollout 1" in resumed.err
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert "nothing to resume" in (await rolldeck(stack, "resume", "shop", "--yes")).out


async def test_after_a_node_was_brought_back_rollback_brings_back_the_others(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        prepare(stack, "stop")
        assert (await upgrade(stack, NEW)).code == 1
        assert (await upgrade(stack, OLD, "--limit", "web2", "--force-ready", "web2")).code == 0
        back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
        assert back.code == 0, back.text
        assert back.ended["rolled_back"] == ["web1"]
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        assert await admin_states(stack) == {0}
        assert "nothing to resume" in (await rolldeck(stack, "resume", "shop", "--yes")).out
