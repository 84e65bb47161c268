"""Versions that a plan brings to nodes on which they have failed before: they are named."""

from dataclasses import replace

from orchestrator.journal.node_history import FleetHistory
from orchestrator.plan import Finding, Plan, Severity


def name_failures(plan: Plan, history: FleetHistory) -> Plan:
    """The plan, with the rollout in which a version has failed on a node, and a warning of that."""
    nodes, findings = [], []
    for node in plan.nodes:
        failure = history.failure(node.name, plan.wanted(node.name)) if node.steps else None
        nodes.append(node if failure is None else replace(node, failed_in=failure.entry))
        if failure is not None and failure.entry != node.left_by:  # the plan tells of that already
            text = (
                f"{failure.version} failed here at {failure.step} in rollout {failure.entry}: {failure.error}"
            )
            findings.append(Finding(Severity.WARNING, node.name, text))
    return replace(plan, nodes=tuple(nodes), findings=(*plan.findings, *findings))
