"""However the demo's stack ends, nothing of it is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.demo import watchdog
from tests.integration.demo_probes import is_open, ssh
from tests.support.stacks import (
    TunedStack,
)
from tests.support.wait import until


def left_behind(directory: Path) -> list[str]:
    """Processes of the stack, its watchdog included, and its sockets."""
    processes = [f"pid {pid}" for pid in watchdog.find_processes(str(directory))]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(directory).encode() in arguments:
            processes.append(entry.read_text().replace("\0", " "))
    return processes + [str(path) for path in directory.glob("*.sock*")]


async def test_haproxy_that_cannot_start_says_why_and_leaves_nothing(place: Path) -> None:
    with pytest.raises(RuntimeError, match="unknown keyword 'nonsense'"):
        async with TunedStack(place, nodes=1, backend_lines=["nonsense here"]):
            pass
    assert left_behind(place) == []


async def test_nothing_is_left_after_the_end(place: Path) -> None:
    async with TunedStack(place, nodes=1, start_delay=0.0) as stack:
        async with await ssh(stack, "web1") as connection:
            await connection.create_process("sleep 1000")
            assert len(watchdog.find_processes(str(place))) >= 4
            ports = [stack.nodes["web1"].port, stack.nodes["web1"].ssh_port, stack.instances["lb1"].port]
            assert [await is_open(port) for port in ports] == [True] * 3
        assert left_behind(place) != []
    assert left_behind(place) == []
    assert [await is_open(port) for port in ports] == [False] * 3


async def test_nothing_is_left_after_an_exception(place: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with TunedStack(place, nodes=1, start_delay=0.0):
            raise ZeroDivisionError
    assert left_behind(place) == []


@pytest.mark.parametrize("when", ["starting", "running"])
async def test_nothing_is_left_after_a_cancellation(place: Path, when: str) -> None:
    running = asyncio.Event()

    async def demo() -> None:
        async with TunedStack(place, nodes=1, start_delay=60.0 if when == "starting" else 0.0):
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(demo())
    if when == "running":
        await running.wait()
    else:  # the application waits to open its port, and the stack for HAProxy to find it up
        await until(lambda: len(watchdog.find_processes(str(place))) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_behind(place) == []


OWNER = """
import asyncio, sys
from pathlib import Path
from console.demo.stack import Stack

class Small(Stack):
    node_count, instance_count, start_delay = 2, 1, 0.0

async def demo():
    async with Small(Path(sys.argv[1])) as stack:
        await asyncio.create_subprocess_exec("true")
        print(" ".join(str(node.port) for node in stack.nodes.values()), flush=True)
        await asyncio.Event().wait()

asyncio.run(demo())
"""


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
async def test_nothing_is_left_when_the_owning_process_is_ended(place: Path, by: signal.Signals) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(place)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert owner.stdout is not None
        ports = [int(port) for port in (await owner.stdout.readline()).split()]
        assert [await is_open(port) for port in ports] == [True, True]
        assert len(watchdog.find_processes(str(place))) == 3
        os.kill(owner.pid, by)
        await owner.wait()
        await until(lambda: left_behind(place) == [])
        assert [await is_open(port) for port in ports] == [False, False]
    finally:
        if owner.returncode is None:
            owner.kill()
            await owner.wait()
