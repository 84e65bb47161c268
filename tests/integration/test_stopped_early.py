"""SIGTERM, Ctrl-C and a closed terminal, twice, before the first node: exit code 4 and a message."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.integration.operators import operator_of
from tests.support.forks import Forked
from tests.support.held_steps import held
from tests.support.rollouts import (
    NEW,
    OLD,
    Run,
    Running,
    admin_states,
    send_signal,
    started,
    tune,
    untouched,
    versions,
    world,
)
from tests.support.servers.tcp_listener import listening
from tests.support.wait import until

UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json")
APART = [0.0, 0.05, 0.5]  # seconds between the two

both = pytest.mark.parametrize(
    ("number", "apart"),
    [
        *(pytest.param(signal.SIGTERM, apart, marks=pytest.mark.long) for apart in APART if apart != 0.05),
        (signal.SIGTERM, 0.05),
        (signal.SIGINT, 0.05),
        pytest.param(signal.SIGHUP, 0.05, marks=pytest.mark.long),
    ],
)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2) as made:
        yield made


async def twice(process: asyncio.subprocess.Process | Forked, number: signal.Signals, apart: float) -> None:
    for _ in range(2):
        if process.returncode is None:
            send_signal(process, number)
        await asyncio.sleep(apart)


def assert_aborted(run: Run) -> None:
    assert run.code == 4, (run.code, run.text)
    assert "aborted" in run.text
    assert "Traceback" not in run.text
    assert "defect" not in run.text


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


async def stopped(stack: Stack, *arguments: str, number: signal.Signals, apart: float, at: str) -> Run:
    """Of a command without a terminal, when this is true of it."""
    async with started(stack, *arguments, script=at == "start-up") as running:
        await _moment(running, stack, at)
        await twice(running.process, number, apart)
        async with asyncio.timeout(60):
            return await running.end()


async def _moment(running: Running, stack: Stack, at: str) -> None:
    pid = running.process.pid

    async def there() -> bool:
        match at:
            case "start-up":
                return catches(pid, signal.SIGTERM)
            case "lock":
                file = stack.directory / "locks" / "shop.lock"
                with contextlib.suppress(FileNotFoundError):  # broken, and not yet taken again
                    return f'"pid":{pid}' in file.read_text()
                return False
            case "hook":
                return (stack.directory / "hook").exists()
        raise ValueError(at)

    await until(there, 30)


@both
async def test_at_the_very_start(stack: Stack, number: signal.Signals, apart: float) -> None:
    run = await stopped(stack, *UPGRADE, number=number, apart=apart, at="start-up")
    assert_aborted(run)
    assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


@pytest.mark.parametrize("command", [("status",), ("plan", "shop", NEW), ("drain", "shop", "web1", "--yes")])
async def test_of_other_commands(stack: Stack, command: tuple[str, ...]) -> None:
    run = await stopped(stack, *command, number=signal.SIGTERM, apart=0.0, at="start-up")
    assert_aborted(run)


async def test_while_the_configuration_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    stack = Stack(tmp_path)
    async with started(stack, *UPGRADE) as running:
        await _moment(running, stack, "start-up")
        await asyncio.sleep(0.5)  # it opens what nobody ever writes to
        await twice(running.process, signal.SIGTERM, 0.05)
        assert_aborted(await running.end())


@both
async def test_during_preflight(stack: Stack, number: signal.Signals, apart: float) -> None:
    before, asked = await untouched(stack), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        await asyncio.sleep(60)

    async with listening(say_nothing) as port:
        tune(stack, "haproxy.lb2", socket=f"tcp://127.0.0.1:{port}")
        async with started(stack, *UPGRADE) as running:
            await asked.wait()
            await twice(running.process, number, apart)
            run = await running.end()
    assert_aborted(run)
    assert await untouched(stack) == before


@both
async def test_while_it_waits_for_the_lock(stack: Stack, number: signal.Signals, apart: float) -> None:
    async with held(stack, "start"), started(stack, *UPGRADE) as first:
        await first.event("step_started", node="web1", step="start")
        first.signal(signal.SIGSTOP)  # it does not see that its lock is broken
        run = await stopped(stack, *UPGRADE, "--break-lock", number=number, apart=apart, at="lock")
        first.process.kill()
    assert_aborted(run)
    assert "rollout_started" not in run.out


@both
async def test_while_it_asks_whether_to_go_on(stack: Stack, number: signal.Signals, apart: float) -> None:
    async with operator_of(stack, "upgrade", "shop", NEW) as operator:
        await operator.reads("Go on?")
        await twice(operator.process, number, apart)
        assert_aborted(await operator.end())
    assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


async def test_while_it_asks_about_a_plan_that_has_changed(stack: Stack) -> None:
    async with operator_of(stack, "upgrade", "shop", NEW) as operator:
        await operator.reads("Go on?")
        stack.add_release("9.9.9")
        await stack.instances["lb1"].ask("set server shop/web2 weight 9")
        operator.types("y")
        await operator.reads("Start this plan?")
        await twice(operator.process, signal.SIGTERM, 0.05)
        assert_aborted(await operator.end())


@both
async def test_while_a_question_is_open(stack: Stack, number: signal.Signals, apart: float) -> None:
    async with operator_of(stack, "upgrade", "shop", NEW, "--confirm", "batch") as operator:
        await operator.reads("Go on?")
        operator.types("y")
        await operator.reads("take out web1?")
        await twice(operator.process, number, apart)
        assert_aborted(await operator.end())
    assert await admin_states(stack) == {0}


@both
async def test_during_a_hook(stack: Stack, number: signal.Signals, apart: float) -> None:
    file = stack.directory / "hook"
    hook = f'[[hooks]]\nevents = ["start"]\ntimeout = 60\ncommand = "echo $$ > {file}; exec sleep 61"\n'
    stack.config_path.write_text(f"{stack.config_path.read_text()}\n{hook}")
    run = await stopped(stack, *UPGRADE, number=number, apart=apart, at="hook")
    assert_aborted(run)
    [ended] = [event for event in run.events if event["event"] == "rollout_ended"]
    assert (ended["result"], ended["pending"]) == ("aborted", ["web1", "web2"])
    assert not await asyncio.to_thread(lambda: Path(f"/proc/{file.read_text().strip()}").exists())
