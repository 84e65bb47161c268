"""`rolldeck follow` and `rolldeck control`: watch and control a rollout that another process carries out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import click

from backends.consul.client import Consul
from backends.errors import Unreachable
from console.completion import complete_applications, complete_nodes
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.operator_identity import current_operator
from console.paths import journal_path
from console.terminal.follow import follow_local, open_local, report_unfinished
from console.terminal.output import all_readers_gone, clean, paint, reader_gone, result, result_json, say
from console.terminal.progress import Progress
from console.terminal.reading import run_while_read
from console.terminal.rollout_text import EXIT_CODES, ending_lines
from orchestrator.engine.operator_requests import ANSWERS, ControlAction
from orchestrator.events.json import event_fields
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.state import RolloutState
from orchestrator.local.rollout import LocalRollout
from orchestrator.remote.rollout import PublishedRollout, RolloutSubscriber

ACCEPT_TIMEOUT_S = 10.0  # for a request to be accepted


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.option("--json", "as_json", is_flag=True, help="Print every event as one line of JSON.")
@click.pass_obj
def follow(config_file: str | None, app: str, as_json: bool) -> int:
    """Follow a running rollout of APP; Ctrl-C ends only this command.

    A rollout of this machine is followed in the journal. One that runs on another machine is followed in
    Consul, which requires `[lock] kind = "consul"`. Exits with the exit code of the rollout, or with 0 before
    its end once nobody reads the output any more (`| head`).
    """
    config = find_and_load(config_file)
    config.app(app)

    # Without --json, events are told on standard error, and standard output gets the result.
    is_unread = reader_gone if as_json else all_readers_gone

    async def go() -> int:
        async with open_local(journal_path(config.journal.path), app) as (follower, rollout):
            if rollout.running:
                code = await run_while_read(follow_local(follower, rollout, as_json), is_unread)
                return ExitCode.HEALTHY if code is None else code
            if rollout.problem:
                say(clean(rollout.problem))
        if not _has_shared_lock(config):
            return report_unfinished(journal_path(config.journal.path), app)
        async with _open_subscriber(config, app) as subscriber:
            code = await run_while_read(_follow(subscriber, app, as_json), is_unread)
            return ExitCode.HEALTHY if code is None else code

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
    """Control a running rollout of APP, on this machine or, with Consul, on another one.

    The request is recorded with your name. Exits 0 once it is accepted.
    """
    config = find_and_load(config_file)
    config.app(app)

    async def go() -> int:
        async with open_local(journal_path(config.journal.path), app) as (_, rollout):
            unreachable: Unreachable | None = None
            if rollout.running or rollout.is_listening:
                try:
                    return await _control_local(rollout, app, what, subject)
                except Unreachable as error:
                    unreachable = error
            rollout.look_at_process()
            if not _has_shared_lock(config):
                if rollout.running and unreachable is not None:  # its socket may be another user's
                    raise unreachable
                return _say_nothing_runs(app)
        async with _open_subscriber(config, app) as subscriber:
            return await _control_remote(subscriber, app, what, subject)

    return interrupts.run(go())


async def _control_local(rollout: LocalRollout, app: str, what: ControlAction, subject: str) -> int:
    questions = rollout.state.questions.values()
    if what in ANSWERS and len(questions) > 1 and not subject:
        say(f"several questions are open, name one with --node: {', '.join(q.subject for q in questions)}")
        return ExitCode.REFUSED
    await rollout.request(what, subject)
    return _report_accepted(rollout.who or "the rollout", app, what)


async def _control_remote(subscriber: RolloutSubscriber, app: str, what: ControlAction, subject: str) -> int:
    published = await subscriber.read()
    if published is None or not published.held or published.doubt:
        ignored = published is not None and published.doubt
        why = f"key {subscriber.key} is ignored: {published.doubt}" if published and ignored else ""
        return _say_nothing_runs(app, why)
    key = await subscriber.send_request(published, what, current_operator("terminal"), subject)
    for _ in range(int(ACCEPT_TIMEOUT_S * 5)):
        if await subscriber.is_taken(key):
            return _report_accepted(published.header.who, app, what)
        await asyncio.sleep(0.2)
    await subscriber.withdraw(key)
    say(f"not accepted within {ACCEPT_TIMEOUT_S:g} s (see the rollout's output); the request was withdrawn")
    return ExitCode.DEGRADED


def _report_accepted(who: str, app: str, what: ControlAction) -> int:
    result(f"accepted by {clean(who)}")
    if what == "abort":
        say(f"it ends after the running step; to cut that short: rolldeck control {app} abort")
    return ExitCode.HEALTHY


def _say_nothing_runs(app: str, why: str = "") -> int:
    say(f"no rollout of {app} is running" + (f": {clean(why)}" if why else ""))
    return ExitCode.REFUSED


def _has_shared_lock(config: Config) -> bool:
    """Return whether rollouts of other machines can be seen."""
    return config.consul is not None and config.lock.kind == "consul"


@asynccontextmanager
async def _open_subscriber(config: Config, app: str) -> AsyncIterator[RolloutSubscriber]:
    if config.consul is None:
        raise RuntimeError("there is no Consul in the configuration")
    consul = Consul(config.consul)
    try:
        yield RolloutSubscriber(consul, config.consul.prefix, app, await config.consul.signer(app))
    finally:
        await consul.close()
