"""Findings about the nodes: host, service, port, health, and which versions are available."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from backends.errors import BackendError, ConfigError
from backends.hosts.execution import shared_queries
from backends.name_ranges import Own, fold_names
from backends.node_state import Activity, Availability, Presence, Registered
from backends.protocols import Installer, Registration
from backends.text import suggest
from orchestrator.engine.steps.stop import cannot_stop
from orchestrator.journal.node_history import FleetHistory
from orchestrator.node import Node
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.plan import Plan, PlannedNode

T = TypeVar("T")

MAX_NODES_AT_ONCE = 32  # nodes that are observed at a time
MAX_OTHER_VERSIONS = 5  # versions that an error names
MAX_CHECKS_PER_HOST = (
    4  # at a time on one host: Ansible's checks all run on the console's machine, a second each
)


@dataclass(frozen=True, slots=True)
class Observation:
    """One node as it was found. An error finding means that it could not be measured."""

    node: Node
    installed: str | None
    running: str | None
    healthy: bool
    registered: Registered | None
    findings: tuple[Finding, ...]
    cannot_stop: str = ""  # why its service manager would not stop it
    obstacles: tuple[str, ...] = ()  # what its service manager lacks to stop or start it
    caveats: tuple[str, ...] = ()  # what its service manager cannot know or do


OnProgress = Callable[[int, int], None]
"""Is called with how many nodes have been observed, and with how many there are."""

_on_progress: ContextVar[OnProgress | None] = ContextVar("_on_progress", default=None)


@contextlib.contextmanager
def observed_nodes_reported(on_progress: OnProgress) -> Iterator[None]:
    """Report within the context, and in the tasks that are started there, each node that is observed."""
    token = _on_progress.set(on_progress)
    try:
        yield
    finally:
        _on_progress.reset(token)


async def observe_nodes(nodes: Sequence[Node]) -> list[Observation]:
    """Observe all nodes; what cannot be measured becomes an error finding, not a guess.

    At most `MAX_NODES_AT_ONCE` are observed at a time: each needs a connection or processes, and hundreds of
    them at once would keep a console from everything else.
    """
    on_progress = _on_progress.get()
    slots = asyncio.Semaphore(MAX_NODES_AT_ONCE)
    done = 0

    async def observe(node: Node) -> Observation:
        nonlocal done
        async with slots:
            observation = await _observe_node(node)
        done += 1
        if on_progress is not None:
            on_progress(done, len(nodes))
        return observation

    return list(await asyncio.gather(*map(observe, nodes)))


def judge_stop(node: PlannedNode, observation: Observation) -> Iterator[Finding]:
    """Yield what forbids to stop the service of a node, where that is planned, and its caveats."""
    if "stop" in node.steps:
        for problem in (*filter(None, [observation.cannot_stop]), *observation.obstacles):
            yield Finding(Severity.ERROR, node.name, problem)
        for caveat in observation.caveats:
            yield Finding(Severity.INFO, node.name, caveat)


def judge_own_health(serving: Sequence[Observation], *, is_repair: bool) -> Iterator[Finding]:
    """Find a health check that fails on every node in rotation: HAProxy says otherwise, so it is wrong."""
    if serving and not any(observation.healthy for observation in serving):
        text = (
            "own health fails on every node that is in rotation; the first node would certainly fail verify"
        )
        severity = Severity.WARNING if is_repair else Severity.ERROR
        yield Finding(severity, fold_names(observation.node.name for observation in serving), text)


class _Measure(Protocol):
    async def __call__(self, *what: str, query: Callable[[], Awaitable[T]]) -> T | None: ...


async def _query_registration(node: Node, measure: _Measure) -> Registered | None:
    if (registration := node.registration) is None:
        return None
    if registration.sync_maintenance:
        await measure(f"maintenance in {registration.name} cannot be set", query=registration.check)
    return await measure(f"{registration.name} cannot be queried", query=registration.query)


def _judge(node: Node, registration: Registration, registered: Registered) -> Iterator[Finding]:
    name = registration.name
    if not registered.exists:
        yield Finding(Severity.WARNING, node.name, f"is not registered in {name} now")
    elif registered.set_by_rollout:
        text = f"is in maintenance in {name} since an earlier rollout; its upgrade ends that"
        yield Finding(Severity.WARNING, node.name, text)
    elif registered.maintenance:
        text = f"is in maintenance in {name} now, and is left there: {registered.maintenance}"
        yield Finding(Severity.INFO, node.name, text)


async def _read_caveats(node: Node) -> tuple[str, ...]:
    """Read the caveats of the service manager; that they cannot be read is one too, and no error."""
    try:
        return await node.service.caveats()
    except BackendError as error:
        return (f"the limits of its service manager cannot be determined: {error.beside(node.name)}",)


async def _observe_node(node: Node) -> Observation:
    findings: list[Finding] = []

    async def measure(*what: str, query: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await query()
        except BackendError as error:
            problem: tuple[str, ...] = (error.beside(node.name),)
            if error.place and error.target == node.name:
                problem = Own(error.place), error.problem.removeprefix(error.place)
            findings.append(Finding.of(Severity.ERROR, node.name, *what, ": ", *problem))
            return None

    await measure("cannot be reached", query=node.host.connect)
    if findings:
        return Observation(node, None, None, False, None, tuple(findings))
    with shared_queries():  # several of these read the same answer of the manager
        state = await measure("service state cannot be read", query=node.service.state)
        port = Own(node.port)
        is_open = await measure("port ", port, " cannot be checked", query=node.port_probe.is_open)
        obstacles = await measure(
            "the rights of its service manager cannot be checked", query=node.service.obstacles
        )
        caveats = await _read_caveats(node)
    if state is not None and state.stopping:
        text = f"its service is being stopped now ({state.detail})"
        findings.append(Finding(Severity.WARNING, node.name, text))
    cannot = cannot_stop(state, is_open) if state is not None and is_open is not None else ""
    installed = await measure("installed version cannot be read", query=node.installer.installed)
    health = await measure("health cannot be checked", query=node.health.check)
    if state is not None and state.self_checked and state.activity is Activity.CHANGING:
        findings.append(Finding(Severity.WARNING, node.name, f"is not healthy now: {state.detail}"))
    if health is not None and not health.ok:
        findings.append(Finding(Severity.WARNING, node.name, f"is not healthy now: {health.detail}"))
    registered = await _query_registration(node, measure)
    if registered is not None and node.registration is not None:
        findings += _judge(node, node.registration, registered)
    return Observation(
        node=node,
        installed=installed,
        # A service that is being stopped has to be started again, whichever version answers.
        running=health.version if health is not None and not (state and state.stopping) else None,
        healthy=health is not None and health.ok,
        registered=registered,
        findings=tuple(findings),
        cannot_stop=cannot,
        obstacles=obstacles or (),
        caveats=caveats,
    )


async def check_availability(
    nodes: Collection[Node], planned: Sequence[PlannedNode], version: str
) -> dict[str, Availability]:
    """Check for the version on all nodes that install it, at most `MAX_CHECKS_PER_HOST` at a time on a host.

    Args:
        nodes: the nodes that could be observed; others are not queried again.
        planned: what is done with each node.
        version: the plan's, for nodes without one of their own.

    Returns:
        The availability by the name of the node.
    """
    node_by_name = {node.name: node for node in nodes}
    slots = _make_slots(nodes)
    checks = {
        row.name: _check(node_by_name[row.name].installer, row.target_version or version, slots)
        for row in planned
        if row.name in node_by_name and _is_installed(row, row.target_version or version)
    }
    return dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))


async def check_ways_back(nodes: Collection[Node], planned: Sequence[PlannedNode]) -> list[Finding]:
    """Check whether the present version of each node could be installed again after another one.

    A rollback installs like an upgrade: it takes the old package, image or release, and an installer that can
    downgrade. Where the target version is not available nothing will be installed, and nothing is checked.

    Args:
        nodes: the nodes that could be observed.
        planned: what is done with each node, and whether its target version is available.
    """
    node_by_name = {node.name: node for node in nodes}
    rows = [row for row in planned if row.name in node_by_name and _has_way_back(row)]
    slots = _make_slots(nodes)
    return [
        finding
        for found in await asyncio.gather(
            *(_judge_way_back(node_by_name[row.name], row, slots) for row in rows)
        )
        for finding in found
    ]


def _make_slots(nodes: Collection[Node]) -> dict[str, asyncio.Semaphore]:
    """Return how many checks may run at a time, by the host on which an installer runs its commands."""
    return {node.installer.host.name: asyncio.Semaphore(MAX_CHECKS_PER_HOST) for node in nodes}


async def _check(installer: Installer, version: str, slots: Mapping[str, asyncio.Semaphore]) -> Availability:
    async with slots[installer.host.name]:
        return await installer.check_availability(version)


def _has_way_back(row: PlannedNode) -> bool:
    found = row.availability
    return row.installed is not None and found is not None and found.presence is not Presence.NOT_THERE


async def _judge_way_back(
    node: Node, row: PlannedNode, slots: Mapping[str, asyncio.Semaphore]
) -> list[Finding]:
    version = row.installed or ""
    try:
        found = await _check_way_back(node, row, slots)
    except ConfigError as error:
        found = Availability(Presence.NOT_THERE, error.problem)
    match found.presence:
        case Presence.NOT_THERE:
            text = f"a rollback to {version} would fail: {_format_availability(found)}"
            return [Finding(Severity.WARNING, node.name, text)]
        case Presence.NOT_KNOWN if found.lacking:
            text = f"a rollback to {version} may fail: {_format_availability(found)}"
            return [Finding(Severity.WARNING, node.name, text)]
        case Presence.NOT_KNOWN:
            text = f"not checked whether a rollback to {version} would work: {_format_availability(found)}"
            return [Finding(Severity.INFO, node.name, text)]
    return []


async def _check_way_back(
    node: Node, row: PlannedNode, slots: Mapping[str, asyncio.Semaphore]
) -> Availability:
    """Return the availability of the target version where it holds for any: Ansible's takes a second."""
    version = row.installed or ""
    if row.availability is None or not row.availability.any_version:
        return await _check(node.installer, version, slots)
    node.installer.install_commands(version)  # raises ConfigError for a version that it does not accept
    return row.availability


