"""A bad version or node: the rollout stops there, fails no request, and says what to do."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from console.demo.load import Load
from console.demo.node import Release
from console.demo.stack import Stack
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    admin_states,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    stop_load,
    tune,
    until_up,
    upgrade,
    versions,
    world,
)
from tests.support.stacks import kill_application, running_version
from tests.support.wait import until

RATE = 40


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2) as made:
        yield made


async def assert_only_web1_is_out(stack: Stack) -> None:
    for name, servers in (await states(stack)).items():
        assert {name: server.admin for name, server in servers.items()} == {
            "web1": MAINT,
            "web2": 0,
        }, name
    assert (await versions(stack))["web2"] == OLD


async def answers(stack: Stack, node: str) -> bool:
    return await running_version(stack, node) is not None


async def fails_at_web1(stack: Stack, strike: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Upgrade under load; returns the event that says where and why it failed.

    Args:
        stack: what is upgraded.
        strike: what happens when web1's turn has begun.
    """
    async with Load(RATE, stack.frontends, slow_share=0) as load:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("node_started", node="web1")
            strike()
            run = await running.end()
        report = await stop_load(load)
    assert run.code == 1, run.text
    assert_nothing_failed(report, at_least=20)
    assert (run.ended["result"], run.ended["failed"]) == ("degraded", ["web1"])
    assert (run.ended["upgraded"], run.ended["pending"]) == ([], ["web2"])
    [out] = run.ended["out_of_rotation"]
    assert (out["node"], out["intentional"]) == ("web1", False)
    assert [server.partition(":")[0] for server in out["servers"]] == ["shop/web1 on lb1", "shop/web1 on lb2"]
    assert out["commands"][0]["text"] == "rolldeck ready shop web1"
    assert {f"{name}: set server shop/web1 state ready" for name in stack.instances} <= set(
        command["text"] for command in out["commands"]
    )
    await assert_only_web1_is_out(stack)
    failed: dict[str, Any] = next(event for event in run.events if event["event"] == "node_failed")
    return failed


@pytest.mark.parametrize(
    ("fault", "step", "words"),
    [
        ({"healthy": False}, "verify", "503"),
        ({"exit_after": 1.2}, "verify", "healthy: not within 4 s"),
        pytest.param({"start_delay": 60.0}, "start", "is closed", marks=pytest.mark.long),
        ({"reports_version": "1.4.9"}, "verify", "1.4.9 runs, expected 1.5.0"),
    ],
    ids=["never healthy", "dies after start", "listens too late", "reports an old version"],
)
async def test_a_bad_version(stack: Stack, fault: dict[str, Any], step: str, words: str) -> None:
    tune(stack, "apps.shop.rollout", start_timeout=1, verify_timeout=1.5)
    if "exit_after" in fault:  # seen alive by the start step, dead before it could be proven, after 3 s
        tune(stack, "apps.shop.rollout", verify_timeout=4)
        tune(stack, "apps.shop.health", successes=60)
    stack.add_release(NEW, **fault)
    failed = await fails_at_web1(stack)
    assert failed["step"] == step
    assert words in failed["error"]


@pytest.mark.parametrize(
    ("lives_s", "listens", "step"),
    [(0.5, False, "start"), (1.0, True, "verify")],
    ids=["before it listens", "before it is proven"],
)
async def test_a_version_that_dies_is_not_waited_for(
    stack: Stack, lives_s: float, listens: bool, step: str
) -> None:
    """Long before the time-outs of its step are over."""
    tune(stack, "apps.shop.rollout", start_timeout=120, verify_timeout=120, min_healthy=30, start_grace=1)
    if listens:
        stack.add_release(NEW, exit_after=lives_s)
    else:
        dying = f"import time\ntime.sleep({lives_s})\nraise SystemExit(1)\n"
        (stack.nodes["web1"].directory / "releases" / NEW / "app.py").write_text(dying)
    failed = await fails_at_web1(stack)
    assert failed["step"] == step
    assert "the service died, and was not up again within 1 s" in failed["error"]


