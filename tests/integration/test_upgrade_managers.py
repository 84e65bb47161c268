"""Units of a real systemd and programs of a real supervisord under load; no request fails."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.integration.console_upgrades import upgrade_by_console
from tests.integration.managed_nodes import log_of_a_version_that_dies, programs, units
from tests.integration.under_load import resumed_under_load, rolled_back_under_load, upgraded_under_load
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    admin_states,
    assert_nothing_failed,
    rolldeck,
    states,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.servers.supervisor import needs_supervisor
from tests.support.servers.systemd import ENDED_BY_OOMD, needs_systemd

STEPS = ("drain", "stop", "install", "start", "verify")
MANAGERS = [
    pytest.param("systemd", marks=needs_systemd),
    pytest.param("supervisor", marks=needs_supervisor),
]


@contextlib.asynccontextmanager
async def managed(tmp_path: Path, manager: str, nodes: int = 2) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=nodes, instances=1) as stack:
        with units(stack, tmp_path) if manager == "systemd" else programs(stack):
            await stack.wait_until_up()
            yield stack


async def assert_upgraded(stack: Stack, version: str) -> None:
    assert await versions(stack) == dict.fromkeys(stack.nodes, version)
    assert await admin_states(stack) == {0}


@needs_systemd
async def test_two_units(tmp_path: Path) -> None:
    async with managed(tmp_path, "systemd") as stack:
        run = await upgraded_under_load(stack)
        await assert_upgraded(stack, NEW)
    called = [command.partition("systemctl ")[2] for _, command in run.sent if "systemctl" in command]
    assert called == [
        f"--no-block {action} -- shop@{name}.service" for name in stack.nodes for action in ("stop", "start")
    ]


@pytest.mark.long  # test_supervisor.py has each of the steps
@needs_supervisor
async def test_two_programs(tmp_path: Path) -> None:
    async with managed(tmp_path, "supervisor") as stack:
        run = await upgraded_under_load(stack)
        await assert_upgraded(stack, NEW)
    called = [command.split()[-2:] for _, command in run.sent if "supervisorctl" in command]
    assert called == [[action, f"shop-{name}"] for name in stack.nodes for action in ("stop", "start")]


@pytest.mark.long
@pytest.mark.parametrize("manager", MANAGERS)
async def test_a_version_that_dies_and_the_way_back(tmp_path: Path, manager: str) -> None:
    """What it wrote is said; the good version is started although the other has used up its starts."""
    async with managed(tmp_path, manager) as stack:
        async with Load(100, stack.frontends, slow_share=0) as load:
            log = await log_of_a_version_that_dies(stack)
            assert (await states(stack))["lb1"]["web1"].admin == MAINT
            assert "cannot read the configuration" in log
            back = await rolldeck(stack, "rollback", "shop", "--yes", "--json")
            report = await load.stop()
        assert back.code == 0, back.text
        assert_nothing_failed(report)
        await assert_upgraded(stack, OLD)


@pytest.mark.long
@needs_systemd
async def test_a_unit_that_is_killed_for_lack_of_memory(tmp_path: Path) -> None:
    """systemd starts it again and again: each time it lives for a moment."""
    async with managed(tmp_path, "systemd") as stack:
        tune(stack, "apps.shop.rollout", start_timeout=60, start_grace=2)
        dying = "import time\ntime.sleep(0.3)\n" + ENDED_BY_OOMD
        (stack.nodes["web1"].directory / "releases" / NEW / "app.py").write_text(dying)
        run = await upgrade(stack)
        assert run.code == 1, run.text
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert "result oom-kill" in failed["error"]
        [log] = [event for event in run.events if event["event"] == "service_log"]
        assert any("oom-kill" in line for line in log["lines"]), log
        assert (await states(stack))["lb1"]["web1"].admin == MAINT


@pytest.mark.long
@pytest.mark.parametrize("manager", MANAGERS)
async def test_back_to_the_version_before(tmp_path: Path, manager: str) -> None:
    async with managed(tmp_path, manager) as stack:
        await upgraded_under_load(stack, slow_share=0)
        await rolled_back_under_load(stack, slow_share=0)
        await assert_upgraded(stack, OLD)


@pytest.mark.long
@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("step", STEPS)
async def test_resumed_after_a_kill(tmp_path: Path, manager: str, step: str) -> None:
    async with managed(tmp_path, manager) as stack:
        await resumed_under_load(stack, step, slow_share=0)
        await assert_upgraded(stack, NEW)


@pytest.mark.long
@needs_systemd
async def test_four_units_by_the_console(tmp_path: Path) -> None:
    async with managed(tmp_path, "systemd", nodes=4) as stack:
        await upgrade_by_console(stack)
        await assert_upgraded(stack, NEW)


@pytest.mark.long
@needs_supervisor
async def test_two_programs_by_the_console(tmp_path: Path) -> None:
    async with managed(tmp_path, "supervisor") as stack:
        await upgrade_by_console(stack)
        await assert_upgraded(stack, NEW)


@pytest.mark.long
async def test_four_services_of_plain_commands_by_the_console(tmp_path: Path) -> None:
    """What the stack has without a service manager: two commands, and releases that a link points to."""
    async with world(tmp_path / "s", transport="ssh") as stack:
        await upgrade_by_console(stack)
        await assert_upgraded(stack, NEW)
