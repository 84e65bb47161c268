"""Options and code that are shared by the commands that plan or run a rollout, or change servers."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, TypeVar

import click

from backends.templates import check_version
from console.completion import complete_nodes
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.option_values import parse_with
from console.sessions import open_session, stop_on_signals
from console.terminal import rollout_text
from console.terminal.output import clean, on_terminal, result, result_json, say
from console.terminal.progress import Progress, Prompts
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from orchestrator.engine.plan_differences import Difference
from orchestrator.events.events import Record, RollbackStarted, RolloutEnded
from orchestrator.events.json import event_fields
from orchestrator.planning.application import Amount, Policy
from orchestrator.planning.findings import PreflightFailed
from orchestrator.planning.plan import Plan, failed_versions_text
from orchestrator.session.proposal import Proposal, agree_within_request, parse_reason, require_reason
from orchestrator.session.session import Session
from orchestrator.session.takeover import add_published_finding, break_lock_first

EVENTS_JSON_HELP = "Print every event as one line of JSON."

F = TypeVar("F", bound=Callable[..., Any])


def parse_sizes(_: click.Context, __: click.Parameter, value: str | None) -> Amount | list[Amount] | None:
    """Parse `--serial`: "2", "30%", or a list such as "1,25%,100%"."""
    if value is None:
        return None
    parts: list[Amount] = [part.strip() for part in value.split(",")]
    try:
        Policy(serial=parts)
    except ValueError as error:
        raise click.BadParameter(str(error).removeprefix("serial: ")) from None
    return parts[0] if len(parts) == 1 else parts


def scope_options(command: F) -> F:
    """Add the options that limit a command to a part of the application."""
    for option in (
        click.option(
            "--force-ready",
            "ready",
            multiple=True,
            metavar="NODE",
            shell_complete=complete_nodes,
            help="Put this node in rotation although it is out now.",
        ),
        click.option(
            "--limit",
            shell_complete=complete_nodes,
            multiple=True,
            metavar="PATTERN",
            help="Only these nodes, such as web1 or 'web[12]' (repeatable).",
        ),
        click.option(
            "--serial", callback=parse_sizes, metavar="SIZES", help="Batch sizes: 2, 30% or 1,25%,100%."
        ),
    ):
        command = option(command)
    return command


def break_lock_option(command: F) -> F:
    """Add `--break-lock`, for every command that changes something."""
    text = "Break the current lock (recorded)."
    return click.option("--break-lock", is_flag=True, help=text)(command)


def reason_option(command: F) -> F:
    """Add `--reason`, for every command that changes something."""
    return click.option(
        "--reason",
        default="",
        metavar="TEXT",
        callback=parse_with(parse_reason),
        help="Why, for the journal and for others, such as a ticket.",
    )(command)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of the command line for running a plan.

    Attributes:
        yes: start without asking.
        terminal: there is a terminal to ask on.
        as_json: print every event to standard output.
        break_lock: break the lock of another holder.
        reason: why, in the operator's words.
    """

    yes: bool
    terminal: bool
    as_json: bool
    break_lock: bool = False
    reason: str = ""


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of commands that repair, which they are given as `options`."""

    @click.option("--yes", is_flag=True, help="Start without asking.")
    @break_lock_option
    @reason_option
    @click.option("--json", "as_json", is_flag=True, help=EVENTS_JSON_HELP)
    @wraps(command)
    def with_options(
        *args: Any, yes: bool, as_json: bool, break_lock: bool, reason: str, **given: Any
    ) -> int:
        return command(
            *args, options=RunOptions(yes, on_terminal(sys.stdin), as_json, break_lock, reason), **given
        )

    return with_options


async def run_plan(session: Session, proposal: Proposal, options: RunOptions) -> RolloutEnded | None:
    """Show the plan, ask, run it, and print the result.

    Returns:
        The result, including that of a rollback that followed; None when the answer was no.
    """
    plan = proposal.plan
    for line in rollout_text.finding_lines(plan.findings):
        say(line)
    if plan.errors:
        raise PreflightFailed(plan.errors)
    for line in rollout_text.plan_lines(plan):
        say(line)
    prompts = Prompts(session.control)
    if plan.batches and not options.yes and not await prompts.confirm(_question_text(plan)):
        say("no changes made")
        return None
    session.control.interactive = options.terminal and not options.yes
    _show_events(session, prompts, options)
    try:
        agree = partial(_agree, prompts, options)
        proposal = replace(proposal, reason=options.reason)
        ended = await session.run(proposal, break_lock=options.break_lock, agree=agree)
    finally:
        prompts.close()
    for line in ending_lines(ended, session.state.verdict):
        # Beside JSON, too: its reader may be gone, and what is out of rotation must be reported.
        (say if options.as_json else result)(line)
    if session.defect is not None:
        raise session.defect
    return ended


def _question_text(plan: Plan, usual: str = "Go on?") -> str:
    """Return the question before the start; it names a version that has failed before."""
    failed = failed_versions_text(plan)
    return f"{clean(failed)}. Start anyway?" if failed else usual


async def make_plan(
    config: Config,
    app: str,
    version: str | None,
    serial: Amount | list[Amount] | None,
    limit: tuple[str, ...],
    ready: tuple[str, ...],
) -> Plan:
    """Open a session and make the plan. Raises ConfigError."""
    if version is not None:
        check_version(version)
    changes: dict[str, object] = {} if serial is None else {"serial": serial}
    async with open_session(config, app) as session:
        plan = await session.plan(version, limit=limit, force_ready=ready, changes=changes)
        return await add_published_finding(session, plan)


async def _agree(prompts: Prompts, options: RunOptions, now: Plan, differences: Sequence[Difference]) -> bool:
    """Return whether a plan that has changed since it was confirmed may be run."""
    for line in rollout_text.difference_lines(differences):
        say(line)
    if options.yes:
        return await agree_within_request(now, differences)
    for line in rollout_text.plan_lines(now):
        say(line)
    return await prompts.confirm(_question_text(now, "Start this plan?"))


def _show_events(session: Session, prompts: Prompts, options: RunOptions) -> None:
    """Show events from now on, and ask what has to be decided."""
    progress = Progress(session.state)

    def read(record: Record) -> None:
        if options.as_json:
            result_json(event_fields(record))
        progress(record)
        if isinstance(record.event, RollbackStarted):
            prompts.control = session.control

    session.bus.subscribe(read)
    if options.terminal:
        session.bus.subscribe(prompts)


def run_recovery(
    config_file: str | None,
    app: str | None,
    plan: Callable[[Session], Awaitable[Proposal | None]],
    options: RunOptions,
    *,
    trusted: bool = False,
) -> int:
    """Run what `plan` proposes after an unfinished rollout, and return the exit code."""
    if not options.terminal and not options.yes:
        raise click.UsageError("there is no terminal to ask on: add --yes")
    config = find_and_load(config_file)
    name = app or _only_application(config)

    async def go() -> int:
        async with open_session(config, name) as session, stop_on_signals(session):
            require_reason(session.application, options.reason)
            await session.work_log.ensure_unlocked(options.break_lock)
            async with break_lock_first(session, "recovery", break_lock=options.break_lock, trusted=trusted):
                proposal = await plan(session)
                if proposal is None:
                    return ExitCode.HEALTHY
                ended = await run_plan(session, proposal, options)
            return EXIT_CODES[ended.result] if ended else ExitCode.ABORTED

    return interrupts.run(go())


def _only_application(config: Config) -> str:
    if len(config.apps) > 1:
        raise click.UsageError(f"APP is missing; expected one of: {', '.join(config.apps)}")
    return next(iter(config.apps))
