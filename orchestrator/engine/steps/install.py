"""Make sure that the target version is on disk."""

import asyncio
from collections.abc import Callable, Sequence

from backends.errors import Refused, RolldeckError
from backends.protocols import Host
from orchestrator.engine.step_context import Command, DryRunContext, StepContext
from orchestrator.errors import StepFailed
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import CommandStarted
from orchestrator.node import Node


async def install(context: StepContext) -> str | None:
    """Read the version, install the target version if it is another one, and read it again: only that counts.

    Returns:
        What was done; None when the version was installed already.

    Raises:
        StepFailed: the installer failed, or another version is there after it.
    """
    installer, wanted = context.node.installer, context.wanted
    if wanted is None:
        return None
    found = await installer.installed()
    if found == wanted:
        return None
    try:
        lost = await context.start_action(
            lambda: installer.install(wanted), timeout=context.policy.install_timeout, what="install"
        )
    except Refused as refused:
        raise StepFailed(refused.beside_step(context.node.name)) from refused
    if lost is not None:
        if lost.pid is None:
            raise StepFailed(f"{lost.problem}; whether the installer is still running cannot be checked")
        # It may be in the middle: the right version on disk proves nothing yet.
        await _until_gone(context, installer.host, lost.pid, lost.started, "the installer")
    now = await installer.installed()
    if now != wanted:
        raise StepFailed(f"after the install the version is {now or 'none'}, expected {wanted}")
    return f"{found or 'nothing'} → {wanted}"


def install_commands(context: DryRunContext) -> list[Command]:
    """List what an installation would send; nothing where the version is installed already."""
    if context.planned.installed == context.version:
        return []
    host = context.node.host
    commands = context.node.installer.install_commands(context.version)
    return [(host.name, host.render(command)) for command in commands]


async def prefetch(nodes: Sequence[Node], version_of: Callable[[str], str], bus: EventBus) -> bool:
    """Fetch the package on all nodes in parallel, where their installers can do that in advance.

    Returns:
        Whether there was anything to fetch.

    Raises:
        StepFailed: it failed on a node; the others were waited for.
    """

    async def fetch(node: Node) -> None:
        with bus.commands_of(node.name, "prefetch"):
            await node.installer.prefetch(version_of(node.name))

    fetching = [node for node in nodes if node.installer.prefetch_commands(version_of(node.name))]
    results = await asyncio.gather(*map(fetch, fetching), return_exceptions=True)
    for node, result in zip(fetching, results, strict=True):
        if isinstance(result, RolldeckError):
            problem = result.beside(node.name)
            if isinstance(result, Refused):
                problem = result.beside_step(node.name)
            raise StepFailed(f"prefetch failed on {node.name}, no node was touched: {problem}") from result
        if isinstance(result, BaseException):
            raise result
    return bool(fetching)


async def await_end(context: StepContext, command: CommandStarted) -> None:
    """Wait for a command of an earlier rollout that may still run: nothing is done beside it.

    Raises:
        StepFailed: it did not end in time.
    """
    host = context.node.installer.host
    if host.name != command.target:
        host = context.node.host
    what = f"the {command.step} command of an earlier rollout"
    await _until_gone(context, host, command.pid, command.started, what)


async def _until_gone(context: StepContext, host: Host, pid: int, started: int, what: str) -> None:
    async def gone() -> str | None:
        if await host.alive(pid, started):
            return f"{what} is still running on {host.name}, pid {pid}"
        return None

    await context.wait_for(gone, timeout=context.policy.install_timeout, what="its end")
