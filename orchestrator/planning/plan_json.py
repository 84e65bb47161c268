"""The plan as JSON: `rolldeck plan --json` prints it, and the journal keeps it with each rollout.

What is decoded here may have been written by an earlier or a later Rolldeck, or published by another machine,
which leaves most of it out: what is missing has its default, and what is unknown is ignored.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from backends.model import ServerRef
from backends.node_state import Availability
from orchestrator.events.json import SCHEMA
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.node import OriginalState
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import BackendKey, Capacity
from orchestrator.planning.drain_outlook import DrainBasis, DrainOutlook
from orchestrator.planning.findings import Finding
from orchestrator.planning.load_grade import LoadForecast
from orchestrator.planning.plan import Plan, PlannedCommand, PlannedNode
from orchestrator.planning.verdict_outlook import VerdictOutlook


def _availability(found: Availability | None) -> dict[str, Any] | None:
    return msgspec.to_builtins(found) if found is not None else None


def _capacity(capacity: Capacity) -> dict[str, Any]:
    names = {"traffic_servers_removed": "taken"}  # the JSON keeps its names
    return {names.get(name, name): value for name, value in msgspec.to_builtins(capacity).items()}


def _drain(outlook: DrainOutlook | None, basis: DrainBasis) -> dict[str, Any] | None:
    return msgspec.to_builtins(outlook) | {"source": basis.source} if outlook is not None else None


def encode_plan(plan: Plan) -> dict[str, Any]:
    """Return the whole plan, ready to be written as JSON."""
    return {
        "schema": SCHEMA,
        "kind": "plan",
        "application": plan.application,
        "version": plan.version,
        "batches": plan.batches,
        "nodes": [
            {
                "node": node.name,
                "installed": node.installed,
                "running": node.running,
                "wanted": plan.target_version(node.name),
                "failed_in": node.failed_in or None,
                "steps": node.steps,
                "why": node.reason,
                "availability": _availability(node.availability),
                "drain": _drain(node.drain, plan.drain_basis),
                "servers": [msgspec.to_builtins(ref) for ref in node.refs],
                "followers": [msgspec.to_builtins(ref) for ref in node.followers],
                "originals": [
                    msgspec.to_builtins(original.to_event(ref)) for ref, original in node.originals.items()
                ],
                "commands": [msgspec.to_builtins(command) for command in node.commands],
            }
            for node in plan.nodes
        ],
        "capacities": [[_capacity(capacity) for capacity in batch] for batch in plan.capacities],
        "loads": [[msgspec.to_builtins(load) for load in batch] for batch in plan.loads],
        "all_backups": sorted(plan.all_backups),
        "verdict": None if plan.verdict is None else msgspec.to_builtins(plan.verdict),
        "prefetch": [msgspec.to_builtins(command) for command in plan.prefetch],
        "findings": [finding.to_fields() for finding in plan.findings],
        "policy": msgspec.to_builtins(plan.policy),
    }


class _Node(msgspec.Struct):
    name: str = msgspec.field(name="node")
    installed: str | None = None
    running: str | None = None
    wanted: str = ""
    failed_in: int | None = None
    steps: tuple[str, ...] = ()
    reason: str = msgspec.field(name="why", default="")
    availability: Availability | None = None
    drain: DrainOutlook | None = None
    refs: tuple[ServerRef, ...] = msgspec.field(name="servers", default=())
    followers: tuple[ServerRef, ...] = ()
    originals: list[OriginalStateRecord] = []
    commands: tuple[PlannedCommand, ...] = ()

    def as_planned(self, version: str) -> PlannedNode:
        return PlannedNode(
            self.name,
            self.refs,
            dict(OriginalState.from_event(record) for record in self.originals),
            self.installed,
            self.running,
            self.steps,
            self.reason,
            failed_in=self.failed_in or 0,
            target_version="" if self.wanted == version else self.wanted,
            commands=self.commands,
            followers=self.followers,
            availability=self.availability,
            drain=self.drain,
        )


class _Plan(msgspec.Struct):
    version: str
    nodes: list[_Node]
    batches: tuple[tuple[str, ...], ...]
    policy: dict[str, Any]
    application: str = ""
    capacities: list[list[dict[str, Any]]] = []
    loads: tuple[tuple[LoadForecast, ...], ...] = ()
    all_backups: frozenset[BackendKey] = frozenset()
    verdict: VerdictOutlook | None = None
    prefetch: tuple[PlannedCommand, ...] = ()
    findings: tuple[Finding, ...] = ()


def decode_plan(fields: Mapping[str, Any], application: str = "", version: str = "") -> Plan:
    """Return the plan of an entry in the journal, as far as it was encoded.

    What only planning itself needs is not in it: the nodes with their adapters, what earlier rollouts have
    left, and what forecasts are based on.

    Args:
        fields: what `encode_plan` has returned, after it was JSON.
        application: of the entry, for a plan that does not name it.
        version: of the entry, likewise.

    Raises:
        ValueError: it is no plan.
    """
    try:
        found = msgspec.convert({"version": version, "application": application} | dict(fields), _Plan)
        policy = {name: found.policy[name] for name in Policy.__struct_fields__ if name in found.policy}
        return Plan(
            found.application,
            found.version,
            msgspec.convert(policy, Policy),
            tuple(node.as_planned(found.version) for node in found.nodes),
            found.batches,
            tuple(tuple(map(_decode_capacity, batch)) for batch in found.capacities),
            found.prefetch,
            found.findings,
            all_backups=found.all_backups,
            loads=found.loads,
            verdict=found.verdict,
        )
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _decode_capacity(fields: dict[str, Any]) -> Capacity:
    names = {"taken": "traffic_servers_removed"}
    return msgspec.convert({names.get(name, name): value for name, value in fields.items()}, Capacity)
