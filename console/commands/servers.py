"""`rolldeck drain | maint | ready | weight`: manual changes, with the guard and read-back of a rollout."""

import asyncio
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from backends.errors import BackendError, RolldeckError
from backends.model import Server
from backends.name_ranges import fold_names
from backends.text import counted, format_duration, there_is
from console.completion import complete_applications, complete_nodes
from console.config.config_file import find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.run_plan import break_lock_option, reason_option
from console.sessions import open_session, stop_on_signals
from console.terminal import rollout_text
from console.terminal.output import clean, on_terminal, paint, result, result_json, say, table
from console.terminal.progress import Prompts
from console.terminal.status import server_fields
from orchestrator.balancers.admin_state import inherits_only
from orchestrator.balancers.group import find_servers
from orchestrator.engine import manual_change
from orchestrator.engine.manual_change import Action, Change, Impact
from orchestrator.engine.plan_differences import Difference
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.text import describe_remaining_time, format_health
from orchestrator.planning.application import Application
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.session.proposal import make_manual_change, require_reason
from orchestrator.session.session import Session

F = TypeVar("F", bound=Callable[..., Any])


def node_arguments(command: F) -> F:
    """Add the arguments and options that all four commands share."""
    options: tuple[Callable[[Any], Any], ...] = (
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object for each server afterwards."
        ),
        click.option("--yes", is_flag=True, help="Apply without asking."),
        break_lock_option,
        reason_option,
        click.argument("node", nargs=-1, required=True, shell_complete=complete_nodes),
        click.argument("app", shell_complete=complete_applications),
        click.pass_obj,
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), options, command)


def override_option(command: F) -> F:
    """Add `--override`, for commands that may take a node out of rotation."""
    text = "Override the capacity floor for this node (repeatable)."
    return click.option(
        "--override", multiple=True, metavar="NODE", shell_complete=complete_nodes, help=text
    )(command)


@click.command()
@node_arguments
@override_option
def drain(config_file: str | None, app: str, node: tuple[str, ...], **given: Any) -> int:
    """Take nodes out of rotation on every load balancer; existing sessions continue."""
    return _run(config_file, _Request(app, "drain", node, **given))


@click.command()
@node_arguments
@override_option
def maint(config_file: str | None, app: str, node: tuple[str, ...], **given: Any) -> int:
    """Put nodes into maintenance on every load balancer, at once. To let sessions end, drain first."""
    return _run(config_file, _Request(app, "maint", node, **given))


@click.command()
@node_arguments
def ready(config_file: str | None, app: str, node: tuple[str, ...], **given: Any) -> int:
    """Put nodes back in rotation, once their own health check and HAProxy's have passed.

    A node that does not become healthy in time is left in maintenance.
    """
    return _run(config_file, _Request(app, "ready", node, **given))


@click.command()
@node_arguments
@override_option
@click.option(
    "--to",
    "weight",
    type=click.IntRange(0, 256),
    required=True,
    metavar="WEIGHT",
    help="New weight, 0 to 256.",
)
def weight(config_file: str | None, app: str, node: tuple[str, ...], **given: Any) -> int:
    """Set the weight of nodes on every load balancer; 0 takes them out of rotation."""
    return _run(config_file, _Request(app, "weight", node, **given))


@dataclass(frozen=True, slots=True)
class _Request:
    """The arguments and options of the command line."""

    app: str
    action: Action
    nodes: Sequence[str]
    yes: bool
    as_json: bool
    break_lock: bool
    reason: str
    override: Sequence[str] = ()
    weight: int = 0


def _run(config_file: str | None, request: _Request) -> int:
    if not request.yes and not on_terminal(sys.stdin):
        raise click.UsageError("there is no terminal to ask on: add --yes")
    return interrupts.run(_change(config_file, request))


async def _change(config_file: str | None, request: _Request) -> int:
    async with open_session(find_and_load(config_file), request.app) as session, stop_on_signals(session):
        require_reason(session.application, request.reason)
        application = await session.load_all_nodes()
        change = _build_change(application, request)
        impact = await manual_change.read_impact(application, change, session.work_log.original_weights())
        for line in _impact_lines(change, impact):
            say(line)
        if impact.broken and not set(impact.nodes) <= change.override:
            raise CapacityViolation(impact.broken)
        if not request.yes and not await _confirm(session, change):
            say("no changes made")
            return ExitCode.ABORTED
        after = await _carry_out(session, request, change, impact)
        if request.as_json:
            for server in after:
                result_json(server_fields(request.app, server))
        else:
            for line in _server_lines(after):
                result(line)
        return ExitCode.HEALTHY


