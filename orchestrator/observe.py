"""What preflight sees on the nodes: reachable, service, port, version on disk, version that runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from backends.errors import BackendError
from orchestrator.node import Node
from orchestrator.plan import Finding, Severity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Observation:
    """One node as it was found. An error finding means that it could not be measured."""

    node: Node
    installed: str | None
    running: str | None
    healthy: bool
    findings: tuple[Finding, ...]


async def observe(nodes: Sequence[Node]) -> list[Observation]:
    """Look at all nodes side by side; what cannot be measured becomes an error finding, not a guess."""
    return list(await asyncio.gather(*(_observe(each) for each in nodes)))


async def _observe(node: Node) -> Observation:
    findings: list[Finding] = []

    async def measure(what: str, look: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await look()
        except BackendError as error:
            findings.append(Finding(Severity.ERROR, node.name, f"{what}: {error}"))
            return None

    await measure("cannot be reached", node.host.connect)
    if findings:
        return Observation(node, None, None, False, tuple(findings))
    await measure("service state cannot be read", node.service.state)
    await measure(f"port {node.port} cannot be seen", node.port_probe.is_open)
    installed = await measure("installed version cannot be read", node.installer.installed)
    health = await measure("health cannot be checked", node.health.look)
    if health is not None and not health.ok:
        findings.append(Finding(Severity.WARNING, node.name, f"is not healthy now: {health.detail}"))
    return Observation(
        node=node,
        installed=installed,
        running=health.version if health is not None else None,
        healthy=health is not None and health.ok,
        findings=tuple(findings),
    )
