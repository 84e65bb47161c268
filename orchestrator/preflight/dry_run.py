"""Every command that a rollout would send, and the rules of sudoers(5) that let it. Pure."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from backends.errors import BackendError, ConfigError, RolldeckError, UnreadableReply
from backends.hosts.command_host import CommandHost
from backends.hosts.execution import Rehearsed, rehearsing
from backends.hosts.sudo import rule
from backends.templates import VERSION_PATTERN
from orchestrator.engine.step_context import DryRunContext, step_commands
from orchestrator.node import Node
from orchestrator.planning.plan import PlannedCommand


def commands_for(context: DryRunContext) -> tuple[PlannedCommand, ...]:
    """The commands of all planned steps, in the order in which they would be sent."""
    return tuple(
        PlannedCommand(step, target, command)
        for step in context.planned.steps
        for target, command in step_commands(step, context)
    )


def prefetch_for(versions: Iterable[tuple[Node, str | None]]) -> tuple[PlannedCommand, ...]:
    """The commands that run on all nodes in parallel before the first one is touched.

    Args:
        versions: each node with the version that it is to have; None where nothing is to be upgraded.
    """
    return tuple(
        PlannedCommand("install", node.host.name, node.host.render(command))
        for node, version in versions
        if version is not None
        for command in node.installer.prefetch_commands(version)
    )


NOT_THERE = "0.0.0.rolldeck"  # a version that nobody has: looking for it goes all the way
_PID, _START = 2_147_483_647, 2_147_483_646  # of a process that there is not
_NUMBER = "[0-9]+"


@dataclass(frozen=True, slots=True)
class NodeRules:
    """What one node needs.

    Attributes:
        rules: lines of sudoers, in the order in which they are needed first.
        problems: why a rule is missing or wrong, in words.
    """

    node: str
    rules: tuple[str, ...]
    problems: tuple[str, ...]


async def sudo_rules(nodes: Sequence[Node], version: str) -> list[NodeRules]:
    """The sudo rules that nodes need, asked of all of them side by side.

    Args:
        nodes: of the application; each is looked at, and nothing is changed.
        version: any that could be installed; the rules hold for all others, too.
    """
    return list(await asyncio.gather(*(_of_node(node, version) for node in nodes)))


async def _of_node(node: Node, version: str) -> NodeRules:
    host = node.host
    if not isinstance(host, CommandHost):
        return NodeRules(node.name, (), ("its host runs no commands",))
    try:
        await host.connect()
        user = await host.login_name()
    except BackendError as error:
        return NodeRules(node.name, (), (f"cannot be queried: {error.beside(node.name)}",))
    with rehearsing() as sent:
        await _rehearse(node, version)
        noted = [rehearsed.command for rehearsed in sent]
        sent += [rehearsed for rehearsed in _built(node, version) if rehearsed.command not in noted]
    patterns = {
        version: VERSION_PATTERN,
        NOT_THERE: VERSION_PATTERN,
        str(_PID): _NUMBER,
        str(_START): _NUMBER,
    }
    rules: dict[str, None] = {}
    problems: dict[str, None] = {}
    async for found in _rules(host, user, sent, patterns):
        if isinstance(found, UnreadableReply):
            problems[found.problem] = None
        else:
            rules[found] = None
    return NodeRules(node.name, tuple(rules), tuple(problems))


async def _rules(
    host: CommandHost, user: str, sent: Iterable[Rehearsed], patterns: dict[str, str]
) -> AsyncIterator[str | UnreadableReply]:
    for rehearsed in sent:
        if rehearsed.host is not host:
            continue  # on the console's own machine
        try:
            call = host.sudo_call(rehearsed.command, track=rehearsed.track)
            if call is None:
                continue
            path = call.program if call.program.startswith("/") else await host.find_program(call.program)
            if not path:
                raise UnreadableReply(host.name, f"sudo is asked to run {call.program}, which is not there")
            yield rule(user, call, path, patterns)
        except ValueError as error:
            yield UnreadableReply(host.name, f"{host.render(rehearsed.command)}: {error}")
        except UnreadableReply as error:
            yield UnreadableReply(host.name, f"{host.render(rehearsed.command)}: {error.problem}")
        except BackendError as error:
            yield UnreadableReply(host.name, error.beside(host.name))


async def _rehearse(node: Node, version: str) -> None:
    """Everything that a rollout may ask of a node; what is refused has been noted all the same."""
    service, installer = node.service, node.installer
    looks: list[Callable[[], Awaitable[object]]] = [
        service.state,
        service.obstacles,
        service.caveats,
        service.last_lines,
        node.port_probe.is_open,
        node.health.check,
        installer.installed,
        lambda: installer.check_availability(version),
        lambda: installer.check_availability(NOT_THERE),
        lambda: node.host.alive(_PID, _START),
    ]
    if node.connections is not None:
        looks.append(node.connections.count)
    changes: list[Callable[[], Awaitable[object]]] = [
        service.stop,
        service.start,
        lambda: installer.prefetch(version),
        lambda: installer.install(version),
    ]
    if (registration := node.registration) is not None:
        looks += [registration.check, registration.query]
    for call in (*looks, *changes):
        with suppress(RolldeckError):
            await call()


def _built(node: Node, version: str) -> Iterator[Rehearsed]:
    """What follows a look that was refused, or that found nothing, was not sent."""
    registration, installer = node.registration, node.installer
    untracked = [node.service.stop_command(), node.service.start_command()]
    if registration is not None:
        untracked += filter(None, [registration.enable_command(), registration.disable_command()])
    yield from (Rehearsed(node.host, command, track=False) for command in untracked)
    with suppress(ConfigError):
        for command in (
            *installer.prefetch_commands(version),
            *installer.install_commands(version),
            *installer.undo_commands(version),
        ):
            yield Rehearsed(installer.host, command, track=True)