async def test_a_version_that_dies_after_two_seconds_takes_no_traffic(stack: Stack) -> None:
    """Each of its looks was good until then, and there were enough of them."""
    tune(stack, "apps.shop.rollout", verify_timeout=30, min_healthy=3, start_grace=1)
    stack.add_release(NEW, exit_after=2.0)
    failed = await fails_at_web1(stack)  # and no request failed
    assert failed["step"] == "verify"
    assert "the service died" in failed["error"]


async def test_a_stop_that_is_ignored(stack: Stack) -> None:
    """The old version goes on running: nothing may be installed under it."""
    node = stack.nodes["web1"]
    node.add_release(Release(version=OLD, start_delay=0.0, ignore_sigterm=True))
    kill_application(node)
    assert await node.appctl("start") == 0
    await until(lambda: answers(stack, "web1"))
    await until_up(stack, "shop")
    pid = node.pid
    tune(stack, "apps.shop.rollout", stop_timeout=1)
    failed = await fails_at_web1(stack)
    assert failed["step"] == "stop"
    assert f"process {pid} is running" in failed["error"]
    assert node.installed == OLD


async def test_an_install_that_fails(stack: Stack) -> None:
    release = stack.nodes["web1"].directory / "releases" / NEW
    failed = await fails_at_web1(stack, lambda: shutil.rmtree(release))  # preflight has seen it
    assert failed["step"] == "install"
    assert "no such release" in failed["error"]


async def test_an_install_that_changes_nothing(stack: Stack) -> None:
    text = stack.config_path.read_text()
    install = 'kind = "symlink"\nreleases = "releases"\nlink = "current"\n'
    assert install in text
    version = '[apps.shop.version]\nkind = "symlink"\npath = "current"\n'
    stack.config_path.write_text(text.replace(install, f'kind = "command"\nrun = "true"\n\n{version}'))
    failed = await fails_at_web1(stack)
    assert failed["step"] == "install"
    assert "after the install the version is 1.4.2, expected 1.5.0" in failed["error"]


async def test_the_way_out_that_the_output_names(stack: Stack) -> None:
    """Seen as an operator does: the text, `ready` that refuses safely, and going back."""
    tune(stack, "apps.shop.rollout", verify_timeout=1)
    stack.add_release(NEW, healthy=False)
    async with Load(RATE, stack.frontends, slow_share=0) as load:
        failed = await rolldeck(stack, "upgrade", "shop", NEW, "--yes")
        assert failed.code == 1
        assert "out of rotation: web1\n" in failed.out
        assert "rolldeck ready shop web1\n" in failed.out
        assert "lb2: set server shop/web1 state ready\n" in failed.out

        ready = await rolldeck(stack, "ready", "shop", "web1", "--yes")
        assert ready.code == 1, ready.text
        assert "503" in ready.err
        await assert_only_web1_is_out(stack)

        again = await upgrade(stack, NEW)  # without --force-ready it is left as it is found: out
        assert again.code == 1, again.text
        assert (await states(stack))["lb1"]["web1"].admin == MAINT
        assert_nothing_failed(await load.stop())

    way_back = f"rolldeck upgrade shop {OLD} --limit web1 --force-ready web1"
    assert way_back in failed.out
    back = await rolldeck(stack, *way_back.split()[1:], "--yes")
    assert back.code == 0, back.text
    assert await admin_states(stack) == {0}
    assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_a_node_that_fell_over_afterwards_is_named_with_what_starts_it(stack: Stack) -> None:
    """HAProxy has it as it was; nothing has to be set there, and it is down all the same."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("step_started", node="web2", step="stop")
        kill_application(stack.nodes["web1"])
        run = await running.end()
    assert run.code == 1, run.text
    assert run.ended["upgraded"] == ["web1", "web2"]
    [out] = run.ended["out_of_rotation"]
    assert out["node"] == "web1"
    assert [command["text"] for command in out["commands"]] == [f"rolldeck upgrade shop {NEW} --limit web1"]
    again = await rolldeck(stack, *out["commands"][0]["text"].split()[1:], "--yes")
    assert again.code == 0, again.text
    await until_up(stack, "shop")
