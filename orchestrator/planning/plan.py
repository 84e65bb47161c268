"""The plan of a rollout: a value computed from what is there, to be looked at before anything is touched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backends.model import ServerRef
from backends.node_state import Availability
from orchestrator.events.events import CommandStarted
from orchestrator.events.steps import STEPS, Step
from orchestrator.events.text import SCHEMA
from orchestrator.node import Node, OriginalState
from orchestrator.planning.application import Amount, Policy, resolve_count
from orchestrator.planning.capacity import BackendKey, Capacity
from orchestrator.planning.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """One command as it would be sent."""

    step: Step
    target: str
    command: str


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node as it was found, and what is to be done with it."""

    name: str
    refs: tuple[ServerRef, ...]
    originals: dict[ServerRef, OriginalState]
    installed: str | None  # version on disk; None: nothing there, or not known
    running: str | None  # version that answers; None when it could not be told
    steps: tuple[Step, ...]  # empty: nothing to do
    reason: str  # of the steps, in words
    force_ready: bool = False  # put in rotation at the end although a human has it out now
    unfinished_rollout: int = (
        0  # the rollout that did not finish with it: the originals are those from before it
    )
    running_command: CommandStarted | None = None  # that it had begun there: nothing is done beside it
    failed_in: int = 0  # the rollout in which the version that it is to have failed on it, and not well since
    unproven: bool = False  # it takes traffic with a version that no rollout has proven: it goes first
    target_version: str = ""  # the version it is to have, where that is not the plan's
    commands: tuple[PlannedCommand, ...] = ()
    followers: tuple[ServerRef, ...] = ()  # that are carried along, in whatever backend, by `track`
    availability: Availability | None = None  # of the version it is to have; None: it is not installed here
    inherited: tuple[ServerRef, ...] = ()  # its own that are out now with a server that they follow

    @property
    def has_version(self) -> bool:
        """Whether anything is known of the version that it has."""
        return bool(self.running or self.installed)

    @property
    def displayed_version(self) -> str:
        """The version to show: what runs, else what is installed."""
        return self.running or self.installed or "?"


@dataclass(frozen=True, slots=True)
class Plan:
    """Who, in which batches, to which version."""

    application: str
    version: str
    policy: Policy
    nodes: tuple[PlannedNode, ...]  # all that were looked at, in order
    batches: tuple[tuple[str, ...], ...]  # names of those with something to do
    capacities: tuple[tuple[Capacity, ...], ...]  # for each batch, what stays in rotation
    prefetch: tuple[PlannedCommand, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    nodes_at_plan_time: tuple[Node, ...] = ()  # all of the application, at the places where they were then
    all_backups: frozenset[BackendKey] = frozenset()  # where all backup servers serve together

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def failed_before(self) -> dict[str, list[str]]:
        """Versions that somebody is to get although they have failed there before, with the nodes."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.failed_in and node.steps:
                found.setdefault(node.target_version or self.version, []).append(node.name)
        return found

    def target_version(self, name: str) -> str:
        """The version that this node is to have."""
        return self.node(name).target_version or self.version

    def node(self, name: str) -> PlannedNode:
        return next(node for node in self.nodes if node.name == name)


def batches(names: Sequence[str], serial: Amount | Sequence[Amount]) -> tuple[tuple[str, ...], ...]:
    """Cut into batches like Ansible's `serial`: each size in turn, the last one again and again.

    Percentages are of all names, rounded down, and at least one.
    """
    sizes = [serial] if isinstance(serial, int | str) else list(serial)
    result: list[tuple[str, ...]] = []
    start = 0
    while start < len(names):
        size = sizes[min(len(result), len(sizes) - 1)]
        count = max(1, resolve_count(size, len(names)))
        result.append(tuple(names[start : start + count]))
        start += count
    return tuple(result)


def in_order(names: Sequence[str], order: str) -> list[str]:
    """The names in the order of the policy, as Ansible calls it."""
    ordered = sorted(names) if order.endswith("sorted") else list(names)
    return ordered[::-1] if order.startswith("reverse") else ordered


def steps_for(
    target_version: str,
    installed: str | None,
    running: str | None,
    *,
    reported: str = "",
    in_rotation: bool,
    stays_out: bool,
    unproven: bool = False,
) -> tuple[tuple[Step, ...], str]:
    """What a node needs, and why in words.

    Args:
        target_version: that it is to have.
        installed: the version on disk, None when there is none or it is not known.
        running: the version that answers, None when it is not known.
        reported: what the application itself calls the target version, if that differs.
        in_rotation: it is in rotation with its full health everywhere it belongs.
        stays_out: a human took it out everywhere; it goes back to that.
        unproven: it takes traffic, and a rollout to this version has not finished with it.
    """
    if installed != target_version:
        return tuple(STEPS), f"{installed or 'nothing'} → {target_version}"
    if running is None:
        return tuple(STEPS), f"{target_version} is installed, but the running version is unknown: restart"
    if running != (reported or target_version):
        return tuple(STEPS), f"{target_version} is installed, but {running} runs: restart"
    if unproven:
        return (
            "drain",
            "verify",
        ), f"has {target_version} and gets traffic, but was never verified: drain, then verify"
    if in_rotation:
        return (), f"has {target_version} and is in rotation"
    if stays_out:
        return (), f"has {target_version}; intentionally out of rotation, and stays out"
    return ("verify",), f"has {target_version}, but is not in rotation everywhere"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A node that an earlier rollout has touched and not finished."""

    entry: int  # of the journal
    originals: Mapping[ServerRef, OriginalState]  # as they were before it
    text: str  # by whom it was left, when, and how far it had come
    command: CommandStarted | None = None  # that may still run there
    target_version: str = ""  # that it was to have


def _availability(found: Availability | None) -> dict[str, Any] | None:
    return msgspec.to_builtins(found) if found is not None else None


def _capacity(capacity: Capacity) -> dict[str, Any]:
    names = {"traffic_servers_removed": "taken"}  # what is public keeps its name
    return {names.get(name, name): value for name, value in msgspec.to_builtins(capacity).items()}


def plan_fields(plan: Plan) -> dict[str, Any]:
    """All of it, ready to be written as JSON."""
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
        "prefetch": [msgspec.to_builtins(command) for command in plan.prefetch],
        "findings": [msgspec.to_builtins(finding) for finding in plan.findings],
        "policy": msgspec.to_builtins(plan.policy),
    }


UNSEEN_COLUMNS = 40  # of a load balancer that is not seen, with its reason


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
