"""A holder of the lock in Consul that sleeps: a suspended machine, or a stopped process."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.local_machine import SystemClock
from tests.support.consul_world import TTL
from tests.support.processes import freeze
from tests.support.servers.consul import Agent, needs_consul, running_consul

pytestmark = needs_consul

KEY = "rolldeck/shop/lock"


@asynccontextmanager
async def holder(agent: Agent) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has the lock."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.consul_holder", agent.address, KEY, str(TTL)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"taken\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def other(agent: Agent, timeout: float = 1) -> AsyncIterator[ConsulLock]:
    """One that wants it."""
    consul = Consul(ConsulSettings(address=agent.address, timeout=timeout))
    lock = ConsulLock(consul, KEY, SystemClock(), TTL, 0)
    try:
        yield lock
    finally:
        await lock.release()
        await consul.close()


async def take(lock: ConsulLock) -> None:
    """As soon as Consul has ended the session of who sleeps."""
    async with asyncio.timeout(4 * TTL):
        while not await lock.try_acquire(b"the one that is awake"):
            await asyncio.sleep(0.2)


async def end(process: asyncio.subprocess.Process) -> dict[str, object]:
    """Wake it; returns what it says at its end."""
    with contextlib.suppress(ProcessLookupError):  # it was awake, and has said all already
        os.kill(process.pid, signal.SIGCONT)
    assert process.stdout is not None
    found: dict[str, object] = json.loads(await process.stdout.readline())
    return found


async def test_who_wakes_after_another_has_taken_it_is_fenced_from_the_first_moment(tmp_path: Path) -> None:
    async with running_consul(tmp_path) as agent, holder(agent) as process, other(agent) as lock:
        assert not await lock.try_acquire(b"too early")
        freeze(process.pid)
        await take(lock)
        assert lock.fencing_token == 2
        said = await end(process)
        assert said["first"] == "Rolldeck was suspended for longer than its lock lasts"
        assert said["open"] == 0
        assert said["last"] in (
            "the lock was broken in Consul",
            "the lock's session in Consul has ended",
            "another holder has the lock in Consul",
        )
        assert said["lost"] == said["last"]
        # What it did when it woke took nothing away.
        assert (lock.lost_reason(), lock.fenced_reason()) == ("", "")


async def test_who_wakes_while_nobody_can_be_asked_stays_fenced(tmp_path: Path) -> None:
    """It cannot know what has happened: asking, without an answer, proves nothing."""
    async with running_consul(tmp_path) as agent, holder(agent) as process, other(agent) as lock:
        freeze(process.pid)
        await take(lock)
        agent.freeze()
        os.kill(process.pid, signal.SIGCONT)
        await asyncio.sleep(3)  # it asks, and hears nothing
        agent.thaw()
        said = await end(process)
        assert said["open"] == 0


async def test_who_waits_patiently_for_an_answer_is_not_asleep(tmp_path: Path) -> None:
    """The node that is worked on may be brought to its end, and no other one is begun."""
    async with running_consul(tmp_path) as agent, other(agent, timeout=3 * TTL) as lock:
        assert await lock.try_acquire(b"patient")
        agent.freeze()
        await asyncio.sleep(1.7 * TTL)
        assert "could not be renewed" in lock.lost_reason()
        assert lock.fenced_reason() == ""
        agent.thaw()
