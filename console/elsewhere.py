"""A rollout that another machine carries out on the same application: followed all the time."""

from backends.base import Clock
from backends.errors import BackendError
from console.following import Following, Seen
from console.running_versions import RunningVersions
from console.sharing import Request, What
from orchestrator.state import RolloutState

PAUSE = 2.0  # seconds before Consul is asked again that could not be asked


class Elsewhere:
    """Follows whatever is published.

    Attributes:
        state: of the rollout that is seen; a new one for each.
        seen: the last look at it; None before the first.
    """

    def __init__(self, following: Following, clock: Clock, who: str, versions: RunningVersions) -> None:
        self.state = RolloutState()
        self.seen: Seen | None = None
        self._following = following
        self._clock = clock
        self._who = who
        self._versions = versions  # that run, by node: what is upgraded there has another one
        self._told = 0  # the last record that `state` has taken

    @property
    def running(self) -> bool:
        """Somebody has its lock, and it has no end yet."""
        return self.seen is not None and self.seen.held and self.seen.ended is None

    @property
    def paused(self) -> bool:
        return self.state.phase.startswith("paused")

    @property
    def words(self) -> str:
        """Who carries it out, and how to have a word with them."""
        return f"by {self.seen.head.operator}; p and a ask them" if self.seen is not None else ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async for seen in self._following.looks():
                    self._take(seen)
            except BackendError:  # the header says that Consul does not answer
                await self._clock.sleep(PAUSE)

    def _take(self, seen: Seen) -> None:
        if self.seen is None or self.seen.head != seen.head:
            self.state, self._told = RolloutState(), 0
        for record in seen.records:
            if record.seq > self._told:
                self._told = record.seq
                self.state.apply(record)
                self._versions.learn(record, self.state.version)
        self.seen = seen

    async def ask(self, what: What) -> None:
        """Leave a request. Raises BackendError."""
        await self._following.ask(Request(what=what, who=self._who))
