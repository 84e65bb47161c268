"""The delay until another machine sees the events of a rollout, and until it gets the lock after a kill."""

import asyncio
import json
import signal
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.local_machine import SystemClock
from console.demo.stack import Stack
from console.terminal.output import result
from orchestrator.settings import LockSettings
from tests.support.consul_world import LOCK_TTL, consul_world, elsewhere
from tests.support.rollouts import NEW, OLD, ROLLDECK, started, tune
from tests.support.servers.consul import CONSUL, Agent

ROLLOUTS = (NEW, OLD, NEW)  # one after another without a break, each of four nodes behind two HAProxies
READY = 2.0  # seconds for a follower to start
KILLS = 2  # for each setting
POLL = 0.2  # seconds between two tries to take a lock

# Commands and their replies; waits that were over; and what happens before anything is published.
PRIVATE = {"command_sending", "command_finished", "waiting", "lock_taken"}

LATE_TARGET = 1.0  # seconds, as agreed

DEFAULTS = LockSettings(kind="consul")
SHORTEST = LockSettings(kind="consul", ttl=LOCK_TTL, lock_delay=0)  # as the tests have it

Arrivals = dict[int, tuple[float, str]]  # by an event's number: when it came, and its kind


def measure() -> bool:
    """All of it; False when a target is missed. Without a `consul` there is nothing to measure."""
    if CONSUL is None:
        result("sharing: there is no consul on the PATH of this machine, so it was not measured")
        return True
    seen = asyncio.run(_sharing())
    freed = [asyncio.run(_killing(settings)) for settings in (DEFAULTS, SHORTEST)]
    return seen and all(freed)


async def _sharing() -> bool:
    late: list[float] = []
    unseen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with consul_world(Path(folder) / "s") as (stack, agent):
            tune(stack, "lock", ttl=DEFAULTS.ttl, lock_delay=DEFAULTS.lock_delay)
            for version in ROLLOUTS:
                # Who follows would be told of the last one, and leave.
                await agent.ask("DELETE", "/v1/kv/rolldeck/shop/rollout")
                first, second = await _followed(stack, version)
                late += [second[seq][0] - at for seq, (at, _) in first.items() if seq in second]
                unseen += Counter(kind for seq, (_, kind) in first.items() if seq not in second)
    ranked = sorted(late)
    missed = sum(seconds > LATE_TARGET for seconds in late)
    result(
        f"events of {len(ROLLOUTS)} rollouts that another machine sees: {len(late)}, later than who works"
        f" by median {statistics.median(late):.3f} s, p95 {ranked[int(0.95 * len(ranked))]:.3f} s,"
        f" max {ranked[-1]:.3f} s; later than {LATE_TARGET:g} s: {missed}, target none;"
        f" not for others: {', '.join(f'{count} {kind}' for kind, count in unseen.items())}"
    )
    return not missed and unseen.keys() <= PRIVATE


async def _followed(stack: Stack, version: str) -> tuple[Arrivals, Arrivals]:
    """From who carries it out, and from who follows."""
    with elsewhere(stack):
        follower = await _start(stack, "follow", "shop", "--json")
        second = asyncio.create_task(_arrivals(follower))
        await asyncio.sleep(READY)
    worker = await _start(stack, "upgrade", "shop", version, "--yes", "--json")
    first = await _arrivals(worker)
    async with asyncio.timeout(30):
        seen = await second
        codes = await worker.wait(), await follower.wait()
    assert codes == (0, 0), codes
    return first, seen


async def _start(stack: Stack, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(ROLLDECK, "--config", str(stack.config_path), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=2**20,
    )


async def _arrivals(process: asyncio.subprocess.Process) -> Arrivals:
    assert process.stdout is not None
    found: Arrivals = {}
    async for line in process.stdout:
        at, event = time.perf_counter(), json.loads(line)
        found[event["seq"]] = at, event["event"]
    return found


async def _killing(settings: LockSettings) -> bool:
    """Its machine is gone: nobody gives the lock back."""
    took = []
    for _ in range(KILLS):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            async with consul_world(Path(folder) / "s", nodes=2) as (stack, agent):
                tune(stack, "lock", ttl=settings.ttl, lock_delay=settings.lock_delay)
                async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                    await running.event("step_started", node="web1", step="start")
                    begun = time.perf_counter()
                    running.signal(signal.SIGKILL)
                    await running.end()
                await _taken(agent, settings)
                took.append(time.perf_counter() - begun)
    result(
        f"after a SIGKILL of its holder another machine has the lock (ttl {settings.ttl} s, of these"
        f" {settings.lock_delay} s of delay) within {', '.join(f'{seconds:.1f} s' for seconds in took)},"
        f" target {settings.ttl} s"
    )
    return max(took) <= settings.ttl


async def _taken(agent: Agent, settings: LockSettings) -> None:
    """Take it as Rolldeck does, again and again until that has worked."""
    consul = Consul(ConsulSettings(address=agent.address))
    lock = ConsulLock(consul, "rolldeck/shop/lock", SystemClock(), settings.session_ttl, settings.lock_delay)
    while not await lock.try_acquire(b"{}"):
        await asyncio.sleep(POLL)
    await lock.release()
    await consul.close()
