"""`rolldeck upgrade`: the rollout without a console, with the same controls."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from backends.templates import check_version
from console.commands.plan import scope
from console.commands.servers import break_lock
from console.config.loader import find_and_load
from console.exit_codes import Exit
from console.interrupts import interrupts
from console.sessions import open_session
from console.signals import stop_on_signals
from console.terminal import plan_text
from console.terminal.output import clean, on_terminal, result, result_json, say
from console.terminal.progress import Progress
from console.terminal.prompts import Prompts
from console.terminal.summary import EXITS, ending_lines
from orchestrator.engine.plan_differences import Difference
from orchestrator.events.events import Record, RollbackStarted, RolloutEnded
from orchestrator.events.json import event_fields
from orchestrator.planning.plan import Plan, PreflightFailed, Severity
from orchestrator.planning.policy import Amount
from orchestrator.planning.text import failed_versions_text
from orchestrator.session.adoption import broken_first
from orchestrator.session.proposal import Proposal, agree_within_request
from orchestrator.session.session import Session


@dataclass(frozen=True, slots=True)
class _Options:
    """Of the command line, as they are described there."""

    serial: Amount | list[Amount] | None
    limit: tuple[str, ...]
    ready: tuple[str, ...]
    confirm: str | None
    override_freeze: bool
    yes: bool
    break_lock: bool
    as_json: bool

    def changes(self) -> dict[str, object]:
        """Of the policy: what was given of it."""
        given = {"serial": self.serial, "confirm": self.confirm}
        return {name: value for name, value in given.items() if value is not None}


@click.command()
@click.argument("app")
@click.argument("version")
@scope
@click.option(
    "--confirm",
    type=click.Choice(["node", "batch", "step", "none"]),
    help="Ask for confirmation before each node, batch or step.",
)
@click.option("--override-freeze", is_flag=True, help="Start despite an active freeze window (recorded).")
@click.option("--yes", is_flag=True, help="Start without asking.")
@break_lock
@click.option("--json", "as_json", is_flag=True, help="Every event as one line of JSON on standard output.")
@click.pass_obj
def upgrade(config_file: str | None, /, app: str, version: str, **given: Any) -> int:
    """Take APP to VERSION, batch by batch, and stop at the first thing that is wrong.

    Ctrl-C stops after the running step, a second Ctrl-C at once. In either case, nodes that are out of
    rotation are listed with the commands that put them back.
    """
    check_version(version)
    options = _Options(**given)
    terminal = on_terminal(sys.stdin)
    if not terminal and not options.yes:
        raise click.UsageError("there is no terminal to ask on: add --yes")
    config = find_and_load(config_file)
    if not terminal and (options.confirm or config.app(app).rollout.confirm) != "none":
        raise click.UsageError("there is no terminal to confirm on: use --confirm none")

    async def go() -> int:
        async with open_session(config, app) as session, stop_on_signals(session):
            await session.work_log.ensure_unlocked(options.break_lock)
            freeze = Severity.WARNING if options.override_freeze else Severity.ERROR
            how = How(
                yes=options.yes, terminal=terminal, as_json=options.as_json, break_lock=options.break_lock
            )
            what = f"upgrade to {version}"
            async with broken_first(session, what, break_lock=options.break_lock, trusted=False):
                proposal = await session.propose(
                    version,
                    limit=options.limit,
                    to_ready=options.ready,
                    changes=options.changes(),
                    freeze=freeze,
                    break_lock=options.break_lock,
                )
                ended = await carry_out(session, proposal, how)
            return EXITS[ended.result] if ended else Exit.ABORTED

    return interrupts.run(go())


@dataclass(frozen=True, slots=True)
class How:
    """What the command line says of carrying out a plan.

    Attributes:
        yes: without asking.
        terminal: there is one to ask on.
        as_json: every event on standard output.
        break_lock: take the lock from whoever has it.
    """

    yes: bool
    terminal: bool
    as_json: bool
    break_lock: bool = False


async def carry_out(session: Session, proposal: Proposal, how: How) -> RolloutEnded | None:
    """Show the plan, ask, run it, and say how it ended.

    Returns:
        How it ended, together with the rollback that followed if one did; None when the answer was no.
    """
    plan = proposal.plan
    for line in plan_text.finding_lines(plan.findings):
        say(line)
    if plan.errors:
        raise PreflightFailed(plan.errors)
    for line in plan_text.plan_lines(plan):
        say(line)
    prompts = Prompts(session.control)
    if plan.batches and not how.yes and not await prompts.confirm(_question(plan)):
        say("no changes made")
        return None
    session.control.interactive = how.terminal and not how.yes
    _show_events(session, prompts, how)
    try:
        agree = partial(_agree, prompts, how)
        ended = await session.run(proposal, break_lock=how.break_lock, agree=agree)
    finally:
        prompts.close()
    for line in ending_lines(ended):
        # Beside JSON too: its reader may be gone, and what is out of rotation has to be said.
        (say if how.as_json else result)(line)
    if session.defect is not None:
        raise session.defect
    return ended


async def _agree(prompts: Prompts, how: How, now: Plan, differences: Sequence[Difference]) -> bool:
    """Whether a plan that has changed since it was agreed to may be carried out."""
    for line in plan_text.difference_lines(differences):
        say(line)
    if how.yes:
        return await agree_within_request(now, differences)
    for line in plan_text.plan_lines(now):
        say(line)
    return await prompts.confirm(_question(now, "Start this plan?"))


def _show_events(session: Session, prompts: Prompts, how: How) -> None:
    """Show what happens from now on, and ask what is to be decided."""
    progress = Progress(session.state)

    def read(record: Record) -> None:
        if how.as_json:
            result_json(event_fields(record))
        progress(record)
        if isinstance(record.event, RollbackStarted):
            prompts.control = session.control

    session.bus.subscribe(read)
    if how.terminal:
        session.bus.subscribe(prompts)


def _question(plan: Plan, usual: str = "Go on?") -> str:
    """Names what has failed before where it is to go again."""
    failed = failed_versions_text(plan)
    return f"{clean(failed)}. Start anyway?" if failed else usual
