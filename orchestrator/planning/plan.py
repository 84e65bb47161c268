"""The plan of a rollout, computed from the results of preflight before anything is changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backends.model import ServerRef
from backends.name_ranges import fold_names
from backends.node_state import Availability
from orchestrator.events.events import CommandStarted
from orchestrator.events.steps import STEPS, Step
from orchestrator.node import Node, OriginalState
from orchestrator.planning.application import Amount, Policy, resolve_count
from orchestrator.planning.capacity import BackendKey, Capacity
from orchestrator.planning.drain_outlook import DrainBasis, DrainOutlook, describe_remaining
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.load_grade import LoadForecast
from orchestrator.planning.verdict_outlook import VerdictOutlook


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """One command that a step would send."""

    step: Step
    target: str
    command: str


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node as it was found, and what the rollout does with it."""

    name: str
    refs: tuple[ServerRef, ...]
    originals: dict[ServerRef, OriginalState]
    installed: str | None  # version on disk; None: nothing there, or not known
    running: str | None  # version that answers, as installers call it if it is on disk; None if unknown
    steps: tuple[Step, ...]  # empty: nothing to do
    reason: str  # why these steps are needed
    force_ready: bool = False  # put in rotation at the end although a human has it out now
    unfinished_rollout: int = (
        0  # an earlier rollout that did not finish it: the originals are those from before that
    )
    only_drained: bool = False  # by that rollout, which has not stopped its service
    running_command: CommandStarted | None = (
        None  # of that rollout, and may still run: nothing is done beside it
    )
    failed_in: int = 0  # the rollout in which its target version failed on it, unless it was healthy since
    unproven: bool = False  # it serves with a version that was never verified: it goes first
    target_version: str = ""  # its own, where that is not the plan's
    commands: tuple[PlannedCommand, ...] = ()
    followers: tuple[ServerRef, ...] = ()  # servers in any backend that leave with it by `track`
    availability: Availability | None = None  # of its target version; None: nothing will be installed
    inherited: tuple[ServerRef, ...] = ()  # its own servers that are out now with one that they follow
    sessions: int = 0  # in flight on its servers, and waiting for them
    persistent: bool = False  # clients of some of its backends stay with their server while that drains
    drain: DrainOutlook | None = None  # None where it will not be drained, or was not forecast
    ramped: tuple[ServerRef, ...] = ()  # its own servers that get their weight back in stages

    @property
    def has_version(self) -> bool:
        """Whether any version of it is known."""
        return bool(self.running or self.installed)

    @property
    def displayed_version(self) -> str:
        """The version to show: what runs, else what is installed."""
        return self.running or self.installed or "?"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which nodes, in which batches, to which version."""

    application: str
    version: str
    policy: Policy
    nodes: tuple[PlannedNode, ...]  # all that were examined, in order
    batches: tuple[tuple[str, ...], ...]  # names of those that have steps
    capacities: tuple[tuple[Capacity, ...], ...]  # what stays in rotation, for each batch
    prefetch: tuple[PlannedCommand, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    nodes_at_plan_time: tuple[Node, ...] = ()  # all of the application, with their addresses then
    drain_basis: DrainBasis = field(default_factory=DrainBasis)
    all_backups: frozenset[BackendKey] = frozenset()  # backends in which all backup servers serve together
    loads: tuple[tuple[LoadForecast, ...], ...] = ()  # what stays in rotation then carries, for each batch
    verdict: VerdictOutlook | None = None  # what the judgement will find; None: there is none

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def failed_before(self) -> dict[str, list[str]]:
        """The nodes that are to get a version that has failed on them before, by version."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.failed_in and node.steps:
                found.setdefault(node.target_version or self.version, []).append(node.name)
        return found

    def target_version(self, name: str) -> str:
        """Return the target version of a node."""
        return self.node(name).target_version or self.version

    def node(self, name: str) -> PlannedNode:
        return next(node for node in self.nodes if node.name == name)


def cut_into_batches(names: Sequence[str], serial: Amount | Sequence[Amount]) -> tuple[tuple[str, ...], ...]:
    """Cut into batches like Ansible's `serial`: one size after the other, the last one again and again.

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


def sort_by_order(names: Sequence[str], order: str) -> list[str]:
    """Sort the names by the policy's `order`, as Ansible does."""
    ordered = sorted(names) if order.endswith("sorted") else list(names)
    return ordered[::-1] if order.startswith("reverse") else ordered


