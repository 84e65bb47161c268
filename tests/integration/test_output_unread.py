"""Commands whose output nobody reads: the work ends on time, and the output waits for whoever comes back."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    OLD,
    ROLLDECK,
    journalled,
    rolldeck,
    send_signal,
    tune,
    until_ended,
    world,
)
from tests.support.terminals import Terminal
from tests.support.wait import until

ROOM = 4096  # bytes in the pipe: the least that Linux has


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2, instances=1) as made:
        yield made


class Unread:
    """A `rolldeck` whose standard output is a pipe that nobody reads before `read`."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: int) -> None:
        self.process = process
        self._pipe = pipe

    def read(self) -> list[dict[str, Any]]:
        """All of it; every line must be whole."""
        with os.fdopen(os.dup(self._pipe)) as pipe:
            return [json.loads(line) for line in pipe]

    async def code(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def unread(stack: Stack, *arguments: str) -> AsyncIterator[Unread]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, ROOM)
    process = await asyncio.create_subprocess_exec(
        *(ROLLDECK, "--config", str(stack.config_path), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=writing,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        yield Unread(process, reading)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(reading)


async def until_free(stack: Stack) -> None:
    """Wait until nobody has the lock: somebody else can change something."""
    with (stack.directory / "locks" / "shop.lock").open() as lock:

        async def free() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        await until(free, 60)


UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json")


async def test_json_that_nobody_reads_stops_no_rollout_and_none_of_it_is_lost(stack: Stack) -> None:
    async with unread(stack, *UPGRADE) as running:
        assert (await until_ended(stack))["result"] == "healthy"
        await until_free(stack)
        by_hand = await rolldeck(stack, "weight", "shop", "web2", "--to", "1", "--yes")
        assert by_hand.code == 0, by_hand.text
        assert running.process.returncode is None  # it waits to be read
        lines = await asyncio.to_thread(running.read)
        assert await running.code() == 0
    assert len(str(lines)) > 3 * ROOM
    numbers = [line["seq"] for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(lines)))
    assert (lines[-1]["event"], lines[-1]["result"]) == ("rollout_ended", "healthy")


async def test_what_nobody_reads_is_given_up_by_a_signal_and_how_it_ended_is_not(stack: Stack) -> None:
    there_and_back = (NEW, signal.SIGINT), (OLD, signal.SIGTERM), (NEW, signal.SIGHUP)
    for entry, (version, number) in enumerate(there_and_back, 1):
        async with unread(stack, "upgrade", "shop", version, "--limit", "web1", "--yes", "--json") as running:
            assert (await until_ended(stack, entry))["result"] == "healthy"
            await until_free(stack)
            assert running.process.returncode is None
            send_signal(running.process, number)
            assert await running.code() == 0


async def test_it_ends_by_a_signal_after_it_was_aborted_by_one(stack: Stack) -> None:
    tune(stack, "apps.shop.rollout", bake_time=3)
    async with unread(stack, *UPGRADE) as running:

        async def begun() -> bool:
            return bool(journalled(stack))

        await until(begun, 60)
        send_signal(running.process, signal.SIGTERM)
        assert (await until_ended(stack))["result"] == "aborted"
        await until_free(stack)
        send_signal(running.process, signal.SIGTERM)
        assert await running.code() == 4


@pytest.mark.parametrize("back", [pytest.param(True, marks=pytest.mark.long), False])
async def test_a_terminal_that_is_stuck_stops_no_rollout(stack: Stack, back: bool) -> None:
    """When it comes back it has the end; when it goes, the process ends."""
    tune(stack, "apps.shop.rollout", bake_time=2)
    command = [ROLLDECK, "--config", str(stack.config_path), "upgrade", "shop", NEW, "--yes"]
    with Terminal(command, 80, 24, controlling=True) as terminal:
        await terminal.shows("web1 draining", seconds=60)
        terminal.stop()
        assert (await until_ended(stack))["result"] == "healthy"
        await until_free(stack)
        if back:
            terminal.go_on()
            await terminal.shows("healthy", "upgraded    web1, web2")
        else:
            terminal.hang_up()
        assert await terminal.ends() == 0


WARNS = """
import asyncio, logging, sys

async def fail():
    raise LookupError("odd")

async def work():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    del task  # asyncio logs that nobody has asked what became of it
    for _ in range(2000):
        logging.getLogger("asyncssh").warning("a line without end " * 5)
    sys.stdout.write("done")
    sys.stdout.flush()
    return 0

import click
from console import cli, command_line

@click.command()
def status():
    return asyncio.run(work())

command_line.LazyGroup.get_command = lambda *_: status
sys.argv[1:] = ["status"]
cli.main()
"""


async def test_what_libraries_log_holds_up_nothing_and_has_no_traceback() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WARNS),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readexactly(4) == b"done"  # nobody has read standard error
    _, said = await process.communicate()
    lines = said.decode().splitlines()
    assert process.returncode == 0
    assert len(lines) == 2001
    assert "rolldeck: asyncio: Task exception was never retrieved: LookupError('odd')" in lines
