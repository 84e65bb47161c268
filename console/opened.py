"""Opens a session: one application with everything that work on it needs, as the configuration says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

from backends.base import Clock
from backends.clock import SystemClock
from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.services import ConsulService
from backends.health.http import HttpHealth
from console.books import Books
from console.completing import completed
from console.config import Config
from console.log import Log
from console.roster import Roster
from console.session import Session, operator
from console.state_place import journal_path
from console.wiring import Wiring
from orchestrator.application import Application
from orchestrator.control import Control
from orchestrator.events import Bus
from orchestrator.fleet import Fleet
from orchestrator.journal.shared import Head
from orchestrator.lock import LocalLock, Lock
from orchestrator.shared_lock import SharedLock


@asynccontextmanager
async def open_session(config: Config, app: str) -> AsyncIterator[Session]:
    """Open what work on an application needs, and close it at the end.

    Args:
        config: the whole configuration.
        app: which application.

    Raises:
        ConfigError: no such application, or settings that do not fit together.
        BackendError: Consul has to tell where things are, and could not be asked.
    """
    config.app(app)  # before Consul is asked
    clock = SystemClock()
    bus = Bus(clock)
    async with AsyncExitStack() as closing:
        log = Log(config.log, app, bus)
        closing.push_async_callback(log.close)
        consul = Consul(config.consul) if config.consul is not None else None
        if consul is not None:
            closing.push_async_callback(consul.close)
        config = await completed(config, app, consul)
        settings = config.app(app)
        wiring = Wiring(config, bus.record, consul)
        closing.push_async_callback(wiring.close)
        fleet = Fleet(wiring.balancers(app), settings.backends)
        build = partial(wiring.nodes, app, settings)
        roster = Roster(settings, fleet, build, config.file, f"apps.{app}")
        closing.push_async_callback(roster.close)
        application = Application(
            app,
            await roster.first(),
            fleet,
            settings.rollout,
            settings.match,
            tuple(settings.unmanaged_backends),
            wiring.hooks(app),
            config.freezes_of(app),
        )
        path = journal_path(config.journal.path)
        lock = partial(_lock, config, app, path.parent / "locks", consul, clock)
        share = partial(_share, config, consul, bus)
        health = settings.health
        session = Session(
            application,
            bus,
            clock,
            roster.whole,
            books=Books(path, config.journal.keep_days, app, clock, bus, operator(), lock, share),
            sees_versions=isinstance(health, HttpHealth) and health.via == "console" and health.has_version,
        )
        inventory = settings.inventory if isinstance(settings.inventory, ConsulService) else None
        if consul is not None and config.consul is not None and config.lock.kind == "consul":
            from console.elsewhere import Elsewhere
            from console.following import Following

            session.shared = Following(consul, config.consul.prefix, app)
            session.elsewhere = Elsewhere(session.shared, clock, operator())
        if consul is not None and (inventory or settings.places or config.lock.kind == "consul"):
            await closing.enter_async_context(_watched(session, consul, inventory))
        yield session


@asynccontextmanager
async def _watched(session: Session, consul: Consul, inventory: ConsulService | None) -> AsyncIterator[None]:
    from console.consul_watch import ConsulWatch

    names = [each.name for each in session.application.nodes]
    session.consul = ConsulWatch(consul, inventory, names, session.clock, session.bus, session.at_work)
    watching = asyncio.create_task(session.consul.run(), name="consul")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _share(
    config: Config, consul: Consul | None, bus: Bus, lock: Lock, head: Head, control: Control
) -> AbstractAsyncContextManager[None]:
    """Others see a rollout, and may ask something of it, where they share its lock."""
    if consul is None or config.consul is None or not isinstance(lock, SharedLock):
        return nullcontext()
    from console.sharing import Publisher

    def session() -> str:
        return lock.shared.session if isinstance(lock.shared, ConsulLock) else ""

    return Publisher(consul, config.consul.prefix, head, session, bus, control).working()


def _lock(config: Config, app: str, folder: Path, consul: Consul | None, clock: Clock) -> Lock:
    """The lock of one piece of work."""
    local = LocalLock.of(folder, app)
    if config.lock.kind == "local" or consul is None or config.consul is None:
        return local
    key = f"{config.consul.prefix}/{app}/lock"
    shared = ConsulLock(consul, key, clock, config.lock.session_ttl, config.lock.delay)
    return SharedLock(local, shared, clock, alone=config.lock.fallback == "local")
