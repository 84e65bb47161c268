"""The batches of a rollout: what stays in rotation while each is out, and whether that can carry the load."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from backends.errors import BackendError
from backends.model import AdminState, ServerRef, Snapshot
from backends.name_ranges import fold_names
from orchestrator.balancers.group import BalancerGroup
from orchestrator.balancers.load_history import LoadHistory
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity, Floors
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.load_forecast import forecast_loads
from orchestrator.planning.load_grade import LoadForecast, settle, worst_grade
from orchestrator.planning.plan import PlannedNode, cut_into_batches, sort_by_order
from orchestrator.planning.removal import SharedEndpoints

SAMPLES, SAMPLE_INTERVAL_S = 12, 0.25  # reads where a single one is not certain
BATCHES_AT_ONCE = 8  # that are computed before other tasks run again


Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a plan.

    Attributes:
        names: the nodes of each.
        capacities: what stays in rotation while each is out.
        loads: what that carries then.
        findings: errors and warnings about them.
    """

    names: tuple[tuple[str, ...], ...]
    capacities: tuple[tuple[Capacity, ...], ...]
    loads: tuple[tuple[LoadForecast, ...], ...]
    findings: tuple[Finding, ...]


async def plan_batches(
    planned: Sequence[PlannedNode],
    policy: Policy,
    balancer_group: BalancerGroup,
    floors: Floors,
    shared: SharedEndpoints,
    *,
    is_repair: bool,
) -> Batches:
    """Cut the nodes into batches, and judge each of them.

    Args:
        planned: all nodes of the plan.
        policy: of the rollout.
        balancer_group: is read again where one read cannot tell whether a load is too much.
        floors: the capacity guard.
        shared: all backends.
        is_repair: whether it is a repair, such as a rollback, which no overload forbids.
    """
    first, rest = (
        sort_by_order(
            [node.name for node in planned if node.steps and node.unproven is unproven], policy.order
        )
        for unproven in (True, False)
    )
    # Nodes that serve without a proof come first: they are decided about before others are taken out.
    cut = cut_into_batches(first, policy.serial) + cut_into_batches(rest, policy.serial)
    leaving = {
        node.name: {*_find_leaving(node), *node.followers} for node in planned if "drain" in node.steps
    }
    loads = _Loads(floors.snapshots, leaving)
    found_loads = await loads.without_each(cut)
    if any(not found.certain for batch in found_loads for found in batch):
        await loads.measure(balancer_group)
        found_loads = await loads.without_each(cut)
    if policy.min_available == "load":
        cut = await loads.split_each(cut)
        found_loads = await loads.without_each(cut)
    capacities = await _measure_capacities(cut, planned, floors, shared)
    forecasts = tuple(tuple(map(settle, batch)) for batch in found_loads)
    is_refused = policy.on_overload == "refuse" and not is_repair
    findings = [found for batch in zip(cut, capacities, strict=True) for found in _judge_capacities(*batch)]
    findings += _judge_loads(dict(zip(cut, forecasts, strict=True)), policy, is_refused=is_refused)
    return Batches(cut, capacities, forecasts, tuple(findings))


async def _pause_between(batches: Iterable[Batch]) -> AsyncIterator[Batch]:
    """Yield the batches, and let other tasks run from time to time."""
    for number, batch in enumerate(batches, 1):
        yield batch
        if number % BATCHES_AT_ONCE == 0:
            await asyncio.sleep(0)


class _Loads:
    """What remains in rotation has to carry while some nodes are out."""

    def __init__(
        self, snapshots: Mapping[str, Snapshot], leaving: Mapping[str, Collection[ServerRef]]
    ) -> None:
        self._snapshots = dict(snapshots)
        self._leaving = leaving
        self._history = LoadHistory(min_interval_s=SAMPLE_INTERVAL_S / 2)

    def without(self, names: Sequence[str]) -> tuple[LoadForecast, ...]:
        refs = {ref for name in names for ref in self._leaving.get(name, ())}
        return forecast_loads(self._snapshots, refs, self._history)

    async def without_each(self, cut: Sequence[Sequence[str]]) -> list[tuple[LoadForecast, ...]]:
        """Return the same for each batch; other tasks run meanwhile, as hundreds of batches take seconds."""
        return [self.without(names) async for names in _pause_between(cut)]

    async def split_each(self, cut: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
        """Split each batch as `split` does; other tasks run meanwhile."""
        parts = (part for names in cut for part in self.split(names))
        return tuple([part async for part in _pause_between(parts)])

    def split(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Split a batch into the largest ones whose load is proven; a node alone leaves on trial."""
        start = 0
        while start < len(names):
            end = len(names)
            while end > start + 1 and worst_grade(self.without(names[start:end])) != "proven":
                end -= 1
            yield tuple(names[start:end])
            start = end

    async def measure(self, balancer_group: BalancerGroup) -> None:
        """Read the load balancers for some seconds; one that does not answer ends that."""
        now = asyncio.get_running_loop().time
        try:
            for number in range(SAMPLES):
                if number:
                    await asyncio.sleep(SAMPLE_INTERVAL_S)
                for snapshot in (await balancer_group.read_all()).values():
                    self._history.add(snapshot, now())
        except BackendError:
            return  # a finding says so already, or a step will


async def _measure_capacities(
    cut: Sequence[Sequence[str]], planned: Sequence[PlannedNode], floors: Floors, shared: SharedEndpoints
) -> tuple[tuple[Capacity, ...], ...]:
    """Return what stays in rotation while each batch is out; other tasks run meanwhile."""
    capacities = []
    back: set[ServerRef] = set()
    async for batch in _pause_between(cut):
        batch_nodes = [node for node in planned if node.name in batch]
        capacities.append(floors.without({ref for node in batch_nodes for ref in _find_leaving(node)}, back))
        # A batch that does not come back stops the rollout before the next one begins.
        returning = {ref for node in batch_nodes for ref in _find_returning(node)}
        back |= returning | shared.returning(returning)
    return tuple(capacities)


def _judge_capacities(batch: Sequence[str], after: Sequence[Capacity]) -> Iterator[Finding]:
    for found in after:
        if not found.allowed:
            text = f"capacity floor violated: {found} (see serial, min_available, max_unavailable)"
            yield Finding(Severity.ERROR, fold_names(batch), text)


def _judge_loads(
    batches: Mapping[tuple[str, ...], Sequence[LoadForecast]], policy: Policy, *, is_refused: bool
) -> Iterator[Finding]:
    """Judge whether the others can carry the load of each batch."""
    severity = Severity.ERROR if is_refused else Severity.WARNING
    for names, forecasts in batches.items():
        for found in forecasts:
            if found.is_refused:
                way_out = "use a smaller serial, or try again" if len(names) > 1 else "try again"
                text = (
                    f"the others cannot carry the load: {found}; {way_out} when there is less traffic"
                    ' (on_overload = "warn" continues anyway)'
                )
                yield Finding(severity, fold_names(names), text)
            elif found.grade == "unproven" and found.carried is not None and not policy.trial:
                text = f"it is unproven that the others can carry the load, and there is no trial: {found}"
                yield Finding(Severity.WARNING, fold_names(names), text)


def _find_leaving(node: PlannedNode) -> tuple[ServerRef, ...]:
    """Return the servers that the rollout of a node takes out of rotation."""
    return node.refs if "drain" in node.steps else ()


def _find_returning(node: PlannedNode) -> set[ServerRef]:
    """Return the servers that are in rotation once the rollout of a node is done."""
    return {
        ref
        for ref, original in node.originals.items()
        if original.admin is AdminState.READY and original.weight > 0
    }
