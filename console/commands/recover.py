"""`rolldeck resume` and `rolldeck rollback`: after a rollout that did not end well."""

import sys
from collections.abc import Awaitable, Callable

import click

from backends.templates import check_version
from console.commands.servers import break_lock
from console.commands.upgrade import How, carry_out
from console.config.loader import find_and_load
from console.config.schema import Config
from console.exit_codes import Exit
from console.interrupts import interrupts
from console.sessions import open_session
from console.signals import stop_on_signals
from console.terminal.output import clean, on_terminal, paint, result, say
from console.terminal.prompts import Prompts
from console.terminal.summary import EXITS
from orchestrator.errors import AlreadyRolledBack
from orchestrator.session.adoption import broken_first, find_offer, take_over
from orchestrator.session.proposal import Proposal
from orchestrator.session.recovery import plan_resume, plan_rollback, words
from orchestrator.session.session import Session

JSON = "Every event as one line of JSON on standard output."


@click.command()
@click.argument("app", required=False)
@click.option("--yes", is_flag=True, help="Start without asking.")
@click.option(
    "--trust-published",
    is_flag=True,
    help="Take over an unauthenticated rollout of another machine from Consul.",
)
@break_lock
@click.option("--json", "as_json", is_flag=True, help=JSON)
@click.pass_obj
def resume(
    config_file: str | None,
    app: str | None,
    yes: bool,
    trust_published: bool,
    break_lock: bool,
    as_json: bool,
) -> int:
    """Finish the last rollout of APP, and the nodes that earlier ones left out of rotation.

    Everything is checked first: HAProxy, services, and the versions on disk and running. A node that has the
    right version and is only out of rotation is verified and put back; the state and weight from before the
    rollout are restored.

    An unfinished rollout of another machine is taken over from Consul if it is signed with the key of
    `[consul]` signing_key_env, _file or _command. Without a key you are asked, and --yes requires
    --trust-published.
    """
    how = How(yes, on_terminal(sys.stdin), as_json, break_lock)

    async def plan(session: Session) -> Proposal | None:
        await _take_over(session, how, trust_published)
        for each in session.work_log.leftovers().values():
            say(clean(words(each)))
        found = await plan_resume(session, trusted=trust_published)
        if found is None:
            result(f"{session.application.name}: nothing to resume")
            return None
        proposal, entry = found
        began = f"of {entry.operator}"
        say(f"resuming rollout {entry.id} {clean(began)}, to {clean(entry.version)}")
        return proposal

    return _recover(config_file, app, plan, how, trusted=trust_published)


async def _take_over(session: Session, how: How, trusted: bool) -> None:
    """What another machine has left, if it is vouched for. Raises Unauthenticated."""
    offer = await find_offer(session, break_lock=how.break_lock)
    if offer is None:
        return
    if offer.reason and not trusted:
        if offer.ignored:
            say(f"{paint('!', 'warn')} {clean(offer.reason)}; --trust-published takes it over anyway")
            return
        if how.yes or await session.work_log.holder() is not None:  # who works still: the lock comes first
            raise offer.refusal
        say(f"found {clean(offer.words)}")
        prompts = Prompts(session.control)
        try:
            if not await prompts.confirm(f"{clean(offer.reason)}. Take it over?"):
                raise offer.refusal
        finally:
            prompts.close()
    if take_over(session, offer):
        who = offer.seen.head
        say(f"taken over from {clean(who.who)}: the {who.kind} to {clean(who.version)}")


@click.command()
@click.argument("app", required=False)
@click.argument("version", required=False)
@click.option(
    "--rollout",
    "entry",
    type=int,
    metavar="ID",
    help="Entry of `rolldeck history`; a rollback is undone (default: the last that is not a rollback).",
)
@click.option("--node", "nodes", multiple=True, help="Only this node (repeatable).")
@click.option("--yes", is_flag=True, help="Start without asking.")
@break_lock
@click.option("--json", "as_json", is_flag=True, help=JSON)
@click.pass_obj
def rollback(
    config_file: str | None,
    app: str | None,
    version: str | None,
    entry: int | None,
    nodes: tuple[str, ...],
    yes: bool,
    break_lock: bool,
    as_json: bool,
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

    terminal = on_terminal(sys.stdin)
    return _recover(config_file, app, plan, How(yes, terminal, as_json, break_lock))


def _recover(
    config_file: str | None,
    app: str | None,
    plan: Callable[[Session], Awaitable[Proposal | None]],
    how: How,
    *,
    trusted: bool = False,
) -> int:
    if not how.terminal and not how.yes:
        raise click.UsageError("there is no terminal to ask on: add --yes")
    config = find_and_load(config_file)
    name = app or _only_one(config)

    async def go() -> int:
        async with open_session(config, name) as session, stop_on_signals(session):
            await session.work_log.ensure_unlocked(how.break_lock)
            async with broken_first(session, "recovery", break_lock=how.break_lock, trusted=trusted):
                proposal = await plan(session)
                if proposal is None:
                    return Exit.HEALTHY
                ended = await carry_out(session, proposal, how)
            return EXITS[ended.result] if ended else Exit.ABORTED

    return interrupts.run(go())


def _only_one(config: Config) -> str:
    if len(config.apps) > 1:
        raise click.UsageError(f"which application? there is: {', '.join(config.apps)}")
    return next(iter(config.apps))
