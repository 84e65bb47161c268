"""`rolldeck follow` and `rolldeck control`: watch and control a rollout that runs on another machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import click

from backends.consul.client import Consul
from backends.errors import ConfigError
from console.completion import complete_applications, complete_nodes
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.operator_identity import current_operator
from console.terminal.output import clean, paint, result, result_json, say
from console.terminal.progress import Progress
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.json import event_fields
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.remote.rollout import PublishedRollout, RolloutSubscriber

ACCEPT_TIMEOUT_S = 10.0  # for a request to be accepted


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.option("--json", "as_json", is_flag=True, help="Print every event as one line of JSON.")
@click.pass_obj
def follow(config_file: str | None, app: str, as_json: bool) -> int:
    """Follow a rollout of APP that runs on another machine; Ctrl-C ends only this command.

    Exits with the exit code of the rollout. Requires `[lock] kind = "consul"`.
    """
    config = find_and_load(config_file)

    async def go() -> int:
        async with _open_subscriber(config, app) as subscriber:
            return await _follow(subscriber, app, as_json)

    return interrupts.run(go())


async def _follow(subscriber: RolloutSubscriber, app: str, as_json: bool) -> int:
    state = RolloutState()
    progress = Progress(state)
    last_seq, published, doubt = 0, None, ""
    async for update in subscriber.follow():
        if update.doubt:
            if update.doubt != doubt:  # once, and not with every update
                say(f"{paint('!', 'warn')} key {clean(subscriber.key)} is ignored: {clean(update.doubt)}")
            doubt = update.doubt
            continue
        published = update
        if not last_seq:
            proof = "signed with our key" if published.verified else "from Consul, unauthenticated"
            header = published.header
            say(f"{header.kind} of {app} to {clean(header.version)}, by {clean(header.who)} ({proof})")
        for record in published.records:
            if record.seq > last_seq:
                last_seq = record.seq
                subscriber.fold(state, record)
                if as_json:
                    result_json(event_fields(record))
                else:
                    progress(record)
    return _report_end(published, state.verdict, app, as_json)


def _report_end(
    published: PublishedRollout | None, verdict: VerdictChanged | None, app: str, as_json: bool
) -> int:
    if published is None or published.ended is None:
        say(f"the rollout was interrupted and its lock has expired; take over with: rolldeck resume {app}")
        return ExitCode.DEGRADED
    if not as_json:
        for line in ending_lines(published.ended, verdict):
            result(line)
    if published.journal_head:
        say(f"head of its journal on {clean(published.header.host)}: {published.journal_head}")
    return EXIT_CODES[published.ended.result]


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.argument("what", type=click.Choice(get_args(ControlAction)))
@click.option(
    "--node",
    "subject",
    default="",
    metavar="NODE",
    shell_complete=complete_nodes,
    help="Node or batch whose question to answer (required if several are open).",
)
@click.pass_obj
def control(config_file: str | None, app: str, what: ControlAction, subject: str) -> int:
    """Control a rollout of APP that runs on another machine.

    The request is recorded with your name. Exits 0 once it is accepted.
    """
    config = find_and_load(config_file)

    async def go() -> int:
        async with _open_subscriber(config, app) as subscriber:
            published = await subscriber.read()
            if published is None or not published.held or published.doubt:
                why = (
                    f": key {subscriber.key} is ignored: {published.doubt}"
                    if published is not None and published.doubt
                    else ""
                )
                say(f"no rollout of {app} is running{clean(why)}")
                return ExitCode.REFUSED
            key = await subscriber.send_request(published, what, current_operator("terminal"), subject)
            for _ in range(int(ACCEPT_TIMEOUT_S * 5)):
                if await subscriber.is_taken(key):
                    result(f"accepted by {clean(published.header.who)}")
                    if what == "abort":
                        say(
                            f"it ends after the running step; to cut that short: rolldeck control {app} abort"
                        )
                    return ExitCode.HEALTHY
                await asyncio.sleep(0.2)
            await subscriber.withdraw(key)
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
