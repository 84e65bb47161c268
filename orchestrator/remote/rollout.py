"""A rollout that another machine carries out on the same application: followed all the time."""

from backends.errors import BackendError
from backends.protocols import Clock
from backends.text import shorten
from orchestrator.events.actor import Actor
from orchestrator.events.state import RolloutState
from orchestrator.live.versions import VersionTracker
from orchestrator.remote.control_requests import ControlAction
from orchestrator.remote.subscriber import PublishedRollout, RolloutSubscriber
from orchestrator.untrusted import MAX_SHOWN_CHARS

RETRY_INTERVAL_S = 2.0  # seconds before Consul is asked again that could not be asked


class RemoteRollout:
    """Follows whatever is published.

    Attributes:
        state: of the rollout that is seen; a new one for each.
        seen: the last look at it that can be believed; None before the first.
        problem: why what is published now is not followed, in words; empty while it is.
    """

    def __init__(
        self, following: RolloutSubscriber, clock: Clock, actor: Actor, versions: VersionTracker
    ) -> None:
        self.state = RolloutState()
        self.seen: PublishedRollout | None = None
        self.problem = ""
        self._following = following
        self._clock = clock
        self._actor = actor
        self._versions = versions  # that run, by node: what is upgraded there has another one
        self._told = 0  # the last record that `state` has taken

    @property
    def running(self) -> bool:
        """Somebody has its lock, and it has no end yet."""
        return self.seen is not None and self.seen.held and self.seen.ended is None

    @property
    def paused(self) -> bool:
        return self.state.phase == "paused"

    @property
    def words(self) -> str:
        """Who carries it out, and how to have a word with them."""
        return f"by {self.seen.head.operator}; p and a send requests" if self.seen is not None else ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async for seen in self._following.looks():
                    self._take(seen)
            except BackendError as error:
                self.problem = error.problem
            except Exception as error:  # a defect must not leave an old look there as a live one
                self.problem = f"internal error: {shorten(repr(error), MAX_SHOWN_CHARS)}"
            await self._clock.sleep(RETRY_INTERVAL_S)

    def _take(self, seen: PublishedRollout) -> None:
        if seen.doubt:
            self.problem = f"key {self._following.key} is ignored: {seen.doubt}"
            return
        if self.seen is None or self.seen.head != seen.head:
            self.state, self._told = RolloutState(), 0
        for record in seen.records:
            if record.seq > self._told:
                self._told = record.seq
                self._following.fold(self.state, record)
                self._versions.learn(record, self.state.version)
        self.seen, self.problem = seen, ""

    async def ask(self, what: ControlAction) -> None:
        """Leave a request. Raises BackendError."""
        if self.seen is not None:
            await self._following.ask(self.seen, what, self._actor)
