"""The factory of sessions: it opens one application with everything that is needed to work on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from backends.consul.client import Consul
from backends.hooks import make_hook
from backends.local_machine import SystemClock, keep_secret
from orchestrator.adapters import AdapterFactory
from orchestrator.background import Activity, keep_running
from orchestrator.balancers.group import BalancerGroup
from orchestrator.engine.control import RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.inventory.inventory import Inventory, LiveInventory
from orchestrator.inventory.kinds import needs_consul
from orchestrator.inventory.resolver import InventoryResolver
from orchestrator.inventory.source import NodeSource
from orchestrator.live.versions import VersionTracker
from orchestrator.local.control_socket import socket_path
from orchestrator.local.follower import JournalFollower
from orchestrator.locks.file import FileLock
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.remote.rollout import RemoteRollout
from orchestrator.session.calibration import calibration_path, read_m
from orchestrator.session.consul import ConsulMonitor, ConsulSharing
from orchestrator.session.links import SessionLinks
from orchestrator.session.recovery import roll_back_after
from orchestrator.session.session import Session
from orchestrator.session.work_log import WorkLog
from orchestrator.settings import ApplicationSettings, Settings


@asynccontextmanager
async def open_session(
    settings: Settings,
    app: str,
    *,
    actor: Actor,
    journal: Path,
    bus: EventBus | None = None,
    source: NodeSource | None = None,
    follower: JournalFollower | None = None,
    needs_socket: bool = False,
) -> AsyncIterator[Session]:
    """Open what work on an application needs, and close it at the end.

    Args:
        settings: of all applications.
        app: which application.
        actor: who works here.
        journal: the journal's file; the locks are in a folder beside it.
        bus: carries all events; None for a new one.
        source: of the nodes; None for the one in the settings.
        follower: of the journal, to see rollouts of other processes; None to see none.
        needs_socket: whether a rollout is refused that nobody could control.

    Raises:
        ConfigError: no such application, or settings that do not fit together.
        BackendError: Consul is needed for nodes or load balancers, and could not be asked.
    """
    own = settings.app(app)  # before Consul is asked
    keep_secret(settings.secret_variables())
    clock = SystemClock()
    bus = bus or EventBus(clock)
    async with AsyncExitStack() as closing:
        consul, sharing = None, None
        if settings.consul is not None:
            consul = Consul(settings.consul)
            closing.push_async_callback(consul.close)
            signer = await settings.consul.signer(app) if settings.lock.kind == "consul" else None
            sharing = ConsulSharing(consul, settings.consul, settings.lock, app, signer, bus, clock)
        haproxy = await settings.find_haproxy(app, consul)
        nodes_from = source or settings.source_of(app, consul)
        named = await nodes_from.read()
        adapters = AdapterFactory(settings.ssh, bus.record, settings.file)
        closing.push_async_callback(adapters.close)
        balancer_group = BalancerGroup(adapters.balancers(haproxy), own.backends)
        build = partial(adapters.nodes, app, own, nodes_from)
        resolver = InventoryResolver(
            named, balancer_group, build, settings.file, settings.nodes_key(app), own.port
        )
        closing.push_async_callback(resolver.close)
        application = replace(
            _make_application(settings, app, await resolver.first_known(), balancer_group),
            calibrated_m=read_m(calibration_path(journal, app), clock.time()),
        )
        locks = journal.parent / "locks"
        work_log = WorkLog(
            journal,
            settings.journal.retention_days,
            app,
            bus,
            actor,
            partial(sharing.lock, locks) if sharing is not None else partial(FileLock.of, locks, app),
            sharing.share if sharing is not None else None,
            own.health_check.version_regex,
        )
        activity = Activity(RolloutControl(clock, bus, forbidden=work_log.lost))
        works: dict[str, Callable[[], Awaitable[None]]] = {}
        monitor = None
        if consul is not None and settings.consul is not None and _asks_consul(settings, own):
            pauses = settings.consul.on_unavailable == "pause"
            monitor = ConsulMonitor(consul, clock, activity if pauses else None)
            works["asking whether Consul answers"] = monitor.run
        nodes, left = application.nodes, work_log.unfinished_nodes
        inventory = Inventory(nodes, resolver, nodes_from.remarks())
        if nodes_from.watch() is not None:
            asked = monitor is not None and source is None and needs_consul(own.inventory)
            silent = monitor.silence if monitor is not None and asked else None
            inventory = live = LiveInventory(nodes_from, resolver, nodes, named, activity, left, bus, silent)
            works[f"following the nodes in {nodes_from.name}"] = live.run
        check = own.health_check
        versions = VersionTracker(clock, sees=check.reports_version, version_regex=check.version_regex)
        published = sharing.subscriber() if sharing is not None else None
        session = Session(
            application,
            bus,
            work_log=work_log,
            roll_back_after=roll_back_after,
            activity=activity,
            inventory=inventory,
            versions=versions,
            links=SessionLinks(
                monitor,
                published,
                RemoteRollout(published, clock, actor, versions) if published is not None else None,
                follower.rollout(app) if follower is not None else None,
                socket_path(journal, app),
                needs_socket,
            ),
        )
        await closing.enter_async_context(_run_tasks(works, bus))
        yield session


def _make_application(
    settings: Settings, app: str, nodes: tuple[Node, ...], balancer_group: BalancerGroup
) -> Application:
    own = settings.app(app)
    return Application(
        app,
        nodes,
        balancer_group,
        own.rollout,
        own.match,
        tuple(own.ignored_backends),
        tuple(make_hook(hook, where) for where, hook in settings.hooks_of(app).items()),
        settings.freezes_of(app),
        own.canary,
        has_health_check=own.health is not None,
    )


def _asks_consul(settings: Settings, own: ApplicationSettings) -> bool:
    """Return whether work on an application depends on Consul."""
    pauses = settings.consul is not None and settings.consul.on_unavailable == "pause"
    shares = settings.lock.kind == "consul"
    return needs_consul(own.inventory) or own.load_balancers is not None or pauses or shares


@asynccontextmanager
async def _run_tasks(
    works: Mapping[str, Callable[[], Awaitable[None]]], bus: EventBus
) -> AsyncIterator[None]:
    """Run these tasks, by their names for operators, while the block runs."""

    def report(text: str) -> None:
        bus.emit(NodeNote(node="", text=text))

    tasks = [asyncio.create_task(keep_running(name, work, report), name=name) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
