"""`rolldeck follow` and `rolldeck control`: watch and control a rollout that runs on another machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import click

from backends.consul.client import Consul
from backends.errors import ConfigError
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.operator_identity import current_operator
from console.terminal.output import clean, paint, result, result_json, say
from console.terminal.progress import Progress
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from orchestrator.events.state import RolloutState
from orchestrator.events.text import event_fields
from orchestrator.remote.control_requests import ControlAction
from orchestrator.remote.rollout import PublishedRollout, RolloutSubscriber

ACCEPT_TIMEOUT_S = 10.0  # seconds for a request to be taken


@click.command()
@click.argument("app")
@click.option("--json", "as_json", is_flag=True, help="Every event as one line of JSON on standard output.")
@click.pass_obj
def follow(config_file: str | None, app: str, as_json: bool) -> int:
    """Follow a rollout of APP that runs on another machine; Ctrl-C ends only this command.

    Exits as the rollout does. It needs `[lock] kind = "consul"`.
    """
    config = find_and_load(config_file)

    async def go() -> int:
        async with _open_subscriber(config, app) as following:
            return await _follow(following, app, as_json)

    return interrupts.run(go())


async def _follow(following: RolloutSubscriber, app: str, as_json: bool) -> int:
    state = RolloutState()
    progress = Progress(state)
    told, seen, doubt = 0, None, ""
    async for looked in following.live():
        if looked.doubt:
            if looked.doubt != doubt:  # once, and not at each look
                say(f"{paint('!', 'warn')} key {clean(following.key)} is ignored: {clean(looked.doubt)}")
            doubt = looked.doubt
            continue
        seen = looked
        if not told:
            proof = "signed with our key" if seen.verified else "from Consul, unauthenticated"
            header = seen.header
            say(f"{header.kind} of {app} to {clean(header.version)}, by {clean(header.who)} ({proof})")
        for record in seen.records:
            if record.seq > told:
                told = record.seq
                following.fold(state, record)
                if as_json:
                    result_json(event_fields(record))
                else:
                    progress(record)
    return _report_end(seen, app, as_json)


def _report_end(seen: PublishedRollout | None, app: str, as_json: bool) -> int:
    if seen is None or seen.ended is None:
        say(f"the rollout was interrupted and its lock has expired; take over with: rolldeck resume {app}")
        return ExitCode.DEGRADED
    if not as_json:
        for line in ending_lines(seen.ended):
            result(line)
    if seen.journal_head:
        say(f"head of its journal on {clean(seen.header.host)}: {seen.journal_head}")
    return EXIT_CODES[seen.ended.result]


@click.command()
@click.argument("app")
@click.argument("what", type=click.Choice(get_args(ControlAction)))
@click.option(
    "--node",
    "subject",
    default="",
    help="Node or batch whose question to answer (required if several are open).",
)
@click.pass_obj
def control(config_file: str | None, app: str, what: ControlAction, subject: str) -> int:
    """Pause, resume, abort, continue, retry or skip: control a rollout of APP on another machine.

    The request is recorded with your name. Exits 0 once it is accepted.
    """
    config = find_and_load(config_file)

    async def go() -> int:
        async with _open_subscriber(config, app) as following:
            seen = await following.look()
            if seen is None or not seen.held or seen.doubt:
                why = (
                    f": key {following.key} is ignored: {seen.doubt}"
                    if seen is not None and seen.doubt
                    else ""
                )
                say(f"no rollout of {app} is running{clean(why)}")
                return ExitCode.REFUSED
            key = await following.ask(seen, what, current_operator("terminal"), subject)
            for _ in range(int(ACCEPT_TIMEOUT_S * 5)):
                if await following.taken(key):
                    result(f"accepted by {clean(seen.header.who)}")
                    if what == "abort":
                        say(
                            f"it ends after the running step; to cut that short: rolldeck control {app} abort"
                        )
                    return ExitCode.HEALTHY
                await asyncio.sleep(0.2)
            await following.withdraw(key)
            say(
                f"not accepted within {ACCEPT_TIMEOUT_S:g} s (see the rollout's output); the request was"
                " withdrawn"
            )
            return ExitCode.DEGRADED

    return interrupts.run(go())


@asynccontextmanager
async def _open_subscriber(config: Config, app: str) -> AsyncIterator[RolloutSubscriber]:
    config.app(app)
    if config.consul is None or config.lock.kind != "consul":
        raise ConfigError(
            config.file,
            "lock.kind",
            'found "local", expected "consul": only with that lock are rollouts visible on other machines',
        )
    consul = Consul(config.consul)
    try:
        yield RolloutSubscriber(consul, config.consul.prefix, app, await config.consul.signer(app))
    finally:
        await consul.close()
