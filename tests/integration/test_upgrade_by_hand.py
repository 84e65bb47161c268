"""`rolldeck drain | maint | ready | weight`: on every load balancer, under the same guard, read back."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.rollouts import (
    DRAIN,
    MAINT,
    assert_nothing_failed,
    rolldeck,
    say,
    states,
    stop_load,
    tune,
    untouched,
    world,
)
from tests.support.stacks import kill_application


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2) as made:
        yield made


async def by_hand(stack: Stack, action: str, *arguments: str) -> list[tuple[int, int]]:
    """One change of web1 that must succeed; its state and weight on each load balancer afterwards."""
    run = await rolldeck(stack, action, "shop", "web1", "--yes", *arguments)
    assert run.code == 0, run.text
    return [(servers["web1"].admin, servers["web1"].weight) for servers in (await states(stack)).values()]


async def test_out_and_back_under_load(stack: Stack) -> None:
    async with Load(100, stack.frontends, slow_share=0.01) as load:
        assert await by_hand(stack, "drain") == [(DRAIN, 1)] * 2
        assert await by_hand(stack, "maint") == [(MAINT, 1)] * 2
        assert await by_hand(stack, "ready") == [(0, 1)] * 2
        assert await by_hand(stack, "weight", "--to", "50") == [(0, 50)] * 2
        assert await by_hand(stack, "weight", "--to", "50") == [(0, 50)] * 2, "once more is no change"
        report = await stop_load(load)
    assert_nothing_failed(report, at_least=20)


async def test_load_balancers_that_differ_agree_afterwards(stack: Stack) -> None:
    await say(stack, "set server shop/web1 state maint", "lb2")
    assert await by_hand(stack, "drain") == [(DRAIN, 1)] * 2


@pytest.mark.parametrize("change", [("drain",), ("maint",), ("weight", "--to", "0")])
async def test_the_floor_holds_unless_the_node_is_named(stack: Stack, change: tuple[str, ...]) -> None:
    tune(stack, "apps.shop.rollout", min_available=2)
    before = await untouched(stack)
    action, *options = change
    run = await rolldeck(stack, action, "shop", "web1", "--yes", *options)
    assert run.code == 3, run.text
    assert "in rotation 2 → 1, floor 2" in run.err
    assert await untouched(stack) == before
    other = await rolldeck(stack, action, "shop", "web1", "--yes", *options, "--override", "web2")
    assert other.code == 2, other.text
    assert "--override web2: not among the nodes" in other.err
    assert await untouched(stack) == before
    assert await by_hand(stack, action, *options, "--override", "web1") != [(0, 1)] * 2


async def test_nobody_is_asked_without_a_terminal(stack: Stack) -> None:
    before = await untouched(stack)
    run = await rolldeck(stack, "maint", "shop", "web1")
    assert run.code == 2, run.text
    assert "--yes" in run.err
    assert await untouched(stack) == before


async def test_a_node_that_does_not_exist(stack: Stack) -> None:
    run = await rolldeck(stack, "maint", "shop", "web7", "--yes")
    assert run.code == 3, run.text
    assert "web7: no such node; did you mean 'web2'? there is: web1, web2" in run.err


async def test_ready_refuses_a_dead_node_and_leaves_it_in_maintenance(stack: Stack) -> None:
    tune(stack, "apps.shop.rollout", verify_timeout=1)
    assert await by_hand(stack, "maint") == [(MAINT, 1)] * 2
    kill_application(stack.nodes["web1"])
    async with Load(100, stack.frontends, slow_share=0) as load:
        run = await rolldeck(stack, "ready", "shop", "web1", "--yes")
        report = await load.stop()
    assert run.code == 1, run.text
    assert_nothing_failed(report, at_least=100)
    assert {servers["web1"].admin for servers in (await states(stack)).values()} == {MAINT}


async def test_status_says_what_is_out(stack: Stack) -> None:
    assert (await rolldeck(stack, "status")).code == 0
    await say(stack, "set server shop/web1 state maint", "lb1")
    run = await rolldeck(stack, "status")
    assert run.code == 1
    assert "web1" in run.out.splitlines()[-1]
    lines = [json.loads(line) for line in (await rolldeck(stack, "status", "--json")).out.splitlines()]
    out = [
        (row["load_balancer"], row["server"])
        for row in lines
        if row["kind"] == "server" and not row["in_rotation"]
    ]
    assert out == [("lb1", "web1")]
