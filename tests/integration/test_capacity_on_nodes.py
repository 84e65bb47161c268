"""Nodes with a worker limit: drains that the others cannot carry are refused or undone, and nothing fails."""

import asyncio
import csv
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from console.demo.haproxy import HAProxy
from console.demo.load import Load
from console.demo.node import Release
from console.demo.stack import Stack
from tests.support.rollouts import (
    DRAIN,
    NEW,
    OLD,
    Run,
    State,
    assert_nothing_failed,
    rolldeck,
    say,
    started,
    states,
    stop_load,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import TunedStack
from tests.support.wait import until

WORKERS, ANSWER_S = 4, 0.2  # a node answers 20 requests a second
CAPACITY = 4 * WORKERS / ANSWER_S  # of four nodes
WEIGHT = 70  # set at run time; it is 100 in the configuration
AS_BEFORE = {"lb1": {f"web{number}": State(0, WEIGHT) for number in range(1, 5)}}


class LimitedStack(TunedStack):
    """One HAProxy with a `maxconn` for each server, in front of four nodes with as many workers."""

    def _plan(self) -> None:
        super()._plan()
        for node in self.nodes.values():
            for version in (OLD, NEW):
                limits: dict[str, Any] = {"workers": WORKERS, "answer_s": ANSWER_S, "start_delay": 0.1}
                node.add_release(Release(version=version, **limits))

    def _configure(self, instance: HAProxy) -> None:
        super()._configure(instance)
        text = instance.file.read_text()
        limited = re.sub(r"(?m)^( +server \S+ \S+)", rf"\1 weight 100 maxconn {WORKERS}", text)
        instance.file.write_text(limited)


@asynccontextmanager
async def loaded(place: Path, share: float, **rollout: object) -> AsyncIterator[tuple[Stack, Load]]:
    """Four nodes that work at this share of what they can do, two of them in a batch."""
    async with world(place, stack_class=LimitedStack, nodes=4, instances=1) as stack:
        tune(stack, "apps.shop.rollout", **{"serial": 2, "trial": 15, "capacity_timeout": 2, **rollout})
        for name in stack.nodes:
            await say(stack, f"set server shop/{name} weight {WEIGHT}")
        load = Load(share * CAPACITY, stack.frontends, slow_share=0.0, clients=16)
        async with load:
            await asyncio.sleep(1.5)  # until HAProxy's rate of the last second has all of it
            yield stack, load


async def test_a_batch_that_is_too_much_is_undone_and_nothing_fails(place: Path) -> None:
    """At 65 %, two of four nodes would have to do 130 %. HAProxy's queue gives up after two seconds."""
    async with loaded(place, 0.65, on_overload="warn") as (stack, load):
        run = await upgrade(stack)
        report = await stop_load(load)
        assert await states(stack) == AS_BEFORE
        assert set((await versions(stack)).values()) == {OLD}
    assert run.code == 1, run.text
    assert run.ended["put_back"]
    assert (run.ended["upgraded"], run.ended["failed"], run.ended["out_of_rotation"]) == ([], [], [])
    errors = [event["error"] for event in run.events if event["event"] == "node_failed"]
    assert any("of 4 servers cannot carry it: " in error for error in errors)
    assert not any("maint" in command for _, command in run.sent)
    assert_nothing_failed(report, at_least=200)


@pytest.mark.long
async def test_a_batch_that_is_too_much_is_refused(place: Path) -> None:
    async with loaded(place, 0.65) as (stack, load):
        run = await rolldeck(stack, "upgrade", "shop", NEW, "--yes")
        report = await stop_load(load)
        assert await states(stack) == AS_BEFORE
    assert run.code == 3, run.text
    assert "the others cannot carry the load" in run.text
    assert_nothing_failed(report)


@pytest.mark.long
async def test_at_forty_per_cent_two_of_four_leave_and_the_forecast_is_right(place: Path) -> None:
    """The forecast is compared for the second batch: by then ten seconds of traffic are known."""
    async with loaded(place, 0.4) as (stack, load):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            note = await running.event("node_note", words="drains on trial", node="web3")
            await until(lambda: is_out(stack, "web3"))
            left = 2 if await is_out(stack, "web4") else 3  # either of the batch may be the first
            before, began = await served(stack), asyncio.get_running_loop().time()
            await asyncio.sleep(10)
            after, ended = await served(stack), asyncio.get_running_loop().time()
            run = await running.end()
        report = await stop_load(load)
        assert await states(stack) == AS_BEFORE
        assert set((await versions(stack)).values()) == {NEW}
    assert run.code == 0, run.text
    assert_nothing_failed(report, at_least=500)
    found = re.search(r" → ([0-9.]+) rps per server", note["text"])
    assert found, note["text"]
    measured = sum(after[name] - before[name] for name in after) / (ended - began)
    assert left * float(found[1]) == pytest.approx(measured, rel=0.1)


async def served(stack: Stack) -> dict[str, int]:
    """How many requests each server has had."""
    text = (await stack.instances["lb1"].ask("show stat shop 4 -1")).removeprefix("# ")
    return {row["svname"]: int(row["stot"]) for row in csv.DictReader(text.splitlines())}


async def killed_on_trial(stack: Stack) -> None:
    """Begin an upgrade, and end it by SIGKILL while web1 is on trial."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("node_note", words="drains on trial", node="web1")
        await until(lambda: is_out(stack, "web1"))
        running.signal(signal.SIGKILL)
        await running.end()
    assert await is_out(stack, "web1")


async def is_out(stack: Stack, node: str) -> bool:
    return (await states(stack))["lb1"][node] == State(DRAIN, WEIGHT)


@pytest.mark.long
async def test_kill_in_the_trial_and_resume(place: Path) -> None:
    async with loaded(place, 0.4, serial=1) as (stack, load):
        await killed_on_trial(stack)
        run = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        report = await stop_load(load)
        assert await states(stack) == AS_BEFORE
        assert set((await versions(stack)).values()) == {NEW}
    assert run.code == 0, run.text
    assert_nothing_failed(report)


@pytest.mark.long
async def test_resume_puts_a_node_back_that_the_others_cannot_do_without(place: Path) -> None:
    """Two nodes are out by somebody's decision, and web1 since the kill: web2 alone has 104 %."""
    async with loaded(place, 0.26, serial=1, min_available=1) as (stack, load):
        for name in ("web3", "web4"):
            await say(stack, f"set server shop/{name} state maint")
        await killed_on_trial(stack)
        run: Run = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        report = await stop_load(load)
        now = (await states(stack))["lb1"]
        assert now["web1"] == now["web2"] == State(0, WEIGHT)
        assert (await versions(stack))["web1"] == OLD
    assert run.code == 1, run.text
    assert "web1" in run.ended["put_back"]
    assert report.total_served


@pytest.mark.long
async def test_an_overload_rolls_nothing_back(place: Path) -> None:
    """The first node is upgraded; the next two would be too much, and a rollback of the first no help."""
    policy = {"on_overload": "warn", "on_failure": "rollback-all", "serial": [1, 2], "trial": 5}
    async with loaded(place, 0.65, **policy) as (stack, load):
        run = await upgrade(stack)
        report = await stop_load(load)
        assert await states(stack) == AS_BEFORE
        assert await versions(stack) == {**dict.fromkeys(stack.nodes, OLD), "web1": NEW}
    assert run.code == 1, run.text
    assert run.ended["upgraded"] == ["web1"]
    assert run.ended["put_back"]
    assert not [event for event in run.events if event["event"] == "rollback_started"]
    assert_nothing_failed(report)
