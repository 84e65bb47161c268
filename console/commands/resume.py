"""`rolldeck resume`: finish an unfinished rollout."""

import click

from console.completion import complete_applications
from console.run_plan import RunOptions, run_options, run_recovery
from console.terminal.output import clean, paint, result, say
from console.terminal.progress import Prompts
from orchestrator.session.proposal import Proposal
from orchestrator.session.recovery import describe_unfinished, plan_resume
from orchestrator.session.session import Session
from orchestrator.session.takeover import find_offer, take_over


@click.command()
@click.argument("app", required=False, shell_complete=complete_applications)
@click.option(
    "--trust-published",
    is_flag=True,
    help="Take over an unauthenticated rollout of another machine from Consul.",
)
@run_options
@click.pass_obj
def resume(config_file: str | None, app: str | None, trust_published: bool, options: RunOptions) -> int:
    """Finish the last rollout of APP, and nodes that earlier ones left out of rotation.

    Everything is checked first: HAProxy, services, and the versions on disk and running. A node that has the
    right version and is only out of rotation is verified and put back; the state and weight from before the
    rollout are restored.

    An unfinished rollout of another machine is taken over from Consul if it is signed with the key of
    `[consul]` signing_key_env, _file or _command. Without a key you are asked, and --yes requires
    --trust-published.
    """

    async def plan(session: Session) -> Proposal | None:
        await _take_over(session, options, trust_published)
        for unfinished in session.work_log.unfinished_nodes().values():
            say(clean(describe_unfinished(unfinished)))
        found = await plan_resume(session, trusted=trust_published)
        if found is None:
            result(f"{session.application.name}: nothing to resume")
            return None
        proposal, entry = found
        began = f"of {entry.operator}"
        say(f"resuming rollout {entry.id} {clean(began)}, to {clean(entry.version)}")
        return proposal

    return run_recovery(config_file, app, plan, options, trusted=trust_published)


async def _take_over(session: Session, options: RunOptions, trusted: bool) -> None:
    """Take over the rollout that another machine has left, if it is authenticated. Raises Unauthenticated."""
    offer = await find_offer(session, break_lock=options.break_lock)
    if offer is None:
        return
    if offer.reason and not trusted:
        if offer.ignored:
            say(f"{paint('!', 'warn')} {clean(offer.reason)}; --trust-published takes it over anyway")
            return
        # If the other machine still holds the lock, there is nothing to ask: the lock comes first.
        if options.yes or await session.work_log.holder() is not None:
            raise offer.refusal
        say(f"found {clean(offer.words)}")
        prompts = Prompts(session.control)
        try:
            if not await prompts.confirm(f"{clean(offer.reason)}. Take it over?"):
                raise offer.refusal
        finally:
            prompts.close()
    if take_over(session, offer):
        who = offer.seen.header
        say(f"taken over from {clean(who.who)}: the {who.kind} to {clean(who.version)}")
