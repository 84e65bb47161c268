"""`rolldeck run-rollout`: the process that carries out a rollout for a console; not meant for operators."""

import contextlib
import os
import sys
from pathlib import Path

import click
import msgspec

from backends.errors import ConfigError, RolldeckError
from backends.untrusted import decode
from console.config.config_file import load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.sessions import open_session, stop_on_signals
from console.terminal.rollout_text import EXIT_CODES
from orchestrator.local.launch import LaunchReply, RolloutRequest
from orchestrator.session.rollout_request import carry_out_request

MAX_REQUEST_BYTES = 64 * 1024 * 1024


@click.command("run-rollout", hidden=True)
@click.argument("app")
def run_rollout(app: str) -> int:
    """Carry out the rollout of APP that a console has requested on standard input.

    The only output is one line of JSON, which says that it has begun, or why not. From then on nothing is
    read or written: the console may be gone.
    """
    try:
        request = decode(sys.stdin.buffer.read(MAX_REQUEST_BYTES), RolloutRequest)
    except ValueError as error:
        raise click.UsageError(f"the request {error}") from None
    if request.application != app:
        raise click.UsageError(f"the request is for {request.application!r}")
    return interrupts.run(_run(request))


async def _run(request: RolloutRequest) -> int:
    try:
        config = load(Path(request.config_file))
        if config.digest != request.digest:
            text = "has changed since the console was opened: close the console and open it again"
            raise ConfigError(config.file, "", text)
        async with (
            open_session(config, request.application, actor=request.actor, needs_socket=True) as session,
            stop_on_signals(session),
        ):
            ended = await carry_out_request(session, request, _reply)
            if session.defect is not None:
                raise session.defect
            return EXIT_CODES[ended.result] if ended is not None else ExitCode.REFUSED
    except RolldeckError as error:
        _reply(LaunchReply(status="refused", text=str(error)))
        raise


def _reply(reply: LaunchReply) -> None:
    """Write the only line, and let go of the console."""
    with contextlib.suppress(OSError):  # the console is gone: the rollout goes on all the same
        os.write(1, msgspec.json.encode(reply) + b"\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
