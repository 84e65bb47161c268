"""`rolldeck logs`: the log of the service of one node."""

from contextlib import aclosing

import click

from backends.local_machine import SystemClock
from console.completion import complete_applications, complete_nodes
from console.config.config_file import find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.sessions import open_session
from console.terminal.output import clean, paint, result, say
from console.terminal.reading import run_while_read
from orchestrator.engine.manual_change import find_nodes
from orchestrator.live.service_log import MAX_LOG_LINES, follow_log, read_log
from orchestrator.node import Node


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.argument("node", shell_complete=complete_nodes)
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with new lines, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, MAX_LOG_LINES),
    default=50,
    show_default=True,
    metavar="N",
    help="How many of the last lines to print.",
)
@click.pass_obj
def logs(config_file: str | None, app: str, node: str, follows: bool, lines: int) -> int:
    """Print the log of the service of NODE: of its service manager, or what `log` in the configuration names.

    Characters that could control the terminal are shown as escapes. With `--follow` the log is read again
    when the service or the connection was interrupted; notes about that go to standard error.
    """
    config = find_and_load(config_file)

    async def go() -> int:
        async with open_session(config, app) as session:
            [found] = find_nodes(await session.load_all_nodes(), [node])
            if follows:
                await run_while_read(_follow(found, lines))
                return ExitCode.HEALTHY
            for line in await read_log(found, lines):
                result(line)
        return ExitCode.HEALTHY

    try:
        return interrupts.run(go())
    except KeyboardInterrupt:
        if follows:  # there is no other end
            return ExitCode.HEALTHY
        raise


async def _follow(node: Node, lines: int) -> None:
    """Print the log for ever."""
    source = ""
    async with aclosing(follow_log(node, lines, SystemClock())) as parts:
        async for part in parts:
            if part.source not in ("", source):
                source = part.source
                say(f"{clean(node.name)}: {clean(source)}")
            if part.note:
                say(f"{paint('!', 'warn')} {clean(part.note)}")
            for line in part.lines:
                result(line)
