"""`rolldeck upgrade`: a rollout without the console, with the same operator controls."""

import sys
from dataclasses import dataclass
from typing import Any

import click

from backends.templates import check_version
from console.completion import complete_applications, complete_versions
from console.config.config_file import find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.run_plan import (
    EVENTS_JSON_HELP,
    RunOptions,
    break_lock_option,
    reason_option,
    run_plan,
    scope_options,
)
from console.sessions import open_session, stop_on_signals
from console.terminal.output import on_terminal
from console.terminal.rollout_text import EXIT_CODES
from orchestrator.planning.application import Amount
from orchestrator.planning.findings import Severity
from orchestrator.session.proposal import require_reason
from orchestrator.session.takeover import break_lock_first


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of the command."""

    serial: Amount | list[Amount] | None
    limit: tuple[str, ...]
    ready: tuple[str, ...]
    confirm: str | None
    override_freeze: bool
    yes: bool
    break_lock: bool
    as_json: bool
    reason: str

    def changes(self) -> dict[str, object]:
        """Return the values of the policy that were given."""
        given = {"serial": self.serial, "confirm": self.confirm}
        return {name: value for name, value in given.items() if value is not None}


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.argument("version", shell_complete=complete_versions)
@scope_options
@click.option(
    "--confirm",
    type=click.Choice(["node", "batch", "step", "none"]),
    help="Ask for confirmation before each node, batch or step.",
)
@click.option("--override-freeze", is_flag=True, help="Start despite an active freeze window (recorded).")
@click.option("--yes", is_flag=True, help="Start without asking.")
@break_lock_option
@reason_option
@click.option("--json", "as_json", is_flag=True, help=EVENTS_JSON_HELP)
@click.pass_obj
def upgrade(config_file: str | None, /, app: str, version: str, **given: Any) -> int:
    """Upgrade APP to VERSION, batch by batch, and stop at the first problem.

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
            require_reason(session.application, options.reason)
            await session.work_log.ensure_unlocked(options.break_lock)
            freeze = Severity.WARNING if options.override_freeze else Severity.ERROR
            run_options = RunOptions(
                yes=options.yes,
                terminal=terminal,
                as_json=options.as_json,
                break_lock=options.break_lock,
                reason=options.reason,
            )
            what = f"upgrade to {version}"
            async with break_lock_first(session, what, break_lock=options.break_lock, trusted=False):
                proposal = await session.propose(
                    version,
                    limit=options.limit,
                    force_ready=options.ready,
                    changes=options.changes(),
                    freeze=freeze,
                    break_lock=options.break_lock,
                )
                ended = await run_plan(session, proposal, run_options)
            return EXIT_CODES[ended.result] if ended else ExitCode.ABORTED

    return interrupts.run(go())
