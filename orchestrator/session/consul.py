"""Consul while a session is open: a monitor of Consul itself, and the sharing of rollouts through it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.consul.signing import Signer
from backends.errors import BackendError, ConfigError, RolldeckError
from backends.protocols import Clock
from backends.templates import fill_plain
from orchestrator.background import Activity, keep_running
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.rollout_context import Published, already_published
from orchestrator.events.actor import ROLLDECK, Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeDone, NodeNote, NodeStarted, Record
from orchestrator.locks.file import FileLock, Lock
from orchestrator.locks.layered import LayeredLock
from orchestrator.remote.publisher import RolloutPublisher
from orchestrator.remote.rollout import RolloutSubscriber
from orchestrator.remote.takeover import RolloutHeader
from orchestrator.settings import LockSettings

CONSUL_BACK = Actor(f"{ROLLDECK}, as Consul answers again", ROLLDECK.via)  # the actor who resumes
CHECK_INTERVAL_S = 2.0  # seconds between two checks of Consul; a blocking query would notice late


@dataclass(frozen=True, slots=True)
class ConsulStatus:
    """The state of Consul.

    Attributes:
        age: seconds since its last answer.
        note: why it is stale, or what else there is to say; else empty.
    """

    state: Literal["connecting", "live", "stale"]
    age: float
    note: str


class ConsulMonitor:
    """Checks whether Consul answers: it asks for the leader again and again.

    Args:
        consul: is asked.
        clock: the time.
        pausing: the activity whose rollout pauses while Consul does not answer; None to pause none.
    """

    def __init__(self, consul: Consul, clock: Clock, pausing: Activity | None = None) -> None:
        self._consul = consul
        self._clock = clock
        self._pausing = pausing
        self._answered = 0.0  # monotonic; 0 before the first answer
        self._why = ""  # it does not answer
        self._judged: RolloutControl | None = None  # the rollout that was paused in this outage

    def silence(self) -> str:
        """Say why Consul does not answer; empty while it does."""
        return self._why

    def status(self, note: str = "") -> ConsulStatus:
        """Return the state of Consul, with a note for the time while it answers."""
        if not self._answered:
            return ConsulStatus("connecting", 0, self._why)
        state: Literal["stale", "live"] = "stale" if self._why else "live"
        age = self._clock.monotonic() - self._answered
        return ConsulStatus(state, age, self._why or note)

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            try:
                await self._consul.leader()
                self._answered, self._why = self._clock.monotonic(), ""
            except (BackendError, ConfigError) as error:
                self._why = error.problem
            except Exception as error:  # after a defect an old answer must not pass for a live one
                self._why = f"internal error: {error!r}"
            self._pause_or_resume()
            await self._clock.sleep(CHECK_INTERVAL_S)

    def _pause_or_resume(self) -> None:
        """Pause the rollout once in an outage: after a resume by an operator it goes on for the rest of it.

        A rollout that an operator has paused, before or since, is not resumed automatically.
        """
        pausing, judged = self._pausing, self._judged
        rollout = pausing.control if pausing is not None and pausing.is_rolling else None
        with contextlib.suppress(Exception):  # an unwritable journal stops the rollout, not this task
            if self._why and rollout is not None and rollout is not judged:
                self._judged = rollout
                if not rollout.paused:
                    rollout.pause(ROLLDECK, f"Consul does not answer: {self._why}")
            elif not self._why and judged is not None:
                self._judged = None
                if judged.paused and judged.paused_by == ROLLDECK:
                    judged.resume(CONSUL_BACK)


class ConsulSharing:
    """Shares lock, rollout and versions of one application with other machines by Consul.

    Args:
        consul: is asked and written to.
        settings: of Consul.
        lock: whether work on the application excludes that of other machines.
        app: the application.
        signer: signs what is written, and verifies what is read; see `ConsulSettings.signer`.
        bus: carries the events that are shared.
        clock: the time.
    """

    def __init__(
        self,
        consul: Consul,
        settings: ConsulSettings,
        lock: LockSettings,
        app: str,
        signer: Signer | None,
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._consul = consul
        self._settings = settings
        self._lock = lock
        self._app = app
        self._signer = signer
        self._bus = bus
        self._clock = clock

    def subscriber(self) -> RolloutSubscriber | None:
        """Return the reader of rollouts of other machines; None unless they share their lock."""
        if self._lock.kind != "consul":
            return None
        return RolloutSubscriber(self._consul, self._settings.prefix, self._app, self._signer)

    def lock(self, folder: Path) -> Lock:
        """Return the lock for one piece of work; its file is in this folder."""
        local = FileLock.of(folder, self._app)
        if self._lock.kind != "consul":
            return local
        key = f"{self._settings.prefix}/{self._app}/lock"
        ttl, delay = self._lock.session_ttl, self._lock.lock_delay
        shared = ConsulLock(self._consul, key, self._clock, ttl, delay, signer=self._signer)
        alone = self._lock.fallback == "local"
        return LayeredLock(local, shared, self._clock, self._lock.ttl, alone=alone)

    @asynccontextmanager
    async def share(
        self, lock: Lock, header: RolloutHeader, control: RolloutControl
    ) -> AsyncIterator[Published]:
        """Publish the rollout if its lock is shared, take requests to it, and publish versions.

        Yields a function that waits until others can see everything so far.
        """
        published: Published = already_published
        async with AsyncExitStack() as works:
            if template := self._settings.version_key:

                def lost() -> str:
                    return lock.lost_reason() or lock.fenced_reason()

                def key(node: str) -> str:
                    return fill_plain(template, {"app": header.application, "node": node})

                await self._consul.open()  # what is wrong with its settings shows before a node is touched
                await works.enter_async_context(publish_versions(self._consul, key, self._bus, lost))
            if isinstance(lock, LayeredLock) and isinstance(shared := lock.shared, ConsulLock):
                publisher = RolloutPublisher(
                    self._consul,
                    self._settings.prefix,
                    header,
                    lambda: shared.session,
                    self._bus,
                    control,
                    self._signer,
                )
                published = await works.enter_async_context(publisher.working())
            yield published


RETRY_INTERVAL_S = 1.0  # seconds before another attempt after a failure
FINAL_PUBLISH_TIMEOUT_S = 5.0  # seconds for the remaining versions at the end


@asynccontextmanager
async def publish_versions(
    consul: Consul, key: Callable[[str], str], bus: EventBus, lost: Callable[[], str]
) -> AsyncIterator[None]:
    """Write the version of each node that is done to Consul. A failure stops nothing, and is reported.

    Args:
        consul: is written to.
        key: of a node; its value is the version.
        bus: carries which node is done.
        lost: says why the lock was lost; then nothing is written any more. Empty while it is ours.
    """
    publisher = _VersionPublisher(consul, key, bus, lost)
    unsubscribe = bus.subscribe(publisher.keep)

    def report(text: str) -> None:
        bus.emit(NodeNote(node="", text=text))

    working = asyncio.create_task(
        keep_running("writing versions to Consul", publisher.run, report), name="versions"
    )
    try:
        yield
    finally:
        unsubscribe()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINAL_PUBLISH_TIMEOUT_S):
                while not await publisher.write():  # noqa: ASYNC110 - Consul cannot tell us
                    await asyncio.sleep(RETRY_INTERVAL_S)


class _VersionPublisher:
    """Writes versions to Consul, see `publish_versions`."""

    def __init__(
        self, consul: Consul, key: Callable[[str], str], bus: EventBus, lost: Callable[[], str]
    ) -> None:
        self._consul = consul
        self._key = key
        self._bus = bus
        self._lost = lost
        self._wanted: dict[str, str] = {}  # the target version of each node
        self._waiting: dict[str, str] = {}  # what is not written yet, oldest first
        self._some_wait = asyncio.Event()
        self._reported = set[str]()  # nodes whose delay was reported

    def keep(self, record: Record) -> None:
        """Take note of a node that is done."""
        match record.event:
            case NodeStarted(node=node, version=version):
                self._wanted[node] = version
            case NodeDone(node=node, version=version):
                self._waiting[node] = version or self._wanted.get(node, "")
                self._some_wait.set()

    async def write(self) -> bool:
        """Write all that waits, oldest first; returns whether Consul has accepted it."""
        while self._waiting and not self._lost():
            node, version = next(iter(self._waiting.items()))
            try:
                await self._consul.put(self._key(node), version.encode())
            except RolldeckError as error:
                if node not in self._reported:
                    self._reported.add(node)
                    text = f"its version is not written to Consul yet: {error}"
                    self._bus.emit(NodeNote(node=node, text=text))
                return False
            if self._waiting[node] == version:
                del self._waiting[node]
        return True

    async def run(self) -> None:
        """Write whatever begins to wait, until cancelled."""
        while True:
            await self._some_wait.wait()
            self._some_wait.clear()
            if not await self.write():
                self._some_wait.set()
                await asyncio.sleep(RETRY_INTERVAL_S)
