"""Preflight observes a bounded number of nodes at a time, and reports how many it has observed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backends.node_state import HealthResult
from orchestrator.planning.load_forecast import forecast_loads
from orchestrator.planning.load_grade import LoadForecast
from orchestrator.preflight import batches
from orchestrator.preflight.nodes import MAX_NODES_AT_ONCE, observe_nodes, observed_nodes_reported
from tests.support.fake_fleet import World


class Counted:
    """A health check that counts how many others run at the same time."""

    def __init__(self) -> None:
        self.running = self.most = 0

    async def check(self) -> HealthResult:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        return HealthResult(ok=True, detail="ok")

    async def read_version(self) -> str | None:
        return (await self.check()).version


async def test_many_nodes_are_observed_a_few_at_a_time_and_counted() -> None:
    health, reports = Counted(), list[tuple[int, int]]()
    (node,) = World(nodes=1).application.nodes
    nodes = [replace(node, name=f"web{number}", health=health) for number in range(100)]
    with observed_nodes_reported(lambda done, total: reports.append((done, total))):
        observations = await observe_nodes(nodes)
    assert [observation.node.name for observation in observations] == [node.name for node in nodes]
    assert reports == [(number, 100) for number in range(1, 101)]
    assert 1 < health.most <= MAX_NODES_AT_ONCE


async def test_other_tasks_run_while_the_batches_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = 0
    computed_in: list[int] = []

    async def count_passes() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    def forecast(*arguments: Any) -> tuple[LoadForecast, ...]:
        computed_in.append(passes)
        return forecast_loads(*arguments)

    monkeypatch.setattr(batches, "forecast_loads", forecast)
    monkeypatch.setattr(batches, "BATCHES_AT_ONCE", 2)
    counting = asyncio.create_task(count_passes())
    plan = await World(nodes=6).plan("2.0")
    counting.cancel()
    assert len(plan.batches) == 6
    assert len(set(computed_in)) >= 3
