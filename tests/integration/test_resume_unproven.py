"""Killed while it verified or baked a node, and resumed: what nobody has proven is not taken for done."""

from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.node import Release
from console.demo.stack import Stack
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import running_version

UNPROVEN = "web1 was left by rollout 1"

pytestmark = pytest.mark.timeout(300)  # several rollouts each, on a busy machine


async def kill_while_web1_bakes(stack: Stack) -> None:
    """web1 has the new version, is in rotation, and nobody watches it any more."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("waiting", node="web1", reason="baking")
        running.process.kill()
        await running.end()


def begun(events: list[dict[str, object]]) -> list[tuple[object, object]]:
    """Node and step of each that was begun."""
    return [(event["node"], event["step"]) for event in events if event["event"] == "step_started"]


async def test_a_node_killed_in_its_bake_is_taken_out_proven_and_baked_before_all_others(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "s", nodes=3) as stack:
        tune(stack, "apps.shop.rollout", bake_time=20, order="reverse")
        async with Load(40, stack.frontends, slow_share=0) as load:
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("waiting", node="web3", reason="baking")
                running.process.kill()
                await running.end()
            tune(stack, "apps.shop.rollout", bake_time=0.2, order="inventory")
            resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
            report = await load.stop()
        assert resumed.code == 0, resumed.text
        assert begun(resumed.events)[:3] == [("web3", "drain"), ("web3", "verify"), ("web1", "drain")]
        assert resumed.ended["upgraded"] == ["web3", "web1", "web2"]
        assert "it gets traffic and was never verified" in resumed.err
        assert_nothing_failed(report)
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        again = await rolldeck(stack, "resume", "shop", "--yes")
        assert (again.code, again.text.strip()) == (0, "shop: nothing to resume")


@pytest.mark.parametrize(
    "command", [("resume", "shop"), pytest.param(("upgrade", "shop", NEW), marks=pytest.mark.long)]
)
async def test_a_bad_version_killed_in_its_bake_is_out_after_the_resume(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with world(tmp_path / "s", nodes=3) as stack:
        tune(stack, "apps.shop.rollout", bake_time=40)
        stack.nodes["web1"].add_release(Release(version=NEW, exit_after=15.0, start_delay=0.1))
        await kill_while_web1_bakes(stack)
        resumed = await rolldeck(stack, *command, "--yes", "--json")
        assert resumed.code == 1, resumed.text
        assert UNPROVEN in resumed.err or "web1: left by rollout 1" in resumed.err
        assert begun(resumed.events)[0][0] == "web1"
        assert (resumed.ended["failed"], resumed.ended["upgraded"]) == (["web1"], [])
        for servers in (await states(stack)).values():
            assert {name: server.admin for name, server in servers.items()} == {
                "web1": MAINT,
                "web2": 0,
                "web3": 0,
            }
        assert {name: await running_version(stack, name) for name in ("web2", "web3")} == {
            "web2": OLD,
            "web3": OLD,
        }


@pytest.mark.long
async def test_where_the_floor_needs_it_it_is_proven_in_place(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", bake_time=20)
        await kill_while_web1_bakes(stack)
        assert (await rolldeck(stack, "maint", "shop", "web2", "--yes")).code == 0
        tune(stack, "apps.shop.rollout", bake_time=0.2)
        resumed = await upgrade(stack, NEW, "--limit", "web1")
        assert resumed.code == 0, resumed.text
        assert begun(resumed.events) == [("web1", "verify")]
        assert resumed.ended["upgraded"] == ["web1"]