def _build_change(application: Application, request: _Request) -> Change:
    chosen = manual_change.find_nodes(application, request.nodes)
    for name in request.override:
        if name not in request.nodes:
            others = there_is(name, request.nodes)
            raise click.UsageError(f"--override {name}: not among the nodes; {others}")
    return Change(request.action, chosen, request.weight, frozenset(request.override), request.reason)


async def _carry_out(session: Session, request: _Request, change: Change, impact: Impact) -> Sequence[Server]:
    """Make the change and return the servers afterwards; if it fails halfway, report the current state."""

    async def agree(now: Impact, differences: Sequence[Difference]) -> Change | None:
        for line in rollout_text.difference_lines(differences):
            say(line)
        if request.yes or await _confirm(session, change):
            return change  # the floor is checked once more when the change is made
        return None

    session.bus.subscribe(_show_event)
    try:
        return await make_manual_change(session, change, impact, agree, break_lock=request.break_lock)
    except (RolldeckError, asyncio.CancelledError):
        await _report_current_state(session, impact)
        raise


async def _confirm(session: Session, change: Change) -> bool:
    prompts = Prompts(session.control)
    try:
        return await prompts.confirm(f"{change.action} {fold_names(node.name for node in change.nodes)}?")
    finally:
        prompts.close()


async def _report_current_state(session: Session, impact: Impact) -> None:
    """Print what each load balancer reads now, and the command that puts the nodes back."""
    refs = {server.ref for server in impact.servers}
    balancer_group = session.application.balancer_group
    found: list[Server] = []
    carried: list[Server] = []
    for name in sorted({ref.instance for ref in refs}):
        backends = () if impact.followers else balancer_group.backends
        try:
            snapshot = await balancer_group.balancers[name].snapshot(backends)
        except BackendError as error:
            say(f"{paint('unknown', 'bad')}: {clean(str(error))}")
            continue
        found += find_servers(refs, [snapshot]).values()
        carried += find_servers(impact.followers, [snapshot]).values()
    for line in _server_lines([*found, *carried]) if found else ():
        say(line)
    for server in carried:
        if inherits_only(server):
            say(f"{clean(str(server.ref))} is out because it follows {clean(server.track_target)}")
    if len(found) < len(refs) or not all(server.in_rotation for server in found):
        names = " ".join(impact.nodes)
        say(f"to put it in rotation: rolldeck ready {session.application.name} {names}")


def _impact_lines(change: Change, impact: Impact) -> Iterator[str]:
    """Yield what the change would do, before anything is sent."""
    value = f" {change.weight}" if change.action == "weight" else ""
    yield f"{change.action}{value}: {fold_names(impact.nodes)} · {counted(impact.sessions, 'session')} now"
    if impact.registries:
        yield f"  {'back' if change.action == 'ready' else 'out'} in {', '.join(impact.registries)} too"
    for servers in impact.carried:
        yield f"  {paint('!', 'warn')} also affects {clean(servers)}"
    for capacity in impact.capacities:
        yield f"  {paint(clean(str(capacity)), 'info' if capacity.allowed else 'bad')}"


def _show_event(record: Record) -> None:
    match record.event:
        case events.Waiting(node=name, words=words, remaining_s=left_s, baking=baking):
            left = describe_remaining_time(format_duration(left_s), baking=baking)
            say(f"{paint('◐', 'working')} {name}: {clean(words)} ({left})")
        case events.NodeNote(node=name, text=text):
            say(f"{paint('!', 'warn')} {name}: {clean(text)}")


def _server_lines(servers: Sequence[Server]) -> Iterator[str]:
    rows = [
        (
            server.ref.server,
            server.ref.backend,
            server.ref.instance,
            server.admin_state,
            format_health(server),
            str(server.weight),
        )
        for server in servers
    ]
    yield from table(("SERVER", "BACKEND", "ON", "ADMIN", "HEALTH", "WEIGHT"), rows, right=("WEIGHT",))
