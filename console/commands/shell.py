"""`rolldeck shell`: an interactive shell on one node."""

import sys

import click

from console.completion import complete_applications, complete_nodes
from console.config.config_file import find_and_load
from console.interrupts import interrupts
from console.sessions import open_session
from console.terminal.output import on_terminal
from orchestrator.engine.manual_change import find_nodes


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.argument("node", shell_complete=complete_nodes)
@click.pass_obj
def shell(config_file: str | None, app: str, node: str) -> int:
    """Open a shell on NODE, over SSH with the settings and host keys that Rolldeck itself uses.

    For a node with a prefix, such as `docker exec -i shop`, it is a shell in that container; for a node that
    is this machine, your own. The journal records who opened it and when. Exits with the exit status of the
    shell.
    """
    if not (on_terminal(sys.stdin) and on_terminal(sys.stdout)):
        raise click.UsageError("a shell needs a terminal")
    from console.terminal.shell import open_shell

    config = find_and_load(config_file)

    async def go() -> int:
        async with open_session(config, app) as session:
            [found] = find_nodes(await session.load_all_nodes(), [node])
            return await open_shell(session, found)

    return interrupts.run(go())
