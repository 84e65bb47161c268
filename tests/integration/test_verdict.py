"""The verdict on a new version of the demo, by what real HAProxies count."""

import asyncio
import csv
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from console.demo.haproxy import HAProxy
from console.demo.load import Load
from console.demo.node import Node
from console.demo.stack import Stack
from tests.support.aged_balancer import aged
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    Run,
    journalled,
    rolldeck,
    seconds_of,
    started,
    states,
    tune,
    until_up,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import reload_haproxy
from tests.support.wait import until

RATE = 200  # requests a second on all nodes together
FAULTY = "1.6.0-errors"


@asynccontextmanager
async def loaded(place: Path, *, nodes: int = 4, rate: float = RATE, **policy: Any) -> AsyncIterator[Stack]:
    """A stack under load, with the faulty versions."""
    async with world(place / "s", nodes=nodes, instances=1) as stack, _aged(stack):
        stack.add_faulty_releases()
        tune(stack, "apps.shop.rollout", **{"bake_time": 30, "verify_timeout": 10, **policy})
        async with Load(rate, stack.frontends, slow_share=0):
            yield stack


@asynccontextmanager
async def _aged(stack: Stack) -> AsyncIterator[None]:
    """Let HAProxy seem an hour old, so that its counters are a history."""
    [instance] = stack.instances.values()
    place = stack.directory / "aged.sock"
    stack.config_path.write_text(stack.config_path.read_text().replace(str(instance.socket), str(place)))
    async with aged(instance.socket, place, 3600):
        yield


def of_kind(run: Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events if event["event"] == kind]


async def admin(stack: Stack) -> dict[str, int]:
    [servers] = (await states(stack)).values()
    return {name: server.admin for name, server in servers.items()}


async def until_judged(stack: Stack) -> None:
    """Wait for the first verdict of rollout 1 that is not "blind"; with it comes what was measured."""

    async def judged() -> bool:
        return any(event["event"] == "verdict" and event["state"] != "blind" for event in journalled(stack))

    await until(judged)


async def test_a_bad_version_leaves_at_once_and_no_other_node_is_drained(tmp_path: Path) -> None:
    async with loaded(tmp_path) as stack:
        run = await upgrade(stack, FAULTY)
        assert run.code == 1, run.text
        assert (run.ended["failed"], run.ended["upgraded"]) == (["web1"], [])
        [failed] = of_kind(run, "node_failed")
        assert failed["error"].startswith(f"{FAULTY} fails ")
        assert failed["error"] in run.ended["reason"]
        bad = next(event for event in of_kind(run, "verdict") if event["state"] == "bad")
        sent = [event for event in of_kind(run, "command_sending") if event["command"].endswith("drain")]
        assert [event["command"].split("/")[-1] for event in sent] == ["web1 state drain"] * 2
        assert 0 <= seconds_of(sent[-1]) - seconds_of(bad) < 0.5
        assert await admin(stack) == {"web1": MAINT, "web2": 0, "web3": 0, "web4": 0}
        assert [out["node"] for out in run.ended["out_of_rotation"]] == ["web1"]


@pytest.mark.long
async def test_a_version_that_turns_bad_later_leaves_though_its_node_was_done(tmp_path: Path) -> None:
    async with loaded(tmp_path, bake_time=1) as stack:
        incident = tmp_path / "incident"
        stack.add_release("2.0.0", incident_file=str(incident))
        tune(stack, "apps.shop.rollout", bake_time=1, min_healthy=4)
        async with started(stack, "upgrade", "shop", "2.0.0", "--yes", "--json") as running:
            await running.event("node_upgraded", node="web1")
            await running.event("step_started", node="web2", step="stop")
            incident.write_text("0.5")
            run = await running.end()
        assert run.code == 1, run.text
        errors = {event["node"]: event["error"] for event in of_kind(run, "node_failed")}
        assert errors["web1"].startswith("2.0.0 fails ")
        assert errors["web2"].startswith("was not put into rotation: 2.0.0 fails ")
        assert await admin(stack) == {"web1": MAINT, "web2": MAINT, "web3": 0, "web4": 0}
        assert {out["node"] for out in run.ended["out_of_rotation"]} == {"web1", "web2"}
        run = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
        assert run.code == 0, run.text
        assert set((await admin(stack)).values()) == {0}


