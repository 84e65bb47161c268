"""The publisher of a running rollout in Consul, which also receives control requests from other machines.

The session of the lock holds the key, so that nothing can be published once the lock is lost.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from backends.consul.client import Consul
from backends.consul.signing import Signer
from backends.errors import BackendError
from orchestrator.background import keep_running
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.rollout_context import Published
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Record
from orchestrator.remote.control_requests import ControlRequest, ControlRequests
from orchestrator.remote.payload import pack
from orchestrator.remote.takeover import RolloutHeader

PUBLISH_INTERVAL_S = 0.2  # seconds between two publications
RETRY_INTERVAL_S = 0.5  # seconds before another attempt after Consul failed or refused
BLOCKING_WAIT_S = 30.0  # seconds for which a query for requests may block
FINAL_PUBLISH_TIMEOUT_S = 5.0  # seconds for the last publication, at the end
MAX_KEPT_REQUESTS = 100  # refused requests that are kept in Consul; with more, all are deleted


def make_rollout_key(prefix: str, app: str) -> str:
    """Return the key of the running rollout of an application."""
    return f"{prefix}/{app}/rollout"


def make_requests_key(prefix: str, app: str) -> str:
    """Return the folder for requests to the running rollout of an application."""
    return f"{prefix}/{app}/requests/"


async def send_request(
    consul: Consul, prefix: str, app: str, request: ControlRequest, signer: Signer | None = None
) -> str:
    """Send a request; returns its key, which is gone once it was accepted. Raises BackendError."""
    key = f"{make_requests_key(prefix, app)}{request.at:.3f}-{request.nonce[:8]}"
    value = msgspec.json.encode(request)
    await consul.put(key, value if signer is None else signer.sign("request", value))
    return key


class RolloutPublisher:
    """Publishes one rollout, and carries out requests to it.

    Args:
        consul: is written to and read.
        prefix: of all keys.
        header: of the rollout.
        session: the one that holds the lock.
        bus: carries the events.
        control: of the rollout.
        signer: signs what is published, and verifies requests.
    """

    def __init__(
        self,
        consul: Consul,
        prefix: str,
        header: RolloutHeader,
        session: Callable[[], str],
        bus: EventBus,
        control: RolloutControl,
        signer: Signer | None = None,
    ) -> None:
        self._consul = consul
        self._key = make_rollout_key(prefix, header.application)
        self._folder = make_requests_key(prefix, header.application)
        self._header = header
        self._session = session
        self._bus = bus
        self._control = control
        self._signer = signer
        self._requests = ControlRequests(header.fence, control, signer)
        self._records: list[Record] = []
        self._number = 0  # of the state that was published last
        self._dirty = asyncio.Event()
        self._dirty.set()
        self._putting = asyncio.Lock()  # an older state must not come after a newer one

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Published]:
        """Publish and listen meanwhile. A failure of Consul stops nothing: HAProxy and nodes come first.

        Yields a function that waits, for a limited time, until everything so far is published.
        """
        await self._delete_requests()  # those of an earlier rollout
        unsubscribe = self._bus.subscribe(self._keep)
        works = {"publishing to Consul": self._publish, "taking requests from Consul": self._listen}
        tasks = [asyncio.create_task(keep_running(name, work, self._note)) for name, work in works.items()]
        try:
            yield self._all_published
        finally:
            unsubscribe()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINAL_PUBLISH_TIMEOUT_S):
                    await self._done()
                    await self._give_back()
                    await self._delete_requests()

    async def _delete_requests(self) -> None:
        with contextlib.suppress(BackendError):
            await self._consul.delete(self._folder, recurse=True)

    def _keep(self, record: Record) -> None:
        self._records.append(record)
        self._requests.watch(record)
        self._dirty.set()

    def _note(self, text: str) -> None:
        self._bus.emit(NodeNote(node="", text=text))

    async def _all_published(self) -> None:
        """Wait, for a limited time, until everything so far is published."""
        try:
            async with asyncio.timeout(FINAL_PUBLISH_TIMEOUT_S):
                while not await self._done():  # noqa: ASYNC110 - Consul cannot tell us
                    await asyncio.sleep(PUBLISH_INTERVAL_S)
        except TimeoutError:
            self._note(
                "cannot publish state to Consul: another machine could not restore the next node's"
                " original state"
            )

    async def _done(self) -> bool:
        with contextlib.suppress(BackendError):
            return await self._put()
        return False

    async def _publish(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            done = await self._done()
            if not done:
                self._dirty.set()
            await asyncio.sleep(PUBLISH_INTERVAL_S if done else RETRY_INTERVAL_S)

    def _value(self) -> bytes:
        """Return the newest state, with the next number."""
        self._number += 1
        packed = pack(self._header, self._records, self._number, time.time(), self._bus.journal_head)
        return packed if self._signer is None else self._signer.sign("publication", packed)

    async def _put(self) -> bool:
        session = self._session()
        async with self._putting:
            return bool(session) and await self._consul.put(self._key, self._value(), acquire=session)

    async def _give_back(self) -> None:
        """Release the key: if the session expired with it, the lock's delay would hide the next rollout."""
        session = self._session()
        if session:
            with contextlib.suppress(BackendError):
                await self._consul.put(self._key, self._value(), release=session)

    async def _listen(self) -> None:
        index = 0
        while True:
            try:
                index, found = await self._consul.list(self._folder, index, BLOCKING_WAIT_S)
                self._requests.forget_all_but(found)
                for pair in found:
                    # A refused request stays, so that its sender learns that nobody has accepted it.
                    if self._requests.take(pair) or len(found) > MAX_KEPT_REQUESTS:
                        await self._consul.delete(pair.key)
            except BackendError:
                await asyncio.sleep(RETRY_INTERVAL_S)
