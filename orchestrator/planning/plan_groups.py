"""The nodes and batches of a plan as few as they can be told in: those that are alike are one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from backends.name_ranges import MIN_RUN, fold_names, list_folded
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.plan import Plan, PlannedNode, failed_before_text, task_text


def group_nodes(plan: Plan) -> Iterator[tuple[str, PlannedNode]]:
    """Yield each node in its order, by its name; of those that are alike and count up only the first one.

    Its name then stands for all of them, as in `web[001-400]`.
    """
    for _, nodes in groupby(plan.nodes, _describe_node):
        alike = list(nodes)
        for name in list_folded(node.name for node in alike):
            yield name, alike[0]


def _describe_node(node: PlannedNode) -> tuple[object, ...]:
    """Return all that is shown of a node but its name."""
    texts = node.displayed_version, task_text(node), failed_before_text(node)
    return (*texts, bool(node.steps), None if node.drain is None else str(node.drain))


@dataclass(frozen=True, slots=True)
class BatchGroup:
    """Batches that follow each other and are alike; often only one.

    Attributes:
        numbers: as in `2`, or `2-40`.
        names: the nodes of all of them, as text.
        capacities: what stays in rotation in each of them.
    """

    numbers: str
    names: str
    capacities: tuple[Capacity, ...]


def group_batches(plan: Plan) -> Iterator[BatchGroup]:
    """Yield the batches; several of the same size that leave the same in rotation are one group."""
    batches = enumerate(zip(plan.batches, plan.capacities, strict=True), 1)
    for _, alike in groupby(batches, lambda batch: _describe_batch(*batch[1])):
        group = list(alike)
        first, (names, capacities) = group[0]
        if len(group) < MIN_RUN:
            for number, (own, found) in group:
                yield BatchGroup(str(number), fold_names(own), found)
        else:
            all_names = fold_names(name for _, (own, _) in group for name in own)
            text = f"{all_names}, {len(names)} at a time"
            yield BatchGroup(f"{first}-{first + len(group) - 1}", text, capacities)


def _describe_batch(names: Sequence[str], capacities: Sequence[Capacity]) -> tuple[object, ...]:
    shown = ((str(found), found.backend, found.instance, found.allowed) for found in capacities)
    return len(names), *shown
