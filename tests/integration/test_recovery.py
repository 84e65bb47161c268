"""Recovery: rollouts that were killed, resumed, rolled back, locked, or met by a reload."""

from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.node import Release
from console.demo.stack import Stack
from orchestrator.events.steps import STEPS
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    admin_states,
    assert_nothing_failed,
    rolldeck,
    say,
    started,
    states,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import reload_haproxy
from tests.support.wait import until

RATE = 40  # requests per second


async def admins(stack: Stack, node: str) -> set[int]:
    return {servers[node].admin for servers in (await states(stack)).values()}


@pytest.mark.parametrize(
    "step",
    [step if step == "stop" else pytest.param(step, marks=pytest.mark.long) for step in STEPS],
)
async def test_killed_in_any_step_and_resumed(place: Path, step: str) -> None:
    async with world(place, nodes=2) as stack:
        # Only a drain has to wait for long requests, also that of a resume.
        async with Load(RATE, stack.frontends, slow_share=0.05 if step == "drain" else 0) as load:
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("step_started", node="web1", step=step)
                running.process.kill()
                await running.end()
            listed = await rolldeck(stack, "status")
            if await admins(stack, "web1") != {0}:
                assert "web1 was left by rollout 1" in listed.text
                assert "rolldeck resume shop" in listed.text
            resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
            report = await load.stop()
        assert resumed.code == 0, resumed.text
        assert resumed.ended["result"] == "healthy"
        assert_nothing_failed(report)
        assert await versions(stack) == {"web1": NEW, "web2": NEW}
        assert await admin_states(stack) == {0}
        if step == "verify":
            again = await rolldeck(stack, "resume", "shop", "--yes")
            assert (again.code, again.text.strip()) == (0, "shop: nothing to resume")


INSTALL = """kind = "command"
run = "./install {version}"

[apps.shop.version]
kind = "symlink"
path = "current"
"""


SCRIPT = """#!/bin/sh
mkdir installing || exit 9
until [ -e go ]; do sleep 0.1; done
ln -sfn "releases/$1" new && mv -T new current
rmdir installing
"""


async def test_an_installer_that_outlives_the_kill_is_waited_for(place: Path) -> None:
    """Two at once would fail here: the second finds the folder of the first."""
    async with world(place, nodes=2, instances=1) as stack:
        old = 'kind = "symlink"\nreleases = "releases"\nlink = "current"\n'
        text = stack.config_path.read_text()
        assert old in text
        stack.config_path.write_text(text.replace(old, INSTALL))
        for node in stack.nodes.values():
            script = node.directory / "install"
            script.write_text(SCRIPT)
            script.chmod(0o755)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            began = await running.event("command_started", node="web1", step="install")
            running.process.kill()
            await running.end()
        still = f"the install command of an earlier rollout is still running on web1, pid {began['pid']}"
        async with started(stack, "resume", "shop", "--yes", "--json") as running:
            await running.event("waiting", node="web1", reason=still)
            for node in stack.nodes.values():
                (node.directory / "go").touch()
            resumed = await running.end()
        assert resumed.code == 0, resumed.text
        assert await versions(stack) == {"web1": NEW, "web2": NEW}


async def test_originals_survive_the_kill(place: Path) -> None:
    async with world(place, nodes=3) as stack:
        tune(stack, "apps.shop.rollout", min_available=1)
        await say(stack, "set server shop/web1 weight 50")
        await say(stack, "set server shop/web2 state maint")
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="install")
            running.process.kill()
            await running.end()
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        assert resumed.code == 0, resumed.text
        for servers in (await states(stack)).values():
            assert (servers["web1"].admin, servers["web1"].weight) == (0, 50)
            assert servers["web2"].admin == MAINT  # a human had it out
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_a_later_upgrade_does_not_take_what_is_left_for_a_humans_wish(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            running.process.kill()
            await running.end()
        later = await upgrade(stack, NEW)
        assert later.code == 0, later.text
        assert await admins(stack, "web1") == {0}
        assert await versions(stack) == {"web1": NEW, "web2": NEW}


async def test_two_at_once_are_refused_with_the_holders_name(place: Path) -> None:
    async with world(place, nodes=2, instances=1) as stack:
        stack.add_release(NEW, start_delay=6.0)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            second = await rolldeck(stack, "upgrade", "shop", "9.9.9", "--yes")
            assert second.code == 3
            assert f"process {running.process.pid} on " in second.text
            assert "upgrade to 1.5.0" in second.text
            by_hand = await rolldeck(stack, "weight", "shop", "web2", "--to", "99", "--yes")
            assert by_hand.code == 3
            assert "99" not in str(await states(stack))
            first = await running.end()
        assert first.code == 0, first.text
        assert (await rolldeck(stack, "weight", "shop", "web2", "--to", "7", "--yes")).code == 0


async def test_back_to_the_versions_before(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        assert (await upgrade(stack, NEW)).code == 0
        async with Load(RATE, stack.frontends, slow_share=0) as load:
            back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
            report = await load.stop()
        assert back.code == 0, back.text
        assert back.ended["rolled_back"] == ["web2", "web1"]
        assert_nothing_failed(report)
        assert await versions(stack) == {"web1": OLD, "web2": OLD}
        listed = await rolldeck(stack, "history", "shop")
        assert "rollback" in listed.text


@pytest.mark.parametrize(("how", "expected"), [("rollback-node", NEW), ("rollback-all", OLD)])
async def test_a_failure_rolls_back_what_the_policy_says(place: Path, how: str, expected: str) -> None:
    async with world(place, nodes=3) as stack:
        tune(stack, "apps.shop.rollout", verify_timeout=1.5, on_failure=how)
        stack.nodes["web2"].add_release(Release(version=NEW, healthy=False, start_delay=0.2))
        async with Load(RATE, stack.frontends, slow_share=0) as load:
            run = await upgrade(stack, NEW)
            report = await load.stop()
        assert run.code == 1, run.text  # it is not what was asked for, however well the way back went
        assert [event["result"] for event in run.events if event["event"] == "rollout_ended"] == [
            "degraded",
            "healthy",
        ]
        assert_nothing_failed(report)
        assert await versions(stack) == {"web1": expected, "web2": OLD, "web3": OLD}
        assert await admin_states(stack) == {0}


@pytest.mark.parametrize(
    "step",
    [step if step == "verify" else pytest.param(step, marks=pytest.mark.long) for step in STEPS],
)
async def test_a_reload_in_any_step_is_undone(place: Path, step: str) -> None:
    async with world(place, port_check_from="node", nodes=2) as stack:
        async with Load(RATE, stack.frontends, slow_share=0) as load:
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("step_started", node="web1", step=step)
                await reload_haproxy(stack.instances["lb1"])
                run = await running.end()
            await load.stop()
        assert run.code == 0, run.text
        assert run.ended["upgraded"] == ["web1", "web2"]
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        told = [
            event["text"]
            for event in run.events
            if event["event"] == "node_note" and "reloaded" in event["text"]
        ]
        assert told
        assert told[0].startswith("lb1 was reloaded; ")

        async def all_ready() -> bool:
            return await admin_states(stack) == {0}

        await until(all_ready)


async def test_a_damaged_journal_stops_everything_before_anything_is_touched(place: Path) -> None:
    async with world(place, nodes=2, instances=1) as stack:
        (place / "journal.db").write_bytes(b"this is no database" * 100)
        run = await upgrade(stack, NEW)
        assert run.code == 1
        assert "journal" in run.text
        assert "damaged" in run.text
        assert await versions(stack) == {"web1": OLD, "web2": OLD}
        assert (await rolldeck(stack, "status")).code == 0
