"""Opens a session: one application with everything that work on it needs, as the configuration says."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from backends.clock import SystemClock
from backends.consul.catalog import ConsulService
from backends.consul.client import Consul
from backends.health.http import HttpHealth
from console.completing import completed
from console.config.schema import Config
from console.debug_log import Log
from console.paths import journal_path
from console.roster import Roster
from console.who import operator
from console.wiring import Wiring
from console.with_consul import following_consul, lock_of, share
from orchestrator.actor import Via
from orchestrator.application import Application
from orchestrator.bus import Bus
from orchestrator.fleet import Fleet
from orchestrator.session.session import Session
from orchestrator.session.work_log import WorkLog


@asynccontextmanager
async def open_session(config: Config, app: str, via: Via = "terminal") -> AsyncIterator[Session]:
    """Open what work on an application needs, and close it at the end.

    Args:
        config: the whole configuration.
        app: which application.
        via: from where the operator works.

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
        signs = config.consul is not None and config.lock.kind == "consul"
        signer = await config.consul.signer(app) if config.consul is not None and signs else None
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
            tuple(settings.ignored_backends),
            wiring.hooks(app),
            config.freezes_of(app),
            has_health_check=settings.health is not None,
        )
        path = journal_path(config.journal.path)
        shown = partial(share, config, consul, signer, bus)
        lock = partial(lock_of, config, app, path.parent / "locks", consul, signer, clock)
        health = settings.health
        session = Session(
            application,
            bus,
            clock,
            roster.whole,
            books=WorkLog(path, config.journal.retention_days, app, clock, bus, operator(via), lock, shown),
            sees_versions=isinstance(health, HttpHealth)
            and health.check_from == "console"
            and health.has_version,
        )
        nodes_there = isinstance(settings.inventory, ConsulService)
        pauses = config.consul is not None and config.consul.on_unavailable == "pause"
        asks = nodes_there or settings.load_balancers or pauses or config.lock.kind == "consul"
        if consul is not None and asks:
            await closing.enter_async_context(following_consul(session, consul, config, roster, signer))
        yield session
