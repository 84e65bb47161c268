"""Ctrl-C and SIGTERM: once stops after the running step, twice at once; what is out is always said."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.processes import freeze, thaw
from tests.support.rollouts import (
    DRAIN,
    MAINT,
    NEW,
    OLD,
    Run,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    stop_load,
    tune,
    upgrade,
    versions,
    world,
)

UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2) as made:
        yield made


async def web1(stack: Stack) -> set[int]:
    """The administrative states of web1 on all load balancers."""
    return {servers["web1"].admin for servers in (await states(stack)).values()}


async def interrupted(stack: Stack, kind: str, step: str, number: signal.Signals, times: int) -> Run:
    """Send the signal at this event of a step of web1, so many times; returns the run."""
    async with started(stack, *UPGRADE) as running:
        await running.event(kind, node="web1", step=step)
        for _ in range(times):
            running.signal(number)
            await asyncio.sleep(0.05)  # two at the same moment would arrive as one
        run = await running.end()
    assert run.code == 4, run.text
    ended = run.ended
    assert (ended["result"], ended["interrupted"], ended["failed"]) == ("aborted", ["web1"], [])
    assert ended["pending"] == ["web2"]
    assert ended["upgraded"] == []
    return run


async def once_while_it_starts(stack: Stack, number: signal.Signals) -> Run:
    """It starts to the end and stays in maintenance."""
    run = await interrupted(stack, "step_started", "start", number, times=1)
    done = [event["step"] for event in run.events if event["event"] == "step_done"]
    assert done == ["drain", "stop", "install", "start"]
    [begun] = [event for event in run.events if event["event"] == "rollout_started"]
    [asked] = [event for event in run.events if event["event"] == "abort_requested"]
    for event in (begun, asked):
        assert (event["via"], event["uid"]) == ("terminal", os.getuid())
    assert await web1(stack) == {MAINT}
    assert await versions(stack) == {"web1": NEW, "web2": OLD}
    [out] = run.ended["out_of_rotation"]
    assert (out["node"], out["intentional"]) == ("web1", False)
    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_once_ends_after_the_running_step(stack: Stack, number: signal.Signals) -> None:
    await once_while_it_starts(stack, number)


async def test_once_fails_no_request_and_names_the_command_that_puts_it_back(stack: Stack) -> None:
    async with Load(40, stack.frontends, slow_share=0.02) as load:
        run = await once_while_it_starts(stack, signal.SIGINT)
        report = await stop_load(load)
    assert_nothing_failed(report, at_least=20)
    command = run.ended["out_of_rotation"][0]["commands"][0]["text"].split()
    assert command[:2] == ["rolldeck", "ready"]
    back = await rolldeck(stack, *command[1:], "--yes")
    assert back.code == 0, back.text
    assert await web1(stack) == {0}
    assert (await upgrade(stack)).code == 0
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_a_terminal_that_goes_does_so_once_however_often_it_is_told(stack: Stack) -> None:
    """The kernel tells it, and bash does once more: the running step is not cut off."""
    tune(stack, "apps.shop.rollout", start_timeout=30)
    stack.add_release(NEW, start_delay=2.0)
    run = await interrupted(stack, "step_started", "start", signal.SIGHUP, times=2)
    [request] = [event for event in run.events if event["event"] == "abort_requested"]
    assert not request["immediate"]
    done = [event["step"] for event in run.events if event["event"] == "step_done"]
    assert done == ["drain", "stop", "install", "start"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_twice_ends_at_once(stack: Stack, number: signal.Signals) -> None:
    tune(stack, "apps.shop.rollout", start_timeout=60)
    stack.add_release(NEW, start_delay=60.0)
    run = await interrupted(stack, "step_started", "start", number, times=2)
    requests = [event["immediate"] for event in run.events if event["event"] == "abort_requested"]
    assert requests == [False, True]
    assert await web1(stack) == {MAINT}
    [out] = run.ended["out_of_rotation"]
    assert out["node"] == "web1"
    assert out["commands"][0]["text"] == "rolldeck ready shop web1"


async def test_twice_while_sessions_end_leaves_it_draining(stack: Stack) -> None:
    async with Load(20, stack.frontends, slow_share=1.0) as load:
        await asyncio.sleep(0.3)
        run = await interrupted(stack, "waiting", "drain", signal.SIGINT, times=2)
        report = await load.stop()
    assert_nothing_failed(report)
    assert await web1(stack) == {DRAIN}
    [out] = run.ended["out_of_rotation"]
    assert out["node"] == "web1"
    assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_one_too_many_does_not_change_how_it_ended(stack: Stack) -> None:
    """It ends before it has touched anything; further signals reach it while it closes down."""
    async with started(stack, *UPGRADE) as running:
        await running.event("step_started", node="web1", step="drain")
        running.signal(signal.SIGINT)
        await running.event("rollout_ended")
        while running.process.returncode is None:
            running.signal(signal.SIGINT)
            await asyncio.sleep(0.01)
        run = await running.end()
    assert run.code == 4, run.text


async def test_before_anything_is_touched(stack: Stack) -> None:
    """While preflight hangs on a frozen load balancer: no rollout, exit code 4, nothing sent."""
    freeze(stack.instances["lb2"].pid)
    try:
        async with started(stack, *UPGRADE) as running:
            await asyncio.sleep(1.0)  # nothing tells that preflight has begun
            running.signal(signal.SIGINT)
            run = await running.end()
    finally:
        thaw(stack.instances["lb2"].pid)
    assert run.code in (4, -signal.SIGINT), run.text
    assert await web1(stack) == {0}
