"""Locks that are broken while somebody works: no work is mistaken for the state from before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.demo.load import Load, Report
from console.demo.stack import Stack
from tests.integration.operators import operator_of
from tests.support.consul_world import consul_world
from tests.support.held_steps import held
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    Run,
    State,
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
from tests.support.servers.consul import needs_consul

MANY = 4  # the first, one that breaks its lock, and two that race for what it has left


async def admins(stack: Stack, node: str) -> set[int]:
    return {servers[node].admin for servers in (await states(stack)).values()}


async def one_after_another(stack: Stack, seconds: float) -> list[Run]:
    """Many that break each other's lock, each so many seconds after the one before."""

    async def begin(number: int) -> Run:
        await asyncio.sleep(number * seconds)
        return await upgrade(stack, NEW, "--break-lock")

    return await asyncio.gather(*(begin(number) for number in range(MANY)))


@asynccontextmanager
async def all_put_back(stack: Stack) -> AsyncIterator[None]:
    """What is done within, and one resume after it, has lost no request and no decision of a human."""
    await say(stack, "set server shop/web2 weight 50")
    await say(stack, "set server shop/web3 state maint")
    before = await states(stack)
    async with Load(50, stack.frontends, slow_share=0.01) as load:
        yield
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        report: Report = await load.stop()
    assert resumed.code == 0, resumed.text
    assert await states(stack) == before
    assert before["lb1"]["web3"] == State(MAINT, 1)
    assert before["lb1"]["web2"] == State(0, 50)
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
    assert_nothing_failed(report, at_least=50)


def assert_one_is_healthy(runs: list[Run]) -> None:
    """The last one; all others were refused before they touched anything, or say what they have left."""
    assert [run.code for run in runs].count(0) == 1, [run.err[-400:] for run in runs]
    upgraded = {node for run in runs if run.code in (0, 1) for node in run.ended["upgraded"]}
    for run in runs:
        if run.code == 1:
            assert "the lock was broken by" in run.ended["reason"]
            named = {out["node"] for out in run.ended["out_of_rotation"]}
            # Whoever came after it may have put a node back before it has looked for the last time.
            assert set(run.ended["interrupted"]) <= named | upgraded
        elif run.code:
            assert run.code == 3, run.text
            # By whom it was broken, or who was quicker to take it after that.
            assert "refused, no changes made: the lock " in run.err


# Those that come in the middle of another's work are four on a lock in Consul, in the next test.
@pytest.mark.parametrize(
    "seconds", [0.0, *(pytest.param(seconds, marks=pytest.mark.long) for seconds in (0.4, 0.9))]
)
async def test_many_that_break_each_others_lock_leave_all_as_it_was(place: Path, seconds: float) -> None:
    async with world(place, nodes=3) as stack:
        tune(stack, "apps.shop.rollout", min_available=1)
        async with all_put_back(stack):
            assert_one_is_healthy(await one_after_another(stack, seconds))


@needs_consul
async def test_many_that_share_a_lock_in_consul(place: Path) -> None:
    async with consul_world(place, nodes=3) as (stack, _):
        tune(stack, "apps.shop.rollout", min_available=1)
        async with all_put_back(stack):
            assert_one_is_healthy(await one_after_another(stack, 0.4))


async def test_who_has_lost_the_lock_sends_nothing_more_and_names_its_node(place: Path) -> None:
    async with world(place, nodes=2) as stack, held(stack, "start") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("command_sending", node="web1", step="start")
            broken = await rolldeck(stack, "weight", "shop", "web2", "--to", "7", "--yes", "--break-lock")
            assert broken.code == 0, broken.text
            first = await running.end()
        let_go()
        assert first.code == 1
        assert first.ended["reason"].startswith("the lock was broken by ")
        assert "weight web2" in first.ended["reason"]
        assert (first.ended["interrupted"], first.ended["upgraded"]) == (["web1"], [])
        assert first.ended["pending"] == ["web2"]
        [out] = first.ended["out_of_rotation"]
        assert (out["node"], out["commands"][0]["text"]) == ("web1", "rolldeck ready shop web1")
        after = first.events[first.events.index(await _broken(first)) :]
        assert not [event for event in after if event["event"] == "command_sending"]
        assert await admins(stack, "web1") == {MAINT}
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        assert resumed.code == 0, resumed.text
        assert await admins(stack, "web1") == {0}
        assert {servers["web2"].weight for servers in (await states(stack)).values()} == {7}


async def _broken(run: Run) -> dict[str, object]:
    """The first event after the lock was broken: the step that ran is not waited for any more."""
    return next(
        event
        for event in run.events
        if event["event"] == "command_finished" and "no longer" in event["reply"]
    )


async def test_what_was_left_while_somebody_read_the_plan_is_no_original(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        async with operator_of(stack, "upgrade", "shop", NEW) as operator:
            await operator.reads("Go on?")
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("step_started", node="web1", step="stop")
                running.process.kill()
                await running.end()
            assert await admins(stack, "web1") == {MAINT}
            operator.types("y")
            await operator.reads("Start this plan?")
            operator.types("y")
            run = await operator.end()
        assert run.code == 0, run.text
        assert "out of rotation" not in run.out
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert await admin_states(stack) == {0}


async def test_without_agreement_to_the_other_plan_nothing_is_touched(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        async with operator_of(stack, "upgrade", "shop", NEW) as operator:
            await operator.reads("Go on?")
            await say(stack, "set server shop/web2 weight 9", "lb2")
            operator.types("y")
            await operator.reads("web2: shop/web2 on lb2: ready, weight 1 → ready, weight 9")
            await operator.reads("Start this plan?")
            operator.types("n")
            run = await operator.end()
        assert run.code == 3, run.text
        assert "no changes made" in run.err
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_a_change_by_hand_is_shown_again_when_the_node_is_not_as_it_was(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        async with operator_of(stack, "weight", "shop", "web1", "--to", "7") as operator:
            await operator.reads("weight web1?")
            await say(stack, "set server shop/web1 state maint")
            operator.types("y")
            await operator.reads("web1: shop/web1 on lb1: ready, weight 1 → maint, weight 1")
            await operator.reads("weight web1?")
            operator.types("n")
            run = await operator.end()
        assert run.code == 3, run.text
        assert set((await states(stack))["lb1"].values()) >= {State(MAINT, 1)}


async def test_a_weight_by_hand_does_not_hide_what_a_rollout_has_left(place: Path) -> None:
    async with world(place, nodes=2) as stack:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="stop")
            running.process.kill()
            await running.end()
        weighed = await rolldeck(stack, "weight", "shop", "web1", "--to", "7", "--yes")
        assert weighed.code == 0, weighed.text
        run = await upgrade(stack)
        assert run.code == 0, run.text
        assert run.ended["out_of_rotation"] == []
        assert {servers["web1"] for servers in (await states(stack)).values()} == {State(0, 7)}
