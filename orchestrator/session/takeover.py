"""A rollout that another machine has left unfinished: plans name it, and `resume` takes it over."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from backends.errors import BackendError, UnreadableReply
from backends.name_ranges import Own, fold_names
from orchestrator.engine.control import RolloutControl
from orchestrator.errors import Unauthenticated
from orchestrator.journal.unfinished import find_unfinished_originals
from orchestrator.node import OriginalState
from orchestrator.planning.application import Application
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.plan import Plan
from orchestrator.remote.checks import check_readable
from orchestrator.remote.rollout import PublishedRollout, RolloutSubscriber
from orchestrator.session.work_log import WorkLog


class OpenApplication(Protocol):
    """The parts of a session that are needed to find and take over a rollout of another machine."""

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
    """A rollout of another machine that could be taken over.

    Attributes:
        seen: its published state.
        key: of the rollout in Consul.
    """

    seen: PublishedRollout
    key: str

    @property
    def ignored(self) -> bool:
        """Whether it is not verified although there is a key to verify it with; it is left out then."""
        return bool(self.seen.doubt)

    @property
    def reason(self) -> str:
        """The reason why an operator must confirm that it can be trusted; empty if it is verified."""
        if self.seen.doubt:
            return f"key {self.key} in Consul is ignored: {self.seen.doubt}"
        if self.seen.verified:
            return ""
        return f"it comes from Consul unauthenticated: anybody who may write {self.key} can have made it"

    @property
    def words(self) -> str:
        return self.seen.words

    @property
    def refusal(self) -> Unauthenticated:
        """The error that says how to take it over, or how to discard it."""
        return Unauthenticated(
            f"found {self.words}, and {self.reason}; --trust-published, besides --yes, takes it over;"
            " if it is not genuine, delete that key"
        )


async def find_offer(session: OpenApplication, *, break_lock: bool = False) -> Offer | None:
    """Return what another machine has left unfinished; None if nothing is new, or none can be seen.

    While somebody else holds the lock, the rollout is theirs, unless that lock is to be broken.

    Raises:
        BackendError: Consul could not be asked, or has something there that is no rollout.
        JournalError: the journal cannot be read.
    """
    work_log, following = session.work_log, session.published
    if following is None or (not break_lock and await work_log.holder() is not None):
        return None
    seen = await following.read()
    if seen is None or work_log.knows(seen.header, seen.records) or (seen.healthy and not seen.doubt):
        return None
    if seen.verified and seen.header.fence < (newest := work_log.newest_fence()):
        older = f"it was signed under fence {seen.header.fence}, and this machine has seen {newest}"
        seen = replace(seen, verified=False, doubt=older)
    return Offer(seen, following.key)


@asynccontextmanager
async def break_lock_first(
    session: OpenApplication, what: str, *, break_lock: bool, trusted: bool
) -> AsyncIterator[None]:
    """Hold the lock while the plan is made, if a lock is to be broken and its holder has left something.

    A holder on another machine leaves its rollout in Consul. That is complete, and can be taken over, only
    once they have stopped; without it, their drain would be mistaken for the original state.

    Args:
        session: works on the application.
        what: is done under the lock.
        break_lock: whether the operator has asked to break the lock.
        trusted: whether an unverified rollout is taken over too.

    Raises:
        Locked: somebody else was quicker.
        JournalError: the journal cannot be read.
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
        UnreadableReply: it could not be read from there afterwards.
        JournalError: it could not be written.
    """
    seen = offer.seen
    try:
        check_readable(seen.records)
    except ValueError as error:
        raise UnreadableReply("consul", f"key {offer.key}: {error}") from None
    return session.work_log.import_remote(seen.header, seen.records)


async def take_over_again(session: OpenApplication, *, trusted: bool) -> None:
    """Take over what the previous holder of the lock may have left meanwhile; called under the lock.

    Raises:
        Unauthenticated: it is not verified, and `trusted` is not set.
        BackendError, JournalError: see `find_offer`, `take_over`.
    """
    offer = await find_offer(session)
    if offer is None or (offer.ignored and not trusted):
        return
    if offer.reason and not trusted:
        raise offer.refusal
    take_over(session, offer)


Make = Callable[[], Awaitable[Plan]]


async def plan_with_published(session: OpenApplication, make: Make, *, break_lock: bool = False) -> Plan:
    """Return a plan that takes the published rollout of another machine into account.

    A verified rollout is taken over first, if it matters. With an unverified one, neither its data nor the
    state of its nodes can be trusted: such a node is an error until an operator has decided about it.

    Args:
        session: works on the application.
        make: makes the plan.
        break_lock: whether a rollout whose lock is still held counts, too, since it is about to be broken.

    Raises:
        JournalError: it could not be taken over.
    """
    plan = await make()
    offer, unseen = await _find(session, break_lock=break_lock)
    if offer is None:
        return _add_finding(plan, Severity.WARNING, "rollouts", unseen) if unseen else plan
    left = await _find_left_nodes(session, plan, offer)
    if left and not offer.reason:
        take_over(session, offer)
        return await make()
    for name in left:
        plan = _add_finding(plan, Severity.ERROR, name, *_describe_left_node(session, offer, name))
    return plan


async def add_published_finding(session: OpenApplication, plan: Plan) -> Plan:
    """Add a finding on the unfinished rollout of another machine to a plan that is only shown.

    Nothing is taken over. An upgrade would not start before an operator has decided about its nodes.
    """
    offer, unseen = await _find(session)
    if offer is None:
        return _add_finding(plan, Severity.WARNING, "rollouts", unseen) if unseen else plan
    left = await _find_left_nodes(session, plan, offer)
    has_left = f", and has left {fold_names(left)} as it was then" if left else ""
    reason = f"; {offer.reason}" if offer.reason else ""
    text = (
        f"{offer.words} was not finished{has_left}{reason}:"
        f" `rolldeck resume {session.application.name}` finishes it"
    )
    severity = Severity.ERROR if left and offer.reason else Severity.WARNING
    return _add_finding(plan, severity, "rollouts", text)


async def _find(session: OpenApplication, *, break_lock: bool = False) -> tuple[Offer | None, str]:
    """Return the published, unfinished rollout; else None, with the reason if one is ignored."""
    try:
        offer = await find_offer(session, break_lock=break_lock)
    except BackendError as error:
        return None, f"of other machines cannot be read: {error}"
    if offer is not None and offer.ignored:
        return None, offer.reason
    return offer, ""


async def _find_left_nodes(session: OpenApplication, plan: Plan, offer: Offer) -> list[str]:
    """Return the nodes whose servers are not in their original state, and that the rollout has not finished.

    Nodes about which an operator has decided are left out: with `--force-ready`, by a manual change since, or
    in our own journal. Nodes outside the plan count too: what we publish replaces what Consul has of them.
    """
    published = find_unfinished_originals(offer.seen.records)
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
    servers = [server for snapshot in snapshots.values() for server in snapshot.servers]
    now = {server.ref: OriginalState.of(server) for server in servers}
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


def _describe_left_node(session: OpenApplication, offer: Offer, name: str) -> Iterator[str]:
    app = session.application.name
    yield f"is as {offer.words} has left it; {offer.reason}. `rolldeck resume {app}` finishes it,"
    yield " --force-ready "
    yield Own(name)
    yield f" puts it in rotation, and `rolldeck maint {app} "
    yield Own(name)
    yield "` says that it is to stay out"


def _add_finding(plan: Plan, severity: Severity, subject: str, *parts: str) -> Plan:
    return replace(plan, findings=(*plan.findings, Finding.of(severity, subject, *parts)))
