"""`rolldeck rollback`: return to the last versions that were healthy."""

import click

from backends.templates import check_version
from console.completion import complete_applications, complete_nodes, complete_versions
from console.run_plan import RunOptions, run_options, run_recovery
from console.terminal.output import clean, result
from orchestrator.errors import AlreadyRolledBack
from orchestrator.session.proposal import Proposal
from orchestrator.session.recovery import plan_rollback
from orchestrator.session.session import Session


@click.command()
@click.argument("app", required=False, shell_complete=complete_applications)
@click.argument("version", required=False, shell_complete=complete_versions)
@click.option(
    "--rollout",
    "entry",
    type=int,
    metavar="ID",
    help="Entry of `rolldeck history` to undo (default: the last one that is not itself a rollback).",
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NODE",
    shell_complete=complete_nodes,
    help="Only this node (repeatable).",
)
@run_options
@click.pass_obj
def rollback(
    config_file: str | None,
    app: str | None,
    version: str | None,
    entry: int | None,
    nodes: tuple[str, ...],
    options: RunOptions,
) -> int:
    """Roll the nodes of the last rollout back to the last versions that were healthy on them.

    The same steps and checks apply, in reverse order, without bake time or canary batches. A rollback is a
    rollout of its own, and a second one does not undo it. With VERSION, all nodes of APP, or those given by
    --node, get that version.
    """
    if version is not None:
        check_version(version)

    async def plan(session: Session) -> Proposal | None:
        try:
            return await plan_rollback(session, entry, nodes, version or "")
        except AlreadyRolledBack as done:
            result(f"{session.application.name}: {clean(str(done))}")
            return None

    return run_recovery(config_file, app, plan, options)
