"""The classic set-up under load: services of a real Monit on each node, reached through a real OpenSSH."""

from pathlib import Path

import pytest

from backends.command import Command
from backends.hosts.local import LocalHost
from console.demo.load import Load
from console.demo.stack import Stack
from tests.integration.console_upgrades import upgrade_by_console
from tests.support.monit_nodes import monit_nodes
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    admin_states,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.servers.monit import needs_monit
from tests.support.stacks import running_version
from tests.support.wait import until

pytestmark = needs_monit


async def test_monit_over_openssh(tmp_path: Path, place: Path) -> None:
    async with world(place, nodes=2) as stack:
        with monit_nodes(stack, tmp_path, start_timeout_s=120):
            async with Load(100, stack.frontends) as load:
                run = await upgrade(stack)
                report = await load.stop()
            assert run.code == 0, run.text
            assert_nothing_failed(report, at_least=100)
            assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
            assert await admin_states(stack) == {0}
            await a_start_that_is_pending_is_waited_for(stack)
            await what_monit_does_not_watch_is_said(stack)
    asked = [(where, command) for where, command in run.sent if "monit s" in command]
    assert [where for where, _ in asked] == ["web1", "web1", "web2", "web2"]
    assert [command.split()[-2:] for _, command in asked] == [["stop", "shop"], ["start", "shop"]] * 2


@pytest.mark.long
async def test_monit_over_openssh_by_the_console(tmp_path: Path, place: Path) -> None:
    async with world(place, nodes=2) as stack:
        with monit_nodes(stack, tmp_path):
            await upgrade_by_console(stack)
            assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def a_start_that_is_pending_is_waited_for(stack: Stack) -> None:
    """The way back begins while Monit still starts what has failed, and it does one thing at a time."""
    tune(stack, "apps.shop.rollout", start_timeout=2)
    barrier = stack.directory / "barrier"
    barrier.touch()
    script = stack.nodes["web1"].directory / "appctl"
    slow = f"start)\n    while [ current -ef releases/{OLD} ] && [ -e {barrier} ]; do sleep 0.1; done\n"
    script.write_text(script.read_text().replace("start)\n", slow))
    assert (await upgrade(stack, OLD)).ended["failed"] == ["web1"]
    async with started(stack, "rollback", "shop", "--yes", "--json") as running:
        busy = "monit stop shop: Monit is busy with its service: start pending"
        await running.event("waiting", reason=busy)
        barrier.unlink()
        back = await running.end()
    assert (back.code, back.ended["rolled_back"]) == (0, ["web1"]), back.text
    assert await running_version(stack, "web1") == NEW


async def what_monit_does_not_watch_is_said(stack: Stack) -> None:
    """`monit stop` would do nothing: known before a drain, and said when the node is put back by hand."""
    monit = stack.nodes["web1"].directory / "bin" / "monit"
    assert (await LocalHost("web1").run(Command((str(monit), "unmonitor", "shop")))).ok

    async def is_said() -> bool:
        checked = await rolldeck(stack, "check", "shop", OLD)
        return checked.code == 3 and "web1: the service manager says" in checked.out

    await until(is_said)
    taken_out = await rolldeck(stack, "maint", "shop", "web1", "--yes")
    put_back = await rolldeck(stack, "ready", "shop", "web1", "--yes")
    assert taken_out.code == put_back.code == 0, taken_out.text + put_back.text
    assert "web1: is in rotation, but Monit does not watch it and neither stops nor" in put_back.err
    assert "monit monitor shop" in put_back.err


async def test_a_version_that_monit_restarts_again_and_again(tmp_path: Path, place: Path) -> None:
    """It lives for a third of a second each time, and Monit says OK in between: several looks tell."""
    async with world(place, nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", start_timeout=4, verify_timeout=4)
        tune(stack, "apps.shop.health", successes=3, interval=0.5)  # the defaults: longer than it lives
        stack.add_release(NEW, exit_after=0.3, start_delay=0.0)
        with monit_nodes(stack, tmp_path):
            async with Load(100, stack.frontends, slow_share=0.01) as load:
                run = await upgrade(stack)
                report = await load.stop()
            assert run.code == 1, run.text
            assert_nothing_failed(report, at_least=100)
            assert run.ended["failed"] == ["web1"]
            assert (await states(stack))["lb1"]["web1"].admin == MAINT
            assert await running_version(stack, "web2") == OLD


@pytest.mark.parametrize(
    "cycle_s",
    [1, pytest.param(60, marks=pytest.mark.long)],
    ids=["Monit starts it again", "Monit has not noticed"],
)
async def test_a_version_that_dies_before_it_listens_is_not_waited_for(
    tmp_path: Path, place: Path, cycle_s: int
) -> None:
    """Monit tries for ever, or calls it running until its next look: neither is waited for."""
    async with world(place, nodes=2, instances=1) as stack:
        tune(stack, "apps.shop.rollout", start_timeout=300, start_grace=3)
        dying = "import time\ntime.sleep(2)\nraise SystemExit(1)\n"
        (stack.nodes["web1"].directory / "releases" / NEW / "app.py").write_text(dying)
        with monit_nodes(stack, tmp_path, cycle_s):
            run = await upgrade(stack)
            assert run.code == 1, run.text
            [failed] = [event for event in run.events if event["event"] == "node_failed"]
            assert failed["step"] == "start"
            assert "the service died, and was not up again within 3 s" in failed["error"]
            if cycle_s > 1:
                assert "has ended, port" in failed["error"]
            [log] = [event for event in run.events if event["event"] == "service_log"]
            assert any("'shop' start" in line for line in log["lines"]), log
            assert (await states(stack))["lb1"]["web1"].admin == MAINT
            assert await running_version(stack, "web2") == OLD
