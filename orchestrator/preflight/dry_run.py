"""The commands that a rollout would send, and the rules of sudoers(5) that allow them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from backends.errors import BackendError, ConfigError, RolldeckError, UnreadableReply
from backends.hosts.command_host import CommandHost
from backends.hosts.execution import Rehearsed, rehearsing
from backends.hosts.sudo import build_rule
from backends.templates import VERSION_PATTERN
from orchestrator.engine.step_context import DryRunContext, list_step_commands
from orchestrator.node import Node
from orchestrator.planning.plan import PlannedCommand


def list_commands(context: DryRunContext) -> tuple[PlannedCommand, ...]:
    """List the commands of all planned steps, in the order in which they would be sent."""
    return tuple(
        PlannedCommand(step, target, command)
        for step in context.planned.steps
        for target, command in list_step_commands(step, context)
    )


def list_prefetch_commands(versions: Iterable[tuple[Node, str | None]]) -> tuple[PlannedCommand, ...]:
    """List the commands that run on all nodes in parallel before the first one is touched.

    Args:
        versions: each node with its target version; None where nothing is upgraded.
    """
    return tuple(
        PlannedCommand("install", node.host.name, node.host.render(command))
        for node, version in versions
        if version is not None
        for command in node.installer.prefetch_commands(version)
    )


NOT_THERE = "0.0.0.rolldeck"  # a version that does not exist: every command that looks for it is needed
_PID, _START = 2_147_483_647, 2_147_483_646  # of a process that does not exist
_LINES = 2_147_483_645  # of a log
_NUMBER = "[0-9]+"


@dataclass(frozen=True, slots=True)
class NodeRules:
    """The sudo rules that one node needs.

    Attributes:
        node: the name of the node.
        rules: lines of sudoers, in the order in which they are first needed.
        problems: why a rule is missing or wrong.
    """

    node: str
    rules: tuple[str, ...]
    problems: tuple[str, ...]


async def find_sudo_rules(nodes: Sequence[Node], version: str) -> list[NodeRules]:
    """Find the sudo rules that nodes need, on all of them in parallel.

    Args:
        nodes: the nodes of the application; nothing is changed on them.
        version: any version that could be installed; the rules hold for all others too.
    """
    return list(await asyncio.gather(*(_find_node_rules(node, version) for node in nodes)))


async def _find_node_rules(node: Node, version: str) -> NodeRules:
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
        recorded = [rehearsed.command for rehearsed in sent]
        sent += [rehearsed for rehearsed in _find_unsent(node, version) if rehearsed.command not in recorded]
        sent += await _find_log_commands(node)
    patterns = {
        version: VERSION_PATTERN,
        NOT_THERE: VERSION_PATTERN,
        str(_PID): _NUMBER,
        str(_LINES): _NUMBER,
        str(_START): _NUMBER,
    }
    rules: dict[str, None] = {}
    problems: dict[str, None] = {}
    async for found in _make_rules(host, user, sent, patterns):
        if isinstance(found, UnreadableReply):
            problems[found.problem] = None
        else:
            rules[found] = None
    return NodeRules(node.name, tuple(rules), tuple(problems))


async def _make_rules(
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
            yield build_rule(user, call, path, patterns)
        except ValueError as error:
            yield UnreadableReply(host.name, f"{host.render(rehearsed.command)}: {error}")
        except UnreadableReply as error:
            yield UnreadableReply(host.name, f"{host.render(rehearsed.command)}: {error.problem}")
        except BackendError as error:
            yield UnreadableReply(host.name, error.beside(host.name))


async def _rehearse(node: Node, version: str) -> None:
    """Call everything that a rollout may; commands are recorded, also those that are refused."""
    service, installer = node.service, node.installer
    queries: list[Callable[[], Awaitable[object]]] = [
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
        queries.append(node.connections.count)
    changes: list[Callable[[], Awaitable[object]]] = [
        service.stop,
        service.start,
        lambda: installer.prefetch(version),
        lambda: installer.install(version),
    ]
    if (registration := node.registration) is not None:
        queries += [registration.check, registration.query]
    for call in (*queries, *changes):
        with suppress(RolldeckError):
            await call()


async def _find_log_commands(node: Node) -> list[Rehearsed]:
    """Return the commands that show an operator the service's log."""
    found = []
    for follow in (False, True):
        with suppress(RolldeckError):
            source = await node.service.log_source(_LINES, follow=follow)
            async with node.host.stream(source.command):
                pass  # in a rehearsal this only notes what would be sent
            found += [Rehearsed(node.host, part, track=False) for part in source.parts]
    return found


def _find_unsent(node: Node, version: str) -> Iterator[Rehearsed]:
    """Yield the commands that are not sent when a query before them is refused or finds nothing."""
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