@pytest.mark.long
async def test_a_good_version_passes_with_errors_of_both(tmp_path: Path) -> None:
    async with loaded(tmp_path, bake_time=3) as stack:
        stack.add_release("2.0.0", error_share=0.02, error_run=2)
        run = await upgrade(stack, "2.0.0")  # from one without errors, so that all of them are new
        assert run.code in (0, 1)
        stack.add_release("2.1.0", error_share=0.02, error_run=2, seed=1)
        if run.code:
            tune(stack, "apps.shop.canary", verdict="watch")
            tune(stack, "apps.shop.rollout", max_5xx=100_000)
            assert (await upgrade(stack, "2.0.0")).code == 0
            tune(stack, "apps.shop.canary", verdict="stop")
        run = await upgrade(stack, "2.1.0")
        assert run.code == 0, run.text
        assert {event["state"] for event in of_kind(run, "verdict")} <= {"blind", "good"}
        assert of_kind(run, "verdict")[-1]["state"] == "good"


def _is_stopped(node: Node) -> bool:
    return node.pid is None


async def _all_answer(stack: Stack) -> bool:
    return None not in (await versions(stack)).values()


async def _has_served(instance: HAProxy, requests: int) -> bool:
    rows = csv.DictReader((await instance.ask("show stat shop 2 -1")).removeprefix("# ").splitlines())
    return int(next(rows)["req_tot"]) >= requests


@pytest.mark.long
async def test_errors_of_all_nodes_hold_the_rollout(tmp_path: Path) -> None:
    async with loaded(tmp_path, bake_time=2, capacity_timeout=5) as stack:
        incident = tmp_path / "incident"
        for version in (OLD, NEW):
            stack.add_release(version, incident_file=str(incident))
        for node in stack.nodes.values():
            await node.appctl("stop")
            await until(partial(_is_stopped, node))
            await node.appctl("start")
        await until(lambda: _all_answer(stack))  # HAProxy may not have seen yet that they were stopped
        await until_up(stack, "shop")
        [instance] = stack.instances.values()
        await instance.ask("clear counters all")  # the restarts are not what is normal
        await until(partial(_has_served, instance, 200))
        tune(stack, "apps.shop.rollout", bake_time=20, capacity_timeout=5)
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("waiting", node="web1", reason="baking")
            incident.write_text("0.5")
            run = await running.end()
        assert run.code == 1, run.text
        verdicts = of_kind(run, "verdict")
        assert not [event for event in verdicts if event["state"] == "bad"], verdicts
        assert run.ended["reason"].startswith("verdict hold: "), run.ended
        assert run.ended["upgraded"] == ["web1"]
        assert set((await admin(stack)).values()) == {0}


@pytest.mark.long
async def test_a_verdict_that_is_watched_stops_nothing(tmp_path: Path) -> None:
    async with loaded(tmp_path, bake_time=10, max_5xx=100_000) as stack:
        tune(stack, "apps.shop.canary", verdict="watch")
        run = await upgrade(stack, FAULTY, "--limit", "web1")
        assert run.code == 0, run.text
        assert of_kind(run, "verdict")[-1]["state"] == "bad"


@pytest.mark.long
async def test_a_reload_and_cleared_counters_only_delay_the_verdict(tmp_path: Path) -> None:
    async with loaded(tmp_path, rate=120) as stack:
        stack.add_release("2.0.0", error_share=0.06)
        [instance] = stack.instances.values()
        async with started(stack, "upgrade", "shop", "2.0.0", "--yes", "--json") as running:
            await until_judged(stack)
            await instance.ask("clear counters all")
            await asyncio.sleep(0.5)
            await reload_haproxy(instance)
            run = await running.end()
        assert run.code == 1, run.text
        assert run.ended["failed"] == ["web1"], run.ended
        assert of_kind(run, "verdict")[-1]["state"] == "bad"
        assert (await admin(stack))["web2"] == 0


@pytest.mark.long
async def test_a_killed_rollout_continues_from_its_evidence(tmp_path: Path) -> None:
    async with loaded(tmp_path, rate=120) as stack:
        stack.add_release("2.0.0", error_share=0.06)
        async with started(stack, "upgrade", "shop", "2.0.0", "--yes", "--json") as running:
            await until_judged(stack)
            running.signal(signal.SIGKILL)
            await running.end()
        [*_, last] = [event for event in journalled(stack) if event["event"] == "measured"]
        before = last["evidence"]["sums"]["requests"]
        assert before > 0
        tune(stack, "apps.shop.canary", min_requests=int(before) + 1)  # so that only old evidence is enough
        run = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        assert run.code == 1, run.text
        verdicts = of_kind(run, "verdict")
        assert verdicts[0]["requests"] >= before
        assert verdicts[-1]["state"] == "bad"
        assert run.ended["failed"] == ["web1"]

        async def ended() -> bool:
            return len(journalled(stack, 2)) > 0

        await until(ended)
        run = await rolldeck(stack, "resume", "shop", "--yes", "--json")  # an operator goes on: judged anew
        assert of_kind(run, "verdict")[0]["requests"] < before