def choose_steps(
    target_version: str,
    installed: str | None,
    running: str | None,
    *,
    reported: str = "",
    in_rotation: bool,
    stays_out: bool,
    unproven: bool = False,
) -> tuple[tuple[Step, ...], str]:
    """Return the steps that a node needs, and why.

    Args:
        target_version: the version it is to have.
        installed: the version on disk, None when there is none or it is not known.
        running: the version that answers, None when it is not known.
        reported: what the application itself calls the target version, if that differs.
        in_rotation: it is in rotation with full health wherever it belongs.
        stays_out: it is out everywhere by somebody's decision, and stays so.
        unproven: it takes traffic, and a rollout to this version did not finish it.
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

    entry: int  # the rollout's entry in the journal
    originals: Mapping[ServerRef, OriginalState]  # as they were before it
    text: str  # who left it, when, and how far it had come
    command: CommandStarted | None = None  # that may still run there
    target_version: str = ""  # of that rollout
    only_drained: bool = False  # its service was not stopped


UNSEEN_COLUMNS = 40  # of a load balancer that is not read, with the reason


def task_text(node: PlannedNode) -> str:
    """Describe what is done with a node, and why."""
    return f"{node.reason}; put in rotation although it is out now" if node.force_ready else node.reason


def drain_lines(plan: Plan) -> Iterator[str]:
    """Yield what the forecasts of drains are based on, and which sessions are closed after the deadline."""
    if all(node.drain is None for node in plan.nodes):
        return
    if basis := str(plan.drain_basis):
        yield basis
    command = {"shutdown": "shutdown sessions server BACKEND/SERVER", "pace": "shutdown session ID"}
    if sent := command.get(plan.policy.on_remaining_sessions):
        after_s = plan.policy.drain_timeout + plan.policy.maint_grace_period
        yield f"sessions that remain after {after_s:g} s: {describe_remaining(plan.policy)} (`{sent}`)"


def failed_before_text(node: PlannedNode) -> str:
    """Return a suffix that says in which rollout its target version failed there; empty when it did not."""
    return f"; that failed here in rollout {node.failed_in}" if node.failed_in else ""


def failed_versions_text(plan: Plan) -> str:
    """Format as `1.5.0 has failed on web2, web3`; empty when no node gets what failed on it."""
    failed = plan.failed_before.items()
    return "; ".join(f"{version} has failed on {fold_names(nodes)}" for version, nodes in failed)


def command_groups(plan: Plan) -> Iterator[tuple[str, Sequence[PlannedCommand]]]:
    """Yield every command that would be sent, below titles: what is fetched first, then node by node."""
    if plan.prefetch:
        yield "prefetch, in parallel on all nodes", plan.prefetch
    for batch in plan.batches:
        for name in batch:
            yield name, plan.node(name).commands


def group_capacities(capacities: Sequence[Capacity]) -> list[tuple[Capacity, list[str]]]:
    """Group backends with equal capacities, each with its load balancers."""
    groups: dict[tuple[str, int, int, int, bool, str], tuple[Capacity, list[str]]] = {}
    for found in capacities:
        key = (found.backend, found.before, found.after, found.floor, found.allowed, found.notes)
        groups.setdefault(key, (found, []))[1].append(found.instance)
    return list(groups.values())


def capacity_text(capacities: Sequence[Capacity], unseen: Sequence[str]) -> str:
    """Describe what a drain would leave: `shop: in rotation 4 → 3, floor 2 on lb1, lb2`.

    Args:
        capacities: the capacity of each backend on each load balancer that could be read.
        unseen: the names of the other load balancers.
    """
    parts = [
        f"{found.backend}: in rotation {found.before} → {found.after}, floor {found.floor}"
        f" on {', '.join(names)}{found.notes}"
        for found, names in group_capacities(capacities)
    ]
    parts += [f"{name}: unknown"[:UNSEEN_COLUMNS] for name in unseen]
    return " · ".join(parts)


def describe_batch(plan: Plan, number: int) -> str:
    """Describe what stays in rotation during a batch, from 1, and what that carries."""
    loads = plan.loads[number - 1] if plan.loads else ()
    return "; ".join(
        [*map(str, plan.capacities[number - 1]), *(str(load) for load in loads if load.is_notable)]
    )


def describe_load(plan: Plan, node: str) -> str:
    """Describe what stays in rotation would carry while the batch of a node is out; empty for nothing."""
    loads = next((loads for names, loads in zip(plan.batches, plan.loads, strict=False) if node in names), ())
    return "; ".join(str(load) for load in loads if load.is_notable)


def group_loads(plan: Plan) -> list[tuple[LoadForecast, list[int]]]:
    """Group the loads that are worth telling and alike, each with the numbers of its batches, from 1."""
    groups: dict[str, tuple[LoadForecast, list[int]]] = {}
    for number, loads in enumerate(plan.loads, 1):
        for load in loads:
            if load.is_notable:
                groups.setdefault(str(load), (load, []))[1].append(number)
    return list(groups.values())


def batch_numbers_text(numbers: Sequence[int]) -> str:
    """Format as `1, 3-5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
