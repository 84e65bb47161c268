"""A rollout of another machine, as it is published in Consul: seen live, asked, and taken over."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from backends.consul.client import Consul
from backends.errors import Unmeasured
from console.sharing import Request, ask, rollout_key
from orchestrator.events import Record, RolloutEnded
from orchestrator.journal.shared import Head, unpack

WAIT = 30.0  # seconds that one look may block


@dataclass(frozen=True, slots=True)
class Seen:
    """One look.

    Attributes:
        head: what it is.
        records: what has happened so far, oldest first.
        held: whoever publishes it has the lock still.
    """

    head: Head
    records: list[Record]
    held: bool

    @property
    def ended(self) -> RolloutEnded | None:
        """How it ended; None without an end."""
        last = (each.event for each in reversed(self.records))
        return next((each for each in last if isinstance(each, RolloutEnded)), None)

    @property
    def healthy(self) -> bool:
        return self.ended is not None and self.ended.result == "healthy"


class Following:
    """The last rollout of one application that was published. All methods raise BackendError."""

    def __init__(self, consul: Consul, prefix: str, app: str) -> None:
        self._consul = consul
        self._prefix = prefix
        self._app = app

    async def look(self) -> Seen | None:
        """Once; None when none was ever published."""
        return (await self._look(0))[1]

    async def looks(self) -> AsyncIterator[Seen]:
        """First as it is, and again whenever something has happened; also in the rollouts that follow."""
        index = 0
        while True:
            index, seen = await self._look(index)
            if seen is not None:  # None was ever published otherwise; the next look blocks until one is
                yield seen

    async def live(self) -> AsyncIterator[Seen]:
        """The same of one rollout: ends with it, or with its lock."""
        async for seen in self.looks():
            yield seen
            if seen.ended is not None or not seen.held:
                return

    async def ask(self, request: Request) -> str:
        """Leave a request; see `console.sharing.ask`."""
        return await ask(self._consul, self._prefix, self._app, request)

    async def taken(self, key: str) -> bool:
        """Whether a request was taken."""
        return (await self._consul.get(key))[1] is None

    async def _look(self, index: int) -> tuple[int, Seen | None]:
        key = rollout_key(self._prefix, self._app)
        after, pair = await self._consul.get(key, index, WAIT)
        if pair is None:
            return after, None
        try:
            head, records = unpack(pair.value)
        except ValueError as error:
            raise Unmeasured("consul", f"key {key}: {error}") from None
        return after, Seen(head, records, bool(pair.session))