def judge_availability(
    found: Mapping[str, Availability], planned: Sequence[PlannedNode], version: str
) -> Iterator[Finding]:
    """Judge the target versions: an unavailable one is an error; that one was not checked is information."""
    wanted = {row.name: row.target_version or version for row in planned}
    for name, availability in found.items():
        match availability.presence:
            case Presence.NOT_THERE:
                text = f"{wanted[name]} is not available: {_describe(availability, wanted[name])}"
                yield Finding(Severity.ERROR, name, text)
            case Presence.NOT_KNOWN:
                detail = _describe(availability, wanted[name])
                text = f"not checked whether {wanted[name]} is available: {detail}"
                yield Finding(Severity.INFO, name, text)


def _is_installed(row: PlannedNode, version: str) -> bool:
    """Return whether the rollout will install the version, and no earlier installer may still do so."""
    return "install" in row.steps and row.installed != version and row.running_command is None


def _describe(availability: Availability, version: str) -> str:
    """Describe what was found, with a suggestion: somebody may have mistyped the version."""
    meant = suggest(version, availability.others).strip()
    return "; ".join(part for part in (_format_availability(availability), meant) if part)


def _format_availability(availability: Availability) -> str:
    shown = availability.others[:MAX_OTHER_VERSIONS]
    more = len(availability.others) - len(shown)
    there = f"; there is {', '.join(shown)}" if shown else ""
    there += f" and {more} more" if more else ""
    return f"{availability.detail}{there}"


def name_failures(plan: Plan, history: FleetHistory) -> Plan:
    """Return the plan with the rollouts in which target versions have failed before, and warnings of that."""
    nodes, findings = [], []
    for node in plan.nodes:
        failure = history.failure(node.name, plan.target_version(node.name)) if node.steps else None
        nodes.append(node if failure is None else replace(node, failed_in=failure.entry))
        if (
            failure is not None and failure.entry != node.unfinished_rollout
        ):  # the plan has a finding about that already
            text = (
                f"{failure.version} failed here at {failure.step} in rollout {failure.entry}: {failure.error}"
            )
            findings.append(Finding(Severity.WARNING, node.name, text))
    return replace(plan, nodes=tuple(nodes), findings=(*plan.findings, *findings))
