"""A rollout that another machine has left: its nodes are named, and it is taken over."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from backends.errors import BackendError, UnreadableReply
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import Unauthenticated
from orchestrator.journal.unfinished import unfinished_originals
from orchestrator.node import OriginalState
from orchestrator.planning.application import Application
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.plan import Plan
from orchestrator.remote.checks import check_readable
from orchestrator.remote.rollout import PublishedRollout, RolloutSubscriber
from orchestrator.session.work_log import WorkLog


class OpenApplication(Protocol):
    """Of a session, what is needed to see and to take over what somebody has left."""

    @property
    def application(self) -> Application: ...

    @property
    def work_log(self) -> WorkLog: ...

    @property
    def control(self) -> RolloutControl: ...

    @property
    def published(self) -> RolloutSubscriber | None: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to take over.

    Attributes:
        seen: as it is published.
        key: under which, in Consul.
    """

    seen: PublishedRollout
    key: str

    @property
    def ignored(self) -> bool:
        """There is a key to tell, and this is not vouched for: it is as if it were not there."""
        return bool(self.seen.doubt)

    @property
    def reason(self) -> str:
        """Why somebody has to say that it is to be believed, in words; empty when it is verified."""
        if self.seen.doubt:
            return f"key {self.key} in Consul is ignored: {self.seen.doubt}"
        if self.seen.verified:
            return ""
        return f"it comes from Consul unauthenticated: it may be of anybody who may write the key {self.key}"

    @property
    def words(self) -> str:
        return self.seen.words

    @property
    def refusal(self) -> Unauthenticated:
        """Says how it can be taken over, or be left."""
        return Unauthenticated(
            f"found {self.words}, and {self.reason}; --trust-published, besides --yes, takes it over;"
            " if it is not genuine, delete that key"
        )


async def find_offer(session: OpenApplication, *, break_lock: bool = False) -> Offer | None:
    """What somebody has left on another machine, where that can be seen; None when nothing is new here.

    While somebody has the lock it is theirs, and nothing that was left; unless that lock is to be broken.

    Raises:
        BackendError: Consul could not be asked, or has there what nobody honest has written.
        JournalError: what is known here cannot be read.
    """
    work_log, following = session.work_log, session.published
    if following is None or (not break_lock and await work_log.holder() is not None):
        return None
    seen = await following.look()
    if seen is None or work_log.knows(seen.header, seen.records) or (seen.healthy and not seen.doubt):
        return None
    if seen.verified and seen.header.fence < (newest := work_log.newest_fence()):
        older = f"it was signed under fence {seen.header.fence}, and this machine has seen {newest}"
        seen = replace(seen, verified=False, doubt=older)
    return Offer(seen, following.key)


@asynccontextmanager
async def broken_first(
    session: OpenApplication, what: str, *, break_lock: bool, trusted: bool
) -> AsyncIterator[None]:
    """Have the lock already while a plan is made, where that has to know what its holder has left.

    A holder on another machine leaves that in Consul. It is whole, and can be taken over, only once they do
    nothing more; without it their drain would be taken for what was there before.

    Args:
        session: works on the application.
        what: is done under the lock.
        break_lock: somebody has said that it is to be broken.
        trusted: what they have left is taken over whoever vouches for it.

    Raises:
        Locked: somebody else was quicker.
        JournalError: what is known here cannot be read.
    """
    async with AsyncExitStack() as lock:
        offer: Offer | None = None
        if break_lock:
            with contextlib.suppress(BackendError):  # the plan says that Consul cannot be asked
                offer = await find_offer(session, break_lock=True)
        if offer is not None and (trusted or not offer.reason):
            await lock.enter_async_context(session.work_log.locked(what, session.control, break_lock=True))
        yield


def take_over(session: OpenApplication, offer: Offer) -> bool:
    """Write it into our journal; returns whether it was new there.

    Raises:
        UnreadableReply: it could not be read there afterwards.
        JournalError: it could not be written down.
    """
    seen = offer.seen
    try:
        check_readable(seen.records)
    except ValueError as error:
        raise UnreadableReply("consul", f"key {offer.key}: {error}") from None
    return session.work_log.import_remote(seen.header, seen.records)


async def take_over_again(session: OpenApplication, *, trusted: bool) -> None:
    """Under the lock: whoever had it before may have left something since.

    Raises:
        Unauthenticated: nobody vouches for that, and it is not `trusted`.
        BackendError, JournalError: see `find_offer`, `take_over`.
    """
    offer = await find_offer(session)
    if offer is None or (offer.ignored and not trusted):
        return
    if offer.reason and not trusted:
        raise offer.refusal
    take_over(session, offer)


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
    known = (
        session.work_log.decided_since(offer.seen.header.began) | session.work_log.unfinished_nodes().keys()
    )
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
