"""The cost of an inventory of thousands of nodes in Consul: one read, waiting for changes, and one change."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx

from backends.consul.catalog import ConsulService, instances
from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.local_machine import SystemClock
from console.terminal.output import result
from orchestrator.background import Activity
from orchestrator.engine.control import RolloutControl
from orchestrator.events.event_bus import EventBus
from orchestrator.inventory.consul import ConsulSource
from orchestrator.inventory.inventory import LiveInventory
from tests.bench.consul_watcher import WAIT
from tests.bench.cpu_load import load
from tests.support.servers.consul import CONSUL, Agent, running_consul

if TYPE_CHECKING:
    from orchestrator.node import Node

MANY = 5_000  # instances, each on a node of its own with two checks
AT_ONCE = 16  # registrations
LOOKS = 5
CHANGES = 10
TICK = 0.002  # seconds between two looks at how late the event loop is
REST = 20.0  # seconds within one blocking query, in which nothing changes
ROUND = WAIT + WAIT / 16 + 5  # seconds in which at least one such query ends, as Consul's jitter wants it

LOOK_TARGET = 1.0  # seconds, as agreed
CPU_TARGET = 2.0  # per cent of one core
STALL_TARGET = 0.1  # seconds: what somebody who types would feel


def measure() -> bool:
    """All of it; False when a target is missed. Without a `consul` there is nothing to measure."""
    if CONSUL is None:
        result("consul: there is none on the PATH of this machine, so it was not measured")
        return True
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> bool:
    async with running_consul(folder) as agent:
        begun = time.perf_counter()
        await _register(agent)
        result(
            f"Consul with {MANY:,} instances of a service, registered in {time.perf_counter() - begun:.1f} s"
        )
        looked = await _looks(agent)
        calm = await _changes(agent)
        waited = await asyncio.to_thread(_waits, agent.address)
        return looked and calm and waited


async def _register(agent: Agent) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=agent.address, timeout=30) as client:

        async def one(number: int) -> None:
            async with slots:
                answer = await client.put("/v1/catalog/register", json=_instance(number))
                answer.raise_for_status()

        await asyncio.gather(*(one(number) for number in range(MANY)))


def _instance(number: int) -> dict[str, object]:
    name, address = f"web{number:05d}", f"10.1.{number // 250}.{number % 250 + 1}"
    checks = [("alive", ""), ("health", f"shop-{name}")]
    return {
        "Node": name,
        "Address": address,
        "NodeMeta": {"rack": str(number % 20)},
        "Service": {
            "Service": "shop",
            "ID": f"shop-{name}",
            "Address": address,
            "Port": 8080,
            "Tags": ["live"],
            "Meta": {"ssh": f"{name}.example.com", "version": "1.4.2"},
        },
        "Checks": [
            {"CheckID": f"{check}-{name}", "Name": check, "Status": "passing", "ServiceID": service}
            for check, service in checks
        ],
    }


async def _looks(agent: Agent) -> bool:
    """The first one has `requests` to import and is not counted."""
    consul = Consul(ConsulSettings(address=agent.address, timeout=30))
    settings = ConsulService(service="shop")
    times = []
    for _ in range(LOOKS + 1):
        start = time.perf_counter()
        _, found = await instances(consul, settings)
        times.append(time.perf_counter() - start)
        assert len(found) == MANY
    await consul.close()
    first, *times = times
    median = statistics.median(times)
    result(
        f"one look at all: median {median:.3f} s, best {min(times):.3f} s, slowest {max(times):.3f} s"
        f" (the first {first:.3f} s), target {LOOK_TARGET:g} s"
    )
    return median < LOOK_TARGET


async def _changes(agent: Agent) -> bool:
    """One instance comes and goes while it is watched: how late that is told, how long all else waits."""
    consul, bus = Consul(ConsulSettings(address=agent.address, timeout=30)), EventBus(SystemClock())
    found = (await instances(consul, ConsulService(service="shop")))[1]
    places = [
        SimpleNamespace(name=name, addresses={instance.address}, port=instance.port)
        for name, instance in found.items()
    ]
    nodes = cast("tuple[Node, ...]", tuple(places))
    clock, source = SystemClock(), ConsulSource(consul, ConsulService(service="shop"))
    # As while a rollout runs: what is different is told, and not taken over.
    rolling = Activity(RolloutControl(clock, bus), is_rolling=True)
    watch = LiveInventory(source, cast("Any", None), nodes, {}, rolling, dict, bus)
    told, stalls = asyncio.Event(), [0.0]
    bus.subscribe(lambda _: told.set())
    tasks = [asyncio.create_task(watch.run()), asyncio.create_task(_tick(stalls))]
    await asyncio.sleep(2)  # the first look
    late, longest = [], []
    async with httpx.AsyncClient(base_url=agent.address, timeout=30) as client:
        for _ in range(CHANGES):
            told.clear()
            stalls[0] = 0.0
            await client.put("/v1/catalog/register", json=_instance(MANY))
            begun = time.perf_counter()
            await asyncio.wait_for(told.wait(), 30)
            late.append(time.perf_counter() - begun)
            await client.put("/v1/catalog/deregister", json={"Node": f"web{MANY:05d}"})
            await asyncio.sleep(1)  # that is looked at too
            longest.append(stalls[0])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await consul.close()
    stall = statistics.median(longest)
    result(
        f"one more comes and goes: told after {statistics.median(late):.3f} s (median), meanwhile the event"
        f" loop stalls for median {1000 * stall:.0f} ms, best {1000 * min(longest):.0f} ms, worst"
        f" {1000 * max(longest):.0f} ms, target {1000 * STALL_TARGET:.0f} ms"
    )
    return stall < STALL_TARGET


async def _tick(stalls: list[float]) -> None:
    """Keep the longest time for which nothing else could run."""
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(TICK)
        stalls[0] = max(stalls[0], time.perf_counter() - begun - TICK)


def _waits(address: str) -> bool:
    command = [sys.executable, "-m", "tests.bench.consul_watcher", address, "shop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(1)
            rest, whole = load(REST, process.pid), load(ROUND, process.pid)
        finally:
            process.kill()
    result(
        f"waiting for changes: {rest.own[0]:.2f} % of one core over {REST:g} s at rest, {whole.own[0]:.2f} %"
        f" over {ROUND:g} s with the answers that end a wait of {WAIT:g} s, target {CPU_TARGET:g} %"
        f" (everything on this machine: {whole.machine:.0f} %)"
    )
    return max(rest.own[0], whole.own[0]) < CPU_TARGET
