"""A lock that several machines share: a session that is renewed, and a key that it holds.

It ends in three ways: it is given back; its session has ended (somebody broke it, or its machine was declared
dead); or it could not be renewed for as long as Consul waits, so that somebody else may have it by now.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from backends.consul.client import Consul, Pair
from backends.consul.signing import Signer, open_value
from backends.errors import BackendError
from backends.protocols import Clock, Held

WAIT = 30.0  # seconds that one look at the key may block
PAUSE = 0.5  # seconds before Consul is asked again that could not be asked


@dataclass(slots=True)
class ConsulLock:
    """One key.

    Attributes:
        key: what is locked.
        ttl: seconds without a renewal after which the session ends; at least 10.
        delay: seconds in which nobody gets it after that: whoever had it may be about to write.
        fence: how often it was taken up to and with us: an earlier holder has a smaller one.
        signer: signs what we write there, for our session only, and verifies what others did; or None.
    """

    consul: Consul
    key: str
    clock: Clock
    ttl: int = 15
    delay: int = 5
    fence: int = 0
    signer: Signer | None = None
    _session: str = ""
    _renewed: float = 0.0  # when the last renewal that succeeded was asked for
    _tried: float = 0.0  # when a renewal was tried last by one that was not asleep before it
    _gone: str = ""  # why it is not ours any more, for certain
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def session(self) -> str:
        """That holds it; empty while it is not ours."""
        return self._session

    async def holder(self) -> Held | None:
        """What its holder has written there; None when nobody has it, or it is ours. Raises BackendError."""
        _, pair = await self.consul.get(self.key)
        if pair is None or pair.session in ("", self._session):
            return None
        opened = open_value(self.signer, "lock", pair.value, pair.session)
        return Held(opened.content, opened.doubt)

    async def take(self, value: bytes) -> bool:
        """Take it and hold it; returns whether it was free.

        Raises:
            BackendError: Consul could not be asked.
        """
        asked = _now()
        self._session = await self.consul.begin_session(f"rolldeck {self.key}", self.ttl, self.delay)
        self._renewed = self._tried = asked
        self._gone = ""
        try:
            if self.signer is not None:  # for this session: copied under another one it is worth nothing
                value = self.signer.sign("lock", value, self._session)
            taken = await self.consul.put(self.key, value, acquire=self._session)
            index, pair = await self.consul.get(self.key)
        except BaseException:
            await self._end_session()
            raise
        if not taken or pair is None or pair.session != self._session:
            await self._end_session()
            return False
        self.fence = pair.locked
        self._tasks = [
            asyncio.create_task(self._renew(), name=f"renew {self.key}"),
            asyncio.create_task(self._watch(index), name=f"watch {self.key}"),
        ]
        return True

    async def break_it(self) -> None:
        """End the session of whoever has it. Raises BackendError."""
        _, pair = await self.consul.get(self.key)
        if pair is not None and pair.session:
            await self.consul.end_session(pair.session)

    def fenced(self) -> str:
        """Why nothing at all may be done under it any more, in words; empty while something may.

        Who merely cannot ask Consul may end the step that runs. Whose lock is known to be gone may not, nor
        who was asleep for so long that it may be gone: others act on the nodes then.
        """
        if not self._gone and self._session and _now() - self._tried > self.ttl:
            return "Rolldeck was suspended for longer than its lock lasts"
        return self._gone  # for as long as the work takes: then nothing is tried any more

    def lost(self) -> str:
        """Why no node may be taken out under it any more, in words; empty while it is ours."""
        if not self._session:
            return "the lock was released"
        if self._gone:
            return self._gone
        silent = _now() - self._renewed
        if silent > self.ttl:
            return f"the lock could not be renewed in Consul for {silent:.0f} s; another machine may have it"
        return ""

    async def release(self) -> None:
        """Give it back; without effect when it is not ours. Never raises: the session ends by itself."""
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._end_session()

    async def _end_session(self) -> None:
        session, self._session = self._session, ""
        if session:
            with contextlib.suppress(BackendError):
                await self.consul.put(self.key, b"", release=session)
                await self.consul.end_session(session)

    async def _renew(self) -> None:
        """Three times in each period: one lost answer is no lost lock."""
        while True:
            await self.clock.sleep(self.ttl / 3)
            while True:
                asked = _now()
                if not self.fenced():  # who was asleep stays fenced until Consul has answered
                    self._tried = asked
                with contextlib.suppress(BackendError, TimeoutError):
                    # However patient the settings are: who waits for an answer is not asleep.
                    async with asyncio.timeout(self.ttl / 3):
                        there = await self.consul.renew_session(self._session)
                        if there or not await self._has_the_key():
                            break
                await self.clock.sleep(PAUSE)
            if not there:
                self._gone = self._gone or "the lock's session in Consul has ended"
                return
            self._renewed = self._tried = asked

    async def _has_the_key(self) -> bool:
        """Whether our session has, as all servers agree. Raises BackendError.

        A server that has just been started leads before it has read its data: for a moment it says of every
        session that there is no such one. Of a key it says nothing then.
        """
        _, pair = await self.consul.get(self.key)
        return pair is not None and pair.session == self._session

    async def _watch(self, index: int) -> None:
        """Hear at once that somebody broke it."""
        while not self._gone:
            try:
                index, pair = await self.consul.get(self.key, index, WAIT)
            except BackendError:
                await self.clock.sleep(PAUSE)
                continue
            if pair is None or pair.session != self._session:
                self._gone = _words(pair)
                return


def _now() -> float:
    """Seconds that also pass while the machine is suspended: others take the lock meanwhile."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _words(pair: Pair | None) -> str:
    if pair is None or not pair.session:
        return "the lock was broken in Consul"
    return "another holder has the lock in Consul"
