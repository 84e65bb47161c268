"""What of a piece of work others see in Consul, and the lock that all machines share there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.consul.signing import Signer
from backends.protocols import Clock
from backends.templates import fill_plain
from orchestrator.engine.control import Published, RolloutControl, already_published
from orchestrator.events.event_bus import EventBus
from orchestrator.locks.file import FileLock, Lock
from orchestrator.locks.layered import LayeredLock
from orchestrator.remote.header import RolloutHeader
from orchestrator.remote.publisher import RolloutPublisher
from orchestrator.remote.subscriber import RolloutSubscriber
from orchestrator.session.version_publisher import versions_told
from orchestrator.settings import LockSettings


class ConsulSharing:
    """Of one application.

    Args:
        consul: is asked and written to.
        settings: of it.
        lock: whether work on the application excludes that of other machines.
        app: the application.
        signer: signs what is written, and tells who is to be believed; see `ConsulSettings.signer`.
        bus: carries what is shared.
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
        """Sees rollouts of other machines; None where they do not share their lock."""
        if self._lock.kind != "consul":
            return None
        return RolloutSubscriber(self._consul, self._settings.prefix, self._app, self._signer)

    def lock(self, folder: Path) -> Lock:
        """The lock of one piece of work; its file is in this folder."""
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
        self, lock: Lock, head: RolloutHeader, control: RolloutControl
    ) -> AsyncIterator[Published]:
        """Others see a rollout, and may ask something of it, where they share its lock; and the versions.

        Yields what waits until others can see everything so far.
        """
        published: Published = already_published
        async with AsyncExitStack() as works:
            if template := self._settings.version_key:

                def lost() -> str:
                    return lock.lost_reason() or lock.fenced_reason()

                def key(node: str) -> str:
                    return fill_plain(template, {"app": head.application, "node": node})

                await self._consul.open()  # what is wrong with its settings shows before a node is touched
                await works.enter_async_context(versions_told(self._consul, key, self._bus, lost))
            if isinstance(lock, LayeredLock) and isinstance(shared := lock.shared, ConsulLock):
                publisher = RolloutPublisher(
                    self._consul,
                    self._settings.prefix,
                    head,
                    lambda: shared.session,
                    self._bus,
                    control,
                    self._signer,
                )
                published = await works.enter_async_context(publisher.working())
            yield published
