"""A lock that several machines share: a session in Consul that is renewed, and a key that it holds.

The lock ends in three ways: it is released; its session has ended, because somebody broke the lock or Consul
declared its machine dead; or it could not be renewed before its time to live ran out, so that another
machine may hold it by now.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from backends.consul.client import Consul, Pair
from backends.consul.signing import Signer, open_value
from backends.errors import BackendError
from backends.key_lock import LockValue
from backends.protocols import Clock

BLOCKING_WAIT_S = 30.0  # how long one blocking read of the key may take
RETRY_INTERVAL_S = 0.5  # between requests to a Consul that does not answer


@dataclass(slots=True)
class ConsulLock:
    """A lock on one key. Implements `backends.key_lock.KeyLock`.

    Attributes:
        key: the key in Consul.
        ttl: seconds without a renewal after which the session ends; at least 10.
        delay: seconds after that in which nobody gets the lock, as its last holder may be about to write.
        fencing_token: how often the lock was acquired so far: an earlier holder has a smaller one.
        signer: signs what is written to the key, for this session only, and verifies what others wrote.
    """

    consul: Consul
    key: str
    clock: Clock
    ttl: int = 15
    delay: int = 5
    fencing_token: int = 0
    signer: Signer | None = None
    _session: str = ""
    _renewed: float = 0.0  # when the last successful renewal was requested
    _tried: float = 0.0  # when the last renewal was requested by a process that had not been suspended
    _loss: str = ""  # why the lock is certainly lost
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def session(self) -> str:
        """The session that holds the lock; empty while it is not held."""
        return self._session

    async def holder(self) -> LockValue | None:
        """Return what another holder has written; None when there is none. Raises BackendError."""
        _, pair = await self.consul.get(self.key)
        if pair is None or pair.session in ("", self._session):
            return None
        opened = open_value(self.signer, "lock", pair.value, pair.session)
        return LockValue(opened.content, opened.doubt)

    async def try_acquire(self, value: bytes) -> bool:
        """Acquire the lock and keep it; return whether it was free.

        Raises:
            BackendError: Consul does not answer.
        """
        requested = _now()
        self._session = await self.consul.begin_session(f"rolldeck {self.key}", self.ttl, self.delay)
        self._renewed = self._tried = requested
        self._loss = ""
        try:
            if self.signer is not None:  # for this session: a copy under another one is not valid
                value = self.signer.sign("lock", value, self._session)
            taken = await self.consul.put(self.key, value, acquire=self._session)
            index, pair = await self.consul.get(self.key)
        except BaseException:
            await self._end_session()
            raise
        if not taken or pair is None or pair.session != self._session:
            await self._end_session()
            return False
        self.fencing_token = pair.locked
        self._tasks = [
            asyncio.create_task(self._renew(), name=f"renew {self.key}"),
            asyncio.create_task(self._watch(index), name=f"watch {self.key}"),
        ]
        return True

    async def force_release(self) -> None:
        """End the session that holds the lock. Raises BackendError."""
        _, pair = await self.consul.get(self.key)
        if pair is not None and pair.session:
            await self.consul.end_session(pair.session)

    def fenced_reason(self) -> str:
        """Return why nothing at all may be done under this lock any more; empty while something may.

        While Consul merely does not answer, the running step may end. It may not when the lock is known to
        be lost, or when this machine was suspended for so long that it may be: others act on the nodes then.
        """
        if not self._loss and self._session and _now() - self._tried > self.ttl:
            return "Rolldeck was suspended for longer than its lock lasts"
        return self._loss  # for as long as the work takes: then nothing is tried any more

    def lost_reason(self) -> str:
        """Return why no node may be taken out under this lock any more; empty while it is held."""
        if not self._session:
            return "the lock was released"
        if self._loss:
            return self._loss
        silent = _now() - self._renewed
        if silent > self.ttl:
            return f"the lock could not be renewed in Consul for {silent:.0f} s; another machine may have it"
        return ""

    async def release(self) -> None:
        """Give the lock back, if it is held. Never raises: the session ends by itself."""
        for task in self._tasks:
            task.cancel()
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
        """Renew the session three times in each period, so that one lost answer does not lose the lock."""
        while True:
            await self.clock.sleep(self.ttl / 3)
            while True:
                requested = _now()
                if not self.fenced_reason():  # after a suspension it stays fenced until Consul has answered
                    self._tried = requested
                with contextlib.suppress(BackendError, TimeoutError):
                    # Whatever the time-out in the settings is: waiting for an answer is not being suspended.
                    async with asyncio.timeout(self.ttl / 3):
                        exists = await self.consul.renew_session(self._session)
                        if exists or not await self._holds_key():
                            break
                await self.clock.sleep(RETRY_INTERVAL_S)
            if not exists:
                self._loss = self._loss or "the lock's session in Consul has ended"
                return
            self._renewed = self._tried = requested

    async def _holds_key(self) -> bool:
        """Return whether this session holds the key, as all servers agree. Raises BackendError.

        A server that has just started may lead before it has read its data: for a moment it denies every
        session. It returns an error for a key then.
        """
        _, pair = await self.consul.get(self.key)
        return pair is not None and pair.session == self._session

    async def _watch(self, index: int) -> None:
        """Wait until somebody breaks the lock, and note it at once."""
        while not self._loss:
            try:
                index, pair = await self.consul.get(self.key, index, BLOCKING_WAIT_S)
            except BackendError:
                await self.clock.sleep(RETRY_INTERVAL_S)
                continue
            if pair is None or pair.session != self._session:
                self._loss = _lost_reason(pair)
                return


def _now() -> float:
    """Return seconds that also pass while the machine is suspended, when others may acquire the lock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _lost_reason(pair: Pair | None) -> str:
    if pair is None or not pair.session:
        return "the lock was broken in Consul"
    return "another holder has the lock in Consul"
