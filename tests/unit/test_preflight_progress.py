"""Preflight observes a bounded number of nodes at a time, and reports how many it has observed."""

import asyncio
from dataclasses import replace

from backends.node_state import HealthResult
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


async def test_many_nodes_are_observed_a_few_at_a_time_and_counted() -> None:
    health, reports = Counted(), list[tuple[int, int]]()
    (node,) = World(nodes=1).application.nodes
    nodes = [replace(node, name=f"web{number}", health=health) for number in range(100)]
    with observed_nodes_reported(lambda done, total: reports.append((done, total))):
        observations = await observe_nodes(nodes)
    assert [observation.node.name for observation in observations] == [node.name for node in nodes]
    assert reports == [(number, 100) for number in range(1, 101)]
    assert 1 < health.most <= MAX_NODES_AT_ONCE
