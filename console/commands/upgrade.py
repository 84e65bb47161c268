"""`rolldeck upgrade`: the rollout without a console, with the same controls."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

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
from console.terminal.summary import EXITS, ending
from orchestrator.engine.plan_differences import Difference
from orchestrator.events.events import Record, RollbackStarted, RolloutEnded
from orchestrator.events.json import event_fields
from orchestrator.planning.plan import Plan, PreflightFailed, Severity
from orchestrator.planning.policy import Amount
from orchestrator.planning.text import failed_versions_text
from orchestrator.session.adoption import broken_first
from orchestrator.session.proposal import Proposal, agree_within_request
from orchestrator.session.session import Session


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
def upgrade(
    config_file: str | None,
    app: str,
    version: str,
    serial: Amount | list[Amount] | None,
    limit: tuple[str, ...],
    ready: tuple[str, ...],
    confirm: str | None,
    override_freeze: bool,
    yes: bool,
    break_lock: bool,
    as_json: bool,
) -> int:
    """Take APP to VERSION, batch by batch, and stop at the first thing that is wrong.

    Ctrl-C stops after the running step, a second Ctrl-C at once. In either case, nodes that are out of
    rotation are listed with the commands that put them back.
    """
    check_version(version)
    terminal = on_terminal(sys.stdin)
    if not terminal and not yes:
        raise click.UsageError("there is no terminal to ask on: add --yes")
    changes = {"serial": serial, "confirm": confirm}
    config = find_and_load(config_file)
    if not terminal and (confirm or config.app(app).rollout.confirm) != "none":
        raise click.UsageError("there is no terminal to confirm on: use --confirm none")
    given = {name: value for name, value in changes.items() if value is not None}

    async def go() -> int:
        async with open_session(config, app) as session, stop_on_signals(session):
            await session.work_log.ensure_unlocked(break_lock)
            freeze = Severity.WARNING if override_freeze else Severity.ERROR
            how = How(yes=yes, terminal=terminal, as_json=as_json, break_lock=break_lock)
            what = f"upgrade to {version}"
            async with broken_first(session, what, break_lock=break_lock, trusted=False):
                proposal = await session.propose(
                    version,
                    limit=limit,
                    to_ready=ready,
                    changes=given,
                    freeze=freeze,
                    break_lock=break_lock,
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
    for line in plan_text.findings(plan.findings):
        say(line)
    if plan.errors:
        raise PreflightFailed(plan.errors)
    for line in plan_text.summary(plan):
        say(line)
    prompts = Prompts(session.control)
    if plan.batches and not how.yes and not await prompts.confirm(_question(plan)):
        say("no changes made")
        return None

    async def agree(now: Plan, differences: Sequence[Difference]) -> bool:
        for line in plan_text.differences(differences):
            say(line)
        if how.yes:
            return await agree_within_request(now, differences)
        for line in plan_text.summary(now):
            say(line)
        return await prompts.confirm(_question(now, "Start this plan?"))

    session.control.interactive = how.terminal and not how.yes
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
    try:
        ended = await session.run(proposal, break_lock=how.break_lock, agree=agree)
    finally:
        prompts.close()
    for line in ending(ended):
        # Beside JSON too: its reader may be gone, and what is out of rotation has to be said.
        (say if how.as_json else result)(line)
    if session.defect is not None:
        raise session.defect
    return ended


def _question(plan: Plan, usual: str = "Go on?") -> str:
    """Names what has failed before where it is to go again."""
    failed = failed_versions_text(plan)
    return f"{clean(failed)}. Start anyway?" if failed else usual
