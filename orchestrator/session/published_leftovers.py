"""Nodes that a rollout on another machine has taken out and not finished: that is nobody's decision."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from backends.errors import BackendError
from orchestrator.journal.unfinished import unfinished_originals
from orchestrator.node import OriginalState
from orchestrator.planning.plan import Finding, Plan, Severity
from orchestrator.session.adoption import Offer, OpenApplication, find_offer, take_over

Make = Callable[[], Awaitable[Plan]]


async def heed_published(session: OpenApplication, make: Make, *, break_lock: bool = False) -> Plan:
    """A plan in which what was published has its place.

    What is vouched for is taken over first, where it matters. What nobody vouches for is not believed, and
    what is there is not believed either: such a node is an error until somebody has decided about it.

    Args:
        session: works on the application.
        make: plans it.
        break_lock: what somebody who still has the lock has left counts, too: they are about to lose it.

    Raises:
        JournalError: it could not be taken over.
    """
    plan = await make()
    offer, unseen = await _find(session, break_lock=break_lock)
    if offer is None:
        return _with(plan, Severity.WARNING, "rollouts", unseen) if unseen else plan
    left = await _left(session, plan, offer)
    if left and not offer.reason:
        take_over(session, offer)
        return await make()
    for name in left:
        plan = _with(plan, Severity.ERROR, name, _words(session, offer, name))
    return plan


async def name_published(session: OpenApplication, plan: Plan) -> Plan:
    """A plan that is only looked at, with what was published and not finished as one finding more.

    Nothing is taken over. An upgrade would not start while nobody has decided about nodes that were left.
    """
    offer, unseen = await _find(session)
    if offer is None:
        return _with(plan, Severity.WARNING, "rollouts", unseen) if unseen else plan
    left = await _left(session, plan, offer)
    has_left = f", and has left {', '.join(left)} as it was then" if left else ""
    reason = f"; {offer.reason}" if offer.reason else ""
    text = (
        f"{offer.words} was not finished{has_left}{reason}:"
        f" `rolldeck resume {session.application.name}` finishes it"
    )
    severity = Severity.ERROR if left and offer.reason else Severity.WARNING
    return _with(plan, severity, "rollouts", text)


async def _find(session: OpenApplication, *, break_lock: bool = False) -> tuple[Offer | None, str]:
    """What was published and not finished; None when nothing counts, and why, if something was there."""
    try:
        offer = await find_offer(session, break_lock=break_lock)
    except BackendError as error:
        return None, f"of other machines cannot be read: {error}"
    if offer is not None and offer.ignored:
        return None, offer.reason
    return offer, ""


async def _left(session: OpenApplication, plan: Plan, offer: Offer) -> list[str]:
    """The nodes whose servers are not as they were before a rollout that has not finished with them.

    Those are left out about which somebody has decided: with `--force-ready`, by hand since, or in our own
    journal.
    Others than those of the plan count too: what we publish replaces what Consul knows of them.
    """
    published = unfinished_originals(offer.seen.records)
    known = session.work_log.decided_since(offer.seen.head.began) | session.work_log.unfinished_nodes().keys()
    decided = known | {node.name for node in plan.nodes if node.force_ready or node.unfinished_rollout}
    if not published.keys() - decided:
        return []
    try:
        snapshots = await session.application.balancer_group.read_all()
    except BackendError:  # the plan says so
        return []
    now = {each.ref: OriginalState.of(each) for seen in snapshots.values() for each in seen.servers}
    return [
        name
        for name, originals in published.items()
        if name not in decided
        and any(
            (now[ref].admin, now[ref].agent) != (was.admin, was.agent)
            for ref, was in originals.items()
            if ref in now
        )
    ]


def _words(session: OpenApplication, offer: Offer, name: str) -> str:
    app = session.application.name
    return (
        f"is as {offer.words} has left it; {offer.reason}. `rolldeck resume {app}` finishes it,"
        f" --force-ready {name} puts it in rotation, and `rolldeck maint {app} {name}` says that"
        " it is to stay out"
    )


def _with(plan: Plan, severity: Severity, subject: str, text: str) -> Plan:
    return replace(plan, findings=(*plan.findings, Finding(severity, subject, text)))
