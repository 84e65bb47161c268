"""What preflight sees on the nodes: reachable, service, port, version on disk, version that runs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from backends.errors import BackendError
from backends.hosts.execution import shared_queries
from backends.model import Activity, Registered
from backends.protocols import Registration
from orchestrator.engine.steps.reachability import cannot_stop
from orchestrator.node import Node
from orchestrator.planning.plan import Finding, PlannedNode, Severity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Observation:
    """One node as it was found. An error finding means that it could not be measured."""

    node: Node
    installed: str | None
    running: str | None
    healthy: bool
    registered: Registered | None
    findings: tuple[Finding, ...]
    cannot_stop: str = ""  # why its manager would not stop it
    obstacles: tuple[str, ...] = ()  # why its manager could not stop or start it, by what it may do
    caveats: tuple[str, ...] = ()  # what its manager cannot know or do


async def observe_nodes(nodes: Sequence[Node]) -> list[Observation]:
    """Look at all nodes side by side; what cannot be measured becomes an error finding, not a guess."""
    return list(await asyncio.gather(*(_observe_node(node) for node in nodes)))


def judge_stop(node: PlannedNode, seen: Observation) -> Iterator[Finding]:
    """What forbids to stop its service, where that is planned, and what there is to know before."""
    if "stop" in node.steps:
        for problem in (*filter(None, [seen.cannot_stop]), *seen.obstacles):
            yield Finding(Severity.ERROR, node.name, problem)
        for caveat in seen.caveats:
            yield Finding(Severity.INFO, node.name, caveat)


def judge_own_health(serving: Sequence[Observation], *, is_repair: bool) -> Iterator[Finding]:
    """Find an own health check that no node in rotation passes: HAProxy finds them healthy, it is wrong."""
    if serving and not any(seen.healthy for seen in serving):
        text = (
            "own health fails on every node that is in rotation; the first node would certainly fail verify"
        )
        severity = Severity.WARNING if is_repair else Severity.ERROR
        yield Finding(severity, ", ".join(seen.node.name for seen in serving), text)


class _Measure(Protocol):
    async def __call__(self, what: str, look: Callable[[], Awaitable[T]]) -> T | None: ...


async def _registered(node: Node, measure: _Measure) -> Registered | None:
    if (registration := node.registration) is None:
        return None
    if registration.sync_maintenance:
        await measure(f"maintenance in {registration.name} cannot be set", registration.check)
    return await measure(f"{registration.name} cannot be queried", registration.query)


def _judge(node: Node, registration: Registration, seen: Registered) -> Iterator[Finding]:
    place = registration.name
    if not seen.exists:
        yield Finding(Severity.WARNING, node.name, f"{place} does not have it now")
    elif seen.set_by_rollout:
        text = f"is in maintenance in {place} since an earlier rollout; its upgrade ends that"
        yield Finding(Severity.WARNING, node.name, text)
    elif seen.maintenance:
        text = f"is in maintenance in {place} now, and is left there: {seen.maintenance}"
        yield Finding(Severity.INFO, node.name, text)


async def _caveats(node: Node) -> tuple[str, ...]:
    """That they cannot be known is one, and keeps nothing from going on either."""
    try:
        return await node.service.caveats()
    except BackendError as error:
        return (f"the limits of its service manager cannot be determined: {error.beside(node.name)}",)


async def _observe_node(node: Node) -> Observation:
    findings: list[Finding] = []

    async def measure(what: str, look: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await look()
        except BackendError as error:
            findings.append(Finding(Severity.ERROR, node.name, f"{what}: {error.beside(node.name)}"))
            return None

    await measure("cannot be reached", node.host.connect)
    if findings:
        return Observation(node, None, None, False, None, tuple(findings))
    with shared_queries():  # each answer of the manager is read for several of these
        state = await measure("service state cannot be read", node.service.state)
        is_open = await measure(f"port {node.port} cannot be checked", node.port_probe.is_open)
        obstacles = await measure(
            "the rights of its service manager cannot be checked", node.service.obstacles
        )
        caveats = await _caveats(node)
    if state is not None and state.stopping:
        text = f"its service is being stopped now ({state.detail})"
        findings.append(Finding(Severity.WARNING, node.name, text))
    cannot = cannot_stop(state, is_open) if state is not None and is_open is not None else ""
    installed = await measure("installed version cannot be read", node.installer.installed)
    health = await measure("health cannot be checked", node.health.check)
    if state is not None and state.self_checked and state.activity is Activity.CHANGING:
        findings.append(Finding(Severity.WARNING, node.name, f"is not healthy now: {state.detail}"))
    if health is not None and not health.ok:
        findings.append(Finding(Severity.WARNING, node.name, f"is not healthy now: {health.detail}"))
    registered = await _registered(node, measure)
    if registered is not None and node.registration is not None:
        findings += _judge(node, node.registration, registered)
    return Observation(
        node=node,
        installed=installed,
        # What is being stopped has to be started again, whichever version answers.
        running=health.version if health is not None and not (state and state.stopping) else None,
        healthy=health is not None and health.ok,
        registered=registered,
        findings=tuple(findings),
        cannot_stop=cannot,
        obstacles=obstacles or (),
        caveats=caveats,
    )
