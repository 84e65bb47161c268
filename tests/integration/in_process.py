"""Commands that are run in the test's own process: a `rolldeck` of its own costs ten times as much to start.

For refusals, of which there are many to a test; at least one of each kind is to be seen by its user's words.
"""

import asyncio

from click.testing import CliRunner

from backends.errors import RolldeckError
from console.command_line import cli
from console.demo.stack import Stack


async def refusal(stack: Stack, *arguments: str) -> RolldeckError:
    """The error that this command ends with, which must be one of ours."""
    command = ["--config", str(stack.config_path), *arguments]
    done = await asyncio.to_thread(CliRunner().invoke, cli, command, standalone_mode=False)
    assert isinstance(done.exception, RolldeckError), (arguments, done.return_value, done.output)
    return done.exception
