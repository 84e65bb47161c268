"""A plan in words, the same on a terminal and in the console: these add only how it looks."""

from collections.abc import Iterator, Sequence

from orchestrator.planning.capacity import Capacity
from orchestrator.planning.plan import Finding, Plan, PlannedCommand, PlannedNode, Severity

SEVERITY_GLYPHS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "·"}

UNSEEN_COLUMNS = 40  # of a load balancer that is not seen, with its reason


def group_findings(findings: Sequence[Finding]) -> dict[tuple[Severity, str], list[str]]:
    """Who each text is about, errors first: the same text about several subjects is said once."""
    groups: dict[tuple[Severity, str], list[str]] = {}
    for finding in sorted(findings, key=lambda finding: list(Severity).index(finding.severity)):
        subjects = groups.setdefault((finding.severity, finding.text), [])
        if finding.subject not in subjects:
            subjects.append(finding.subject)
    return groups


def task_text(node: PlannedNode) -> str:
    """What is to be done with a node, and why."""
    return f"{node.reason}; put in rotation although it is out now" if node.force_ready else node.reason


def failed_before_text(node: PlannedNode) -> str:
    """Beside what is to be done with a node: its target version failed there; empty when it did not."""
    return f"; that failed here in rollout {node.failed_in}" if node.failed_in else ""


def failed_versions_text(plan: Plan) -> str:
    """`1.5.0 has failed on web2, web3`; empty when no node is to get what failed on it."""
    failed = plan.failed_before.items()
    return "; ".join(f"{version} has failed on {', '.join(nodes)}" for version, nodes in failed)


def command_groups(plan: Plan) -> Iterator[tuple[str, Sequence[PlannedCommand]]]:
    """Every command that would be sent, in order, below a title: what is done first, then node by node."""
    if plan.prefetch:
        yield "prefetch, in parallel on all nodes", plan.prefetch
    for batch in plan.batches:
        for name in batch:
            yield name, plan.node(name).commands


def group_capacities(capacities: Sequence[Capacity]) -> list[tuple[Capacity, list[str]]]:
    """Backends that are left alike, each with its load balancers."""
    groups: dict[tuple[str, int, int, int, bool, str], tuple[Capacity, list[str]]] = {}
    for found in capacities:
        key = (found.backend, found.before, found.after, found.floor, found.allowed, found.notes)
        groups.setdefault(key, (found, []))[1].append(found.instance)
    return list(groups.values())


def capacity_text(capacities: Sequence[Capacity], unseen: Sequence[str]) -> str:
    """What a drain would leave: `shop: in rotation 4 → 3, floor 2 on lb1, lb2`.

    Args:
        capacities: of each backend on each load balancer that is seen.
        unseen: names of the others.
    """
    parts = [
        f"{found.backend}: in rotation {found.before} → {found.after}, floor {found.floor}"
        f" on {', '.join(names)}{found.notes}"
        for found, names in group_capacities(capacities)
    ]
    parts += [f"{name}: unknown"[:UNSEEN_COLUMNS] for name in unseen]
    return " · ".join(parts)
