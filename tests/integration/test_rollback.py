"""Rollbacks lead to versions that were healthy on each node, and never to one that was rolled back."""

from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.node import Release
from tests.support.rollouts import (
    NEW,
    OLD,
    Run,
    admin_states,
    assert_nothing_failed,
    rolldeck,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import running_version

pytestmark = pytest.mark.timeout(300)  # several rollouts each, on a busy machine

WORSE = "1.6.0"


def ends(run: Run) -> list[dict[str, object]]:
    return [event for event in run.events if event["event"] == "rollout_ended"]


async def test_a_second_rollback_undoes_nothing_and_one_that_is_asked_for_undoes_it(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        assert (await upgrade(stack, NEW)).code == 0
        back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
        assert back.code == 0, back.text
        assert (back.ended["rolled_back"], back.ended["upgraded"]) == (["web2", "web1"], [])
        assert {event["event"] for event in back.events} >= {"node_rolled_back"}
        assert not [event for event in back.events if event["event"] == "node_upgraded"]
        async with Load(30, stack.frontends) as load:
            again = await rolldeck(stack, "rollback", "shop", "--yes")
            report = await load.stop()
        assert again.code == 0
        assert "rollout 1 was already rolled back by 2: no changes made" in again.out
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        assert_nothing_failed(report)
        shown = await rolldeck(stack, "history", "show", "2")
        assert "rolled back" in shown.out
        assert "upgraded" not in shown.out
        undone = await rolldeck(stack, "rollback", "shop", "--rollout", "2", "--yes")
        assert undone.code == 0, undone.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_an_automatic_rollback_is_not_undone_and_a_failed_version_is_named(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", verify_timeout=1, on_failure="rollback-all")
        stack.nodes["web2"].add_release(Release(version=NEW, healthy=False, start_delay=0.1))
        assert (await upgrade(stack, NEW)).code == 1
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        again = await rolldeck(stack, "rollback", "shop", "--yes")
        assert (again.code, "already rolled back by 2" in again.out) == (0, True)
        undone = await rolldeck(stack, "rollback", "shop", "--rollout", "2", "--node", "web2", "--yes")
        assert undone.code == 1, undone.text
        assert f"web2: {NEW} failed here at verify in rollout 1" in undone.err
        assert "that failed here in rollout 1" in undone.err


async def test_two_failed_versions_lead_back_to_the_last_healthy_one(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", verify_timeout=1)
        for version in (WORSE, "1.6.1"):
            stack.add_release(version, healthy=False, start_delay=0.1)
            assert (await upgrade(stack, version)).code == 1
        assert await running_version(stack, "web1") == "1.6.1"
        back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
        assert back.code == 0, back.text
        assert back.ended["rolled_back"] == ["web1"]
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        assert await admin_states(stack) == {0}


@pytest.mark.long
async def test_back_to_a_version_that_somebody_names(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1, versions=(OLD, NEW, WORSE)) as stack:
        assert (await upgrade(stack, NEW)).code == 0
        assert (await upgrade(stack, WORSE)).code == 0
        back = await rolldeck(stack, "rollback", "shop", OLD, "--yes", "--json")
        assert back.code == 0, back.text
        assert back.ended["rolled_back"] == ["web2", "web1"]
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
