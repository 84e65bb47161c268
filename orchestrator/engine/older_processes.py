"""HAProxy processes that a reload has replaced, whose sessions the current process does not count.

A master socket shows them. Without one, the node's own connections are counted instead: in maintenance the
current process has closed its idle ones, so those that are left on the application's port are not its own.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from backends.errors import BackendError
from backends.model import Snapshot
from backends.name_ranges import fold_names
from orchestrator.balancers.group import BalancerGroup
from orchestrator.engine.step_context import StepContext
from orchestrator.node import Node
from orchestrator.planning.findings import Finding, Severity

MAX_NODES_AT_ONCE = 32  # whose connections are counted at a time
FRESH_S = 0.25  # for which a count of no connections, taken in maintenance, stays valid
ADVICE = "set `master = true` with the socket of `haproxy -S` to see them"


async def judge_older_processes(
    balancer_group: BalancerGroup, snapshots: Mapping[str, Snapshot], nodes: Sequence[Node], within_s: float
) -> list[Finding]:
    """Warn where sessions of older processes could be cut unseen.

    Args:
        balancer_group: the load balancers.
        snapshots: the snapshots of now.
        nodes: the nodes to be worked on.
        within_s: a process that is older than that leaves no sessions that a drain would wait for.
    """
    young = {
        name: snapshot.info.uptime
        for name, snapshot in snapshots.items()
        if snapshot.info.uptime < within_s and not snapshot.info.stopping
    }
    try:
        without_master = await _find_without_master(balancer_group, young)
    except BackendError as error:
        text = f"sessions of older HAProxy processes cannot be seen: {error.problem}"
        return [Finding(Severity.ERROR, error.target, text)]
    if not without_master:
        return []
    slots = asyncio.Semaphore(MAX_NODES_AT_ONCE)

    async def count(node: Node) -> int | None:
        async with slots:
            return await _count_connections(node)

    counts = await asyncio.gather(*map(count, nodes))
    unseen = [node.name for node, found in zip(nodes, counts, strict=True) if found is None]
    if not unseen:
        return []
    return [
        Finding(
            Severity.WARNING,
            name,
            f"was started or reloaded {young[name]} s ago, and sessions of older HAProxy processes cannot be"
            f" seen, neither here nor on {fold_names(unseen)}: a stop cuts them; {ADVICE}",
        )
        for name in without_master
    ]


class OlderProcesses:
    """The sessions that older processes may still have on one node while it is in maintenance.

    Attributes:
        counted: whether the node's own connections are counted.
    """

    def __init__(self, context: StepContext, *, first_count: int | None) -> None:
        """Begin to count, for one node.

        Args:
            context: the step context of the node.
            first_count: its connections just now; None when they are not counted.
        """
        self._context = context
        self.counted = first_count is not None
        self._none_until = context.clock.monotonic() + FRESH_S if first_count == 0 else 0.0

    @classmethod
    async def of_node(cls, context: StepContext) -> "OlderProcesses":
        """Find out how older processes can be seen, and note it when they cannot."""
        names = {ref.instance for ref in context.refs}
        young = context.balancer_group.started_within(context.policy.drain_timeout, names)
        without_master = await context.retry_until_reachable(
            lambda: _find_without_master(context.balancer_group, young)
        )
        first_count = await _count_connections(context.node) if without_master else None
        if without_master and first_count is None:
            listed = ", ".join(
                f"{name} was started or reloaded {young[name]} s ago" for name in without_master
            )
            context.note(
                f"sessions of older HAProxy processes cannot be seen ({listed}): the stop may cut them"
            )
        return cls(context, first_count=first_count)

    async def connections(self) -> int:
        """Count the connections now; 0 when the load balancers know better, or nobody knows."""
        if not self.counted or self._context.node.connections is None:
            return 0
        if self._context.clock.monotonic() < self._none_until:
            return 0
        return await self._context.node.connections.count()

    async def reason(self) -> str | None:
        """Describe why the service may not be stopped yet, or None."""
        count = await self.connections()
        if not count:
            return None
        port = self._context.node.port
        return f"connections on port {port}: {count}, perhaps of older HAProxy processes after a reload"


async def _find_without_master(balancer_group: BalancerGroup, names: Collection[str]) -> list[str]:
    """Return the load balancers that cannot see their older processes."""
    return [
        name
        for name in names
        if await balancer_group.balancers[name].older_sessions(balancer_group.backends) is None
    ]


async def _count_connections(node: Node) -> int | None:
    """Count a node's connections; None where they cannot be counted."""
    if node.connections is None:
        return None
    try:
        return await node.connections.count()
    except BackendError:
        return None
