"""A rollout that others can see and ask: published in Consul while it runs, by whoever has the lock.

The key is held by the session of the lock: who has lost that can publish nothing any more.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from backends.consul.client import Consul
from backends.errors import BackendError
from orchestrator.actor import Actor
from orchestrator.bus import Bus
from orchestrator.control import GO, RETRY, SKIP, Control
from orchestrator.events import Noted, Record
from orchestrator.journal.shared import Head, pack

APART = 0.2  # seconds between two publications
PAUSE = 0.5  # before Consul is asked again that could not be asked, or said no
WAIT = 30.0  # that one look for requests may block
LAST = 5.0  # for the last publication, at the end

What = Literal["pause", "resume", "abort", "go", "retry", "skip"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody on another machine wants of a rollout."""

    what: What
    who: str
    subject: str = ""  # of the question that is answered: a node or a batch; empty for the only one


def rollout_key(prefix: str, app: str) -> str:
    return f"{prefix}/{app}/rollout"


def requests_key(prefix: str, app: str) -> str:
    return f"{prefix}/{app}/requests/"


async def ask(consul: Consul, prefix: str, app: str, request: Request) -> str:
    """Leave a request; returns its key, which is gone once it was taken. Raises BackendError."""
    key = f"{requests_key(prefix, app)}{time.time():.3f}-{uuid.uuid4().hex[:8]}"
    await consul.put(key, msgspec.json.encode(request))
    return key


class Publisher:
    """Publishes one rollout, and carries out what is asked of it.

    Args:
        consul: is written to and read.
        prefix: of all keys.
        head: of the rollout.
        session: that has the lock.
        bus: carries what happens.
        control: takes what is asked.
    """

    def __init__(
        self, consul: Consul, prefix: str, head: Head, session: Callable[[], str], bus: Bus, control: Control
    ) -> None:
        self._consul = consul
        self._key = rollout_key(prefix, head.application)
        self._requests = requests_key(prefix, head.application)
        self._head = head
        self._session = session
        self._bus = bus
        self._control = control
        self._records: list[Record] = []
        self._dirty = asyncio.Event()
        self._dirty.set()
        self._putting = asyncio.Lock()  # an older state must not come after a newer one

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Publish and listen meanwhile. What Consul does not take stops nothing: HAProxy and nodes count."""
        with contextlib.suppress(BackendError):
            await self._consul.delete(self._requests, recurse=True)  # those of an earlier rollout
        unsubscribe = self._bus.subscribe(self._keep)
        before, self._control.published = self._control.published, self._all_published
        tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._listen())]
        try:
            yield
        finally:
            unsubscribe()
            self._control.published = before
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST):
                    await self._done()
                    await self._give_back()

    def _keep(self, record: Record) -> None:
        self._records.append(record)
        self._dirty.set()

    async def _all_published(self) -> None:
        """Until everything so far is there, but not for ever: HAProxy and nodes are what counts."""
        try:
            async with asyncio.timeout(LAST):
                while not await self._done():  # noqa: ASYNC110 - Consul cannot tell us
                    await asyncio.sleep(APART)
        except TimeoutError:
            text = "Consul does not take it: another machine could not put the next node back as it was"
            self._bus.emit(Noted(node="", text=text))

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
            await asyncio.sleep(APART if done else PAUSE)

    async def _put(self) -> bool:
        session = self._session()
        async with self._putting:
            return bool(session) and await self._consul.put(
                self._key, pack(self._head, self._records), acquire=session
            )

    async def _give_back(self) -> None:
        """What a session has as it ends nobody gets for the lock's delay: the next rollout was unseen."""
        session = self._session()
        if session:
            with contextlib.suppress(BackendError):
                await self._consul.put(self._key, pack(self._head, self._records), release=session)

    async def _listen(self) -> None:
        index = 0
        while True:
            try:
                index, found = await self._consul.list(self._requests, index, WAIT)
                for each in found:
                    self._take(each.value)
                    await self._consul.delete(each.key)
            except BackendError:
                await asyncio.sleep(PAUSE)

    def _take(self, value: bytes) -> None:
        try:
            request = msgspec.json.decode(value, type=Request)
        except msgspec.MsgspecError as error:
            self._bus.emit(Noted(node="", text=f"a request in Consul cannot be understood: {error}"))
            return
        control, who = self._control, Actor(request.who, "consul")
        match request.what:
            case "pause":
                control.pause(who, "asked from another machine")
            case "resume":
                control.resume(who)
            case "abort":
                control.abort(who, "asked from another machine")
            case "go" | "retry" | "skip":
                self._answer({"go": GO, "retry": RETRY, "skip": SKIP}[request.what], request)

    def _answer(self, choice: str, request: Request) -> None:
        open_ = [each for each in self._control.questions if request.subject in ("", each.subject)]
        if len(open_) != 1 or choice not in open_[0].choices:
            what = "no such question is open" if not open_ else f"open: {', '.join(q.subject for q in open_)}"
            self._bus.emit(Noted(node="", text=f"{request.who} asked to {request.what}, and {what}"))
            return
        self._control.answer(open_[0].id, choice, Actor(request.who, "consul"))
