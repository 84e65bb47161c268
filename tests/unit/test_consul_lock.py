"""A lock in Consul whose session is denied: by a server that has yet to read its data, or as it has ended."""

import asyncio
from typing import Any

import pytest

from backends.consul.client import Consul, Pair
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.errors import Unreachable
from backends.local_machine import SystemClock
from tests.support.wait import until

KEY = "rolldeck/shop/lock"
OURS = Pair(KEY, b"us", 1, 1, "ours")
FREE = Pair(KEY, b"us", 2, 1, "")
THEIRS = Pair(KEY, b"them", 3, 2, "theirs")


class Said(Consul):
    """Says of the session and of the key what it is told to say.

    Attributes:
        there: whether there is the session.
        pair: the key; None where it is missing, an error where Consul cannot say.
        renewals: how often it was asked to renew.
        changes: of the key, told one after the other to who waits for one; then there is none any more.
    """

    def __init__(self) -> None:
        super().__init__(ConsulSettings())
        self.there = True
        self.pair: Pair | Unreachable | None = OURS
        self.renewals = 0
        self.changes: list[Pair | Unreachable | None] = []

    async def get(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, Pair | None]:
        if index and not self.changes:
            await asyncio.Event().wait()
        pair = self.changes.pop(0) if index else self.pair
        if isinstance(pair, Unreachable):
            raise pair
        return index + 1, pair

    async def put(self, *_: Any, **__: Any) -> bool:
        return True

    async def begin_session(self, *_: Any) -> str:
        return OURS.session

    async def renew_session(self, session: str) -> bool:
        self.renewals += 1
        return self.there

    async def end_session(self, session: str) -> None:
        pass


class Quick(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)


async def renewed(consul: Said) -> None:
    """Until it was asked to twice more: what came of the first time is known then."""
    enough = consul.renewals + 2

    async def asked() -> bool:
        return consul.renewals >= enough

    await until(asked)


async def test_a_server_that_has_not_read_its_data_yet_has_not_ended_the_session() -> None:
    consul = Said()
    lock = ConsulLock(consul, KEY, Quick())
    assert await lock.try_acquire(b"us")
    consul.there, consul.pair = False, Unreachable("consul", "not ready to serve consistent reads")
    await renewed(consul)
    consul.pair = OURS
    await renewed(consul)
    assert (lock.lost_reason(), lock.fenced_reason()) == ("", "")
    consul.there = True
    await renewed(consul)
    assert (lock.lost_reason(), lock.fenced_reason()) == ("", "")
    await lock.release()


async def test_a_session_that_has_ended_is_the_end_whatever_is_there_instead() -> None:
    for pair in (FREE, THEIRS, None):
        consul = Said()
        lock = ConsulLock(consul, KEY, Quick())
        assert await lock.try_acquire(b"us")
        consul.there, consul.pair = False, pair

        async def fenced(lock: ConsulLock = lock) -> bool:
            return bool(lock.fenced_reason())

        await until(fenced)
        assert lock.lost_reason() == lock.fenced_reason() == "the lock's session in Consul has ended"
        await lock.release()


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (FREE, "the lock was broken in Consul"),
        (None, "the lock was broken in Consul"),
        (THEIRS, "another holder has the lock in Consul"),
    ],
)
async def test_a_lock_that_somebody_breaks_is_lost_and_one_that_changes_or_cannot_be_watched_is_not(
    pair: Pair | None, reason: str
) -> None:
    consul = Said()
    consul.changes = [Unreachable("consul", "no answer"), OURS]
    lock = ConsulLock(consul, KEY, Quick())
    assert await lock.try_acquire(b"us")
    await renewed(consul)
    assert (consul.changes, lock.lost_reason(), lock.fenced_reason()) == ([], "", "")
    await lock.release()
    consul.changes = [Unreachable("consul", "no answer"), OURS, pair]
    assert await lock.try_acquire(b"us")

    async def lost() -> bool:
        return bool(lock.lost_reason())

    await until(lost)
    assert lock.lost_reason() == lock.fenced_reason() == reason
    await lock.release()
