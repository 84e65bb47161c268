"""`rolldeck status` and every end, on real parts: what runs, what was left, versions, whose maintenance."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    OLD,
    Run,
    rolldeck,
    say,
    started,
    states,
    tune,
    upgrade,
    world,
)


async def told(stack: Stack) -> tuple[Run, dict[str, list[dict[str, Any]]]]:
    """`status --json`, its lines by kind."""
    run = await rolldeck(stack, "status", "--json")
    kinds: dict[str, list[dict[str, Any]]] = {}
    for line in run.out.splitlines():
        fields = json.loads(line)
        kinds.setdefault(fields["kind"], []).append(fields)
    return run, kinds


def versions(kinds: dict[str, list[dict[str, Any]]]) -> dict[str, tuple[str, str]]:
    return {node["node"]: (node["version"], node["source"]) for node in kinds["node"]}


async def test_a_running_rollout_is_told_with_its_node_and_its_way(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1, start_delay=0.1) as stack:
        stack.add_release(NEW, start_delay=40.0)
        tune(stack, "apps.shop.rollout", start_timeout=60)
        before = await rolldeck(stack, "status")
        assert before.code == 0, before.text
        assert f"version {OLD} on 3 nodes" in before.out
        assert "on disk" not in before.out
        stack.nodes["web1"].activate(NEW)
        differing = await rolldeck(stack, "status")
        _, kinds = await told(stack)
        stack.nodes["web1"].activate(OLD)
        assert f"! web1: {OLD} runs, {NEW} on disk" in differing.out
        assert [(node["on_disk"], node["differs"]) for node in kinds["node"]] == [
            (NEW, True),
            (OLD, False),
            (OLD, False),
        ]
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            text = await rolldeck(stack, "status")
            _, kinds = await told(stack)
            running.process.kill()
        assert f"upgrade 1 to {NEW} runs: " in text.out
        assert re.search(rf"process {running.process.pid} on .*; the terminal, uid {os.getuid()}", text.out)
        assert re.search(r"\) since \d\d:\d\d:\d\d$", text.out, re.MULTILINE)
        assert "0/3 nodes done" in text.out
        assert "  at web1: starting" in text.out
        assert "was left by" not in text.text
        assert "kept out by" not in text.text
        assert "rolldeck resume" not in text.text
        [rollout] = kinds["rollout"]
        assert (rollout["standing"], rollout["entry"], rollout["pid"]) == ("running", 1, running.process.pid)
        assert next((node["node"], node["state"]) for node in rollout["nodes"]) == ("web1", "starting")
        assert rollout["ways_on"] == []

        after = await rolldeck(stack, "status")
        assert after.code == 1
        assert f"upgrade 1 to {NEW} was not finished: interrupted" in after.out
        assert "web1 was left by rollout 1" in after.err
        assert after.out.index("rolldeck resume shop") < after.out.index("rolldeck rollback shop")


async def test_between_two_nodes_the_end_and_status_name_the_way_on(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        tune(stack, "apps.shop.rollout", bake_time=1.5)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("waiting", node="web1", reason="baking")
            running.process.terminate()
            run = await running.end()
        assert run.code == 4, run.text
        assert (run.ended["upgraded"], run.ended["out_of_rotation"]) == (["web1"], [])
        assert [way["command"] for way in run.ended["ways_on"]] == [
            "rolldeck resume shop",
            "rolldeck rollback shop",
        ]
        assert run.ended["versions"] == {"web1": NEW, "web2": OLD, "web3": OLD}
        assert f"  versions    {OLD} on web2, web3; {NEW} on web1\n" in run.err
        assert "to finish it: rolldeck resume shop\n" in run.err

        text = await rolldeck(stack, "status")
        assert text.code == 1, "all are in rotation, and the fleet is mixed"
        assert "3 of 3 in rotation" in text.out
        assert f"mixed versions: {OLD} on web2, web3; {NEW} on web1" in text.out
        assert "1/3 nodes done; pending: web2, web3" in text.out
        assert "to finish it: rolldeck resume shop" in text.out
        _, kinds = await told(stack)
        assert versions(kinds) == {
            "web1": (NEW, "health"),
            "web2": (OLD, "health"),
            "web3": (OLD, "health"),
        }
        assert [rollout["standing"] for rollout in kinds["rollout"]] == ["unfinished"]
        finished = await rolldeck(stack, "resume", "shop", "--yes")
        assert finished.code == 0, finished.text
        done = await rolldeck(stack, "status")
        assert (done.code, "rollout" in done.text, f"version {NEW} on 3 nodes" in done.out) == (
            0,
            False,
            True,
        )


async def test_after_a_bad_version_rollback_comes_first(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        stack.add_release(NEW, healthy=False)
        tune(stack, "apps.shop.rollout", verify_timeout=1.5)
        run = await upgrade(stack)
        assert run.code == 1
        assert [way["purpose"] for way in run.ended["ways_on"]] == ["rollback", "resume"]
        text = await rolldeck(stack, "status")
        assert text.out.index("rolldeck rollback shop") < text.out.index("rolldeck resume shop")
        assert "failed: web1" in text.out


@pytest.mark.long
async def test_a_limited_upgrade_leaves_a_mixed_fleet_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        first = await rolldeck(stack, "upgrade", "shop", NEW, "--limit", "web1", "--yes")
        assert first.code == 0, first.text
        assert f"versions    {OLD} on web2, web3; {NEW} on web1" in first.out, "although the journal is empty"
        assert (await upgrade(stack, NEW)).code == 0  # by which the versions of all are known
        stack.add_release("1.6.0", start_delay=0.1)
        run = await rolldeck(stack, "upgrade", "shop", "1.6.0", "--limit", "web1", "--yes")
        assert run.code == 0, run.text
        assert f"versions    {NEW} on web2, web3; 1.6.0 on web1" in run.out
        text = await rolldeck(stack, "status")
        assert (text.code, "mixed versions:" in text.out) == (0, True)


async def test_maintenance_of_somebody_else_is_left_to_them(tmp_path: Path) -> None:
    """Taken out while the rollout goes on; neither the end nor `status` has a command that would undo it."""
    async with world(tmp_path / "s", nodes=3) as stack:
        tune(stack, "apps.shop.rollout", min_available=0, bake_time=1.0)
        async with started(stack, "upgrade", "shop", NEW, "--limit", "web[12]", "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="verify")
            await say(stack, "set server shop/web3 state maint")
            run = await running.end()
        assert run.code == 0, run.text
        text = await rolldeck(stack, "status")
        assert text.code == 1
        assert re.search(
            r"web3 \(shop\) is kept out by somebody else since \d\d:\d\d:\d\d, untouched: lb1: maint, lb2",
            text.out,
        )
        assert "ready" not in text.out.split("kept out")[1]
        _, kinds = await told(stack)
        [kept] = kinds["kept_out"]
        assert (kept["server"], kept["by"]) == ("web3", "others")
        assert "left" not in kinds

        assert (await rolldeck(stack, "maint", "shop", "web2", "--yes")).code == 0
        by_hand = await rolldeck(stack, "status")
        assert re.search(r"web2 \(shop\) is kept out by \S+@\S+, manually since", by_hand.out), by_hand.out


async def test_a_node_that_was_held_and_then_taken_out_by_somebody_is_theirs(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3, instances=1) as stack:
        tune(stack, "apps.shop.rollout", min_available=2, capacity_timeout=1.5)
        go = tmp_path / "go"
        with stack.config_path.open("a") as file:  # it waits until somebody has been there
            command = f"until [ -e {go} ]; do sleep 0.05; done"
            file.write(f'\n[[apps.shop.hooks]]\nevents = ["start"]\ncommand = "{command}"\ntimeout = 60.0\n')
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("rollout_started")
            await say(stack, "set server shop/web3 state maint")
            go.touch()
            run = await running.end()
        assert run.code == 1, run.text
        assert (run.ended["failed"], run.ended["held"]) == ([], ["web1"])
        assert "held: web1" in run.err
        assert [out["node"] for out in run.ended["out_of_rotation"] if out["by_others"]] == ["web3"]
        await say(stack, "set server shop/web1 state maint")
        text = await rolldeck(stack, "status")
        assert "was left by" not in text.text
        assert "web1 (shop) is kept out by somebody else since" in text.out


@pytest.mark.long
async def test_ready_is_not_advised_after_an_installation_that_failed(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        text = stack.config_path.read_text()
        old = 'kind = "symlink"\nreleases = "releases"\nlink = "current"\n'
        assert old in text
        full = 'kind = "command"\nrun = "echo no space left on device; exit 1 # {version}"\n'
        version = '\n[apps.shop.version]\nkind = "symlink"\npath = "current"\n'
        stack.config_path.write_text(text.replace(old, full + version))
        run = await upgrade(stack)
        assert run.code == 1, run.text
        [out] = run.ended["out_of_rotation"]
        assert out["not_ready"].startswith("its service does not run")
        assert "rolldeck ready" not in run.err
        # What is advised works.
        stack.config_path.write_text(text)
        back = await rolldeck(stack, *out["rollback_command"].split()[1:], "--yes")
        assert back.code == 0, back.text
        assert {servers["web1"].admin for servers in (await states(stack)).values()} == {0}
