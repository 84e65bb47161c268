"""A rollout of another machine, as it is published in Consul, where it can be followed and controlled."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from backends.consul.client import Consul
from backends.consul.signing import Signer, open_value
from backends.errors import BackendError, Refused, UnreadableReply
from backends.protocols import Clock
from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS
from orchestrator.engine.facts import ImpactFacts
from orchestrator.engine.manual_change import Change
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.actor import Actor
from orchestrator.events.events import Record, RolloutEnded
from orchestrator.events.state import RolloutState
from orchestrator.live.versions import VersionTracker
from orchestrator.planning.plan import Plan
from orchestrator.remote.checks import apply
from orchestrator.remote.control_requests import ControlRequest
from orchestrator.remote.payload import read_publication
from orchestrator.remote.publisher import make_rollout_key, send_request
from orchestrator.remote.takeover import RolloutHeader

BLOCKING_WAIT_S = 30.0  # seconds for which a query may block


@dataclass(frozen=True, slots=True)
class PublishedRollout:
    """The published state of a rollout at one moment.

    Attributes:
        header: of the rollout.
        records: its events so far, oldest first.
        held: whether its publisher still holds the lock.
        verified: whether it is signed with our key, and not older than what was seen before.
        doubt: why it must be ignored: there is a key to verify it with, and it is not verified; else empty.
        journal_head: see `Publication.journal_head`.
    """

    header: RolloutHeader
    records: list[Record]
    held: bool
    verified: bool = False
    doubt: str = ""
    journal_head: str = ""

    @property
    def ended(self) -> RolloutEnded | None:
        """The event of its end; None without an end."""
        last = (record.event for record in reversed(self.records))
        return next((event for event in last if isinstance(event, RolloutEnded)), None)

    @property
    def healthy(self) -> bool:
        return self.ended is not None and self.ended.result == "healthy"

    @property
    def words(self) -> str:
        """A description of the rollout, with its operator."""
        header = self.header
        return f"the {header.kind} of {header.application} to {header.version} by {header.who}"


class RolloutSubscriber:
    """Reads the last published rollout of one application. All methods raise BackendError.

    Attributes:
        key: of the rollout in Consul.
    """

    def __init__(self, consul: Consul, prefix: str, app: str, signer: Signer | None = None) -> None:
        self.key = make_rollout_key(prefix, app)
        self._consul = consul
        self._prefix = prefix
        self._app = app
        self._signer = signer
        self._newest = (0, 0)  # fence and number of the newest state that was verified
        self._known: dict[int, Record] = {}  # records that were checked

    async def read(self) -> PublishedRollout | None:
        """Read the last rollout that was published; None if there never was one."""
        return (await self._look(0))[1]

    async def follow_all(self) -> AsyncIterator[PublishedRollout]:
        """Yield the state now and after each change, also of later rollouts."""
        index = 0
        while True:
            index, seen = await self._look(index)
            if seen is not None:  # otherwise none was ever published; the next query blocks until one is
                yield seen

    async def follow(self) -> AsyncIterator[PublishedRollout]:
        """Yield the states of one rollout until it ends or loses its lock; an ignored state ends nothing."""
        async for seen in self.follow_all():
            yield seen
            if not seen.doubt and (seen.ended is not None or not seen.held):
                return

    def fold(self, state: RolloutState, record: Record) -> None:
        """Apply a record to a state. Raises UnreadableReply if it does not follow from those before."""
        try:
            apply(state, record)
        except ValueError as error:
            raise UnreadableReply("consul", f"key {self.key}: {error}") from None

    async def send_request(
        self, seen: PublishedRollout, what: ControlAction, actor: Actor, subject: str = ""
    ) -> str:
        """Send a request to this rollout; see `orchestrator.remote.publisher.send_request`."""
        request = ControlRequest(
            what=what,
            who=actor.name,
            subject=subject,
            uid=actor.uid,
            credential=actor.credential,
            fence=seen.header.fence,
            nonce=secrets.token_hex(8),
            at=time.time(),
        )
        return await send_request(self._consul, self._prefix, self._app, request, self._signer)

    async def withdraw(self, key: str) -> None:
        """Delete a request."""
        await self._consul.delete(key)

    async def is_taken(self, key: str) -> bool:
        """Return whether a request was accepted."""
        return (await self._consul.get(key))[1] is None

    async def _look(self, index: int) -> tuple[int, PublishedRollout | None]:
        after, pair = await self._consul.get(self.key, index, BLOCKING_WAIT_S)
        if pair is None:
            return after, None
        opened = open_value(self._signer, "publication", pair.value)
        try:
            found = read_publication(opened.content, self._known)
            if found.header.application != self._app:
                raise ValueError(f"is of application {found.header.application!a}")
        except ValueError as error:
            unsigned = f"{opened.doubt}, and " if opened.doubt else ""
            raise UnreadableReply("consul", f"key {self.key}: {unsigned}{error}") from None
        self._known = {record.seq: record for record in found.records}
        doubt = opened.doubt or (self._replayed(found.header.fence, found.number) if opened.verified else "")
        verified = opened.verified and not doubt
        held = bool(pair.session)
        return after, PublishedRollout(found.header, found.records, held, verified, doubt, found.journal_head)

    def _replayed(self, fence: int, number: int) -> str:
        """Say why a signed state is not the current one; empty when it is as new as the newest one."""
        if (fence, number) < self._newest:
            before = "state {1} of fence {0}".format(*self._newest)
            return f"state {number} of fence {fence} was signed before {before}, which was there already"
        self._newest = (fence, number)
        return ""


RETRY_INTERVAL_S = 2.0  # seconds before Consul is asked again after a failure


class RemoteRollout:
    """Follows the published rollouts of one application; implements `ActiveRollout`.

    Attributes:
        state: of the rollout that is followed; a new one for each rollout.
        seen: the last published state that was accepted; None before the first.
        is_local: see `ActiveRollout`.
        plan: likewise; too little of it is published.
        was_running: whether it was seen to run.
        problem: why what is published now is not followed, in words; else empty.
    """

    is_local = False
    plan: Plan | None = None

    def __init__(
        self, following: RolloutSubscriber, clock: Clock, actor: Actor, versions: VersionTracker
    ) -> None:
        self.state = RolloutState()
        self.seen: PublishedRollout | None = None
        self.was_running = False
        self.problem = ""
        self._following = following
        self._clock = clock
        self._actor = actor
        self._versions = versions  # of nodes; a rollout of another machine changes them too
        self._last_seq = 0  # number of the last record in `state`

    @property
    def running(self) -> bool:
        """Whether somebody holds its lock and it has not ended."""
        return self.seen is not None and self.seen.held and self.seen.ended is None

    @property
    def paused(self) -> bool:
        return self.state.phase == "paused"

    @property
    def interrupted(self) -> bool:
        """See `ActiveRollout.interrupted`: its lock is free, and no end was published."""
        return self.seen is not None and not self.seen.held and self.seen.ended is None

    @property
    def records(self) -> Sequence[Record]:
        """See `ActiveRollout.records`."""
        return self.seen.records if self.seen is not None else ()

    @property
    def who(self) -> str:
        """See `ActiveRollout.who`."""
        return self.seen.header.who if self.seen is not None else ""

    @property
    def words(self) -> str:
        """See `ActiveRollout.words`."""
        if self.seen is None:
            return ""
        if self.interrupted:
            return f"{self.seen.header.who} has left it unfinished: resume it or roll it back"
        return f"by {self.seen.header.operator}"

    async def run(self) -> None:
        """Follow what is published until cancelled."""
        while True:
            try:
                async for seen in self._following.follow_all():
                    self._take(seen)
            except BackendError as error:
                self.problem = error.problem
            except Exception as error:  # after a defect an old state must not pass for a live one
                self.problem = f"internal error: {shorten(repr(error), MAX_SHOWN_CHARS)}"
            await self._clock.sleep(RETRY_INTERVAL_S)

    async def read(self) -> None:
        """Read once what is published now. Raises BackendError, whose text is the `problem` then."""
        try:
            if (seen := await self._following.read()) is not None:
                self._take(seen)
        except BackendError as error:
            self.problem = error.problem
            raise

    def _take(self, seen: PublishedRollout) -> None:
        if seen.doubt:
            self.problem = f"key {self._following.key} is ignored: {seen.doubt}"
            return
        if self.seen is None or self.seen.header != seen.header:
            self.state, self._last_seq, self.was_running = RolloutState(), 0, False
        for record in seen.records:
            if record.seq > self._last_seq:
                self._last_seq = record.seq
                self._following.fold(self.state, record)
                self._versions.learn(record, self.state.version)
        self.seen, self.problem = seen, ""
        self.was_running = self.was_running or self.running

    async def request(self, what: ControlAction, subject: str = "") -> None:
        """See `ActiveRollout.request`; the rollout carries it out when it reads it in Consul."""
        if self.seen is not None:
            await self._following.send_request(self.seen, what, self._actor, subject)

    async def change(self, change: Change, shown: ImpactFacts) -> Sequence[str]:
        """See `ActiveRollout.change`. Raises Refused: it is made on that machine only."""
        raise Refused(self.who, "a manual change during a rollout is made on its own machine")
