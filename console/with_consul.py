"""What of a session hangs on Consul: its nodes as they come and go, its lock, and what others see of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from backends.consul.catalog import ConsulService
from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.signing import Signer
from backends.errors import ConfigError
from backends.protocols import Clock
from backends.templates import check_host, fill_plain
from console.completing import node_settings
from console.config.schema import Config
from console.roster import Roster
from orchestrator.background import keep_running
from orchestrator.bus import Bus
from orchestrator.control import Control
from orchestrator.errors import JournalError
from orchestrator.events import NodeNote
from orchestrator.journal.leftovers import Leftover
from orchestrator.locks.file import FileLock, Lock
from orchestrator.locks.layered import LayeredLock
from orchestrator.node import Node
from orchestrator.remote.payload import Endpoint, RolloutHeader
from orchestrator.session.session import Session
from orchestrator.settings import NodeSettings


@asynccontextmanager
async def following_consul(
    session: Session, consul: Consul, config: Config, roster: Roster, signer: Signer | None = None
) -> AsyncIterator[None]:
    """Within it the session knows how Consul is, and its nodes are those that Consul has now.

    Args:
        session: is given what it needs for that.
        consul: is asked.
        config: of all applications.
        roster: makes the session's nodes.
        signer: tells who is to be believed; see `ConsulSettings.signer`.
    """
    from orchestrator.inventory.consul import ConsulInventory
    from orchestrator.remote.rollout import RemoteRollout
    from orchestrator.remote.subscriber import RolloutSubscriber
    from orchestrator.session.consul_monitor import ConsulMonitor

    app, clock = session.application.name, session.clock
    settings = config.app(app)
    if config.consul is None:
        raise TypeError("without a [consul] there is nothing to follow")
    works: dict[str, Callable[[], Awaitable[None]]] = {}
    if isinstance(settings.inventory, ConsulService):
        nodes = _Nodes(session, roster, settings.inventory, settings.nodes)
        session.inventory = ConsulInventory(
            consul,
            settings.inventory,
            clock,
            session.bus,
            lambda: session.application.nodes,
            lambda: nodes.absent,
            session.at_work,
            nodes.adopt,
        )
        session.know_nodes_by(nodes.whole, nodes.places)
        works["following the nodes in Consul"] = session.inventory.run
    pauses = config.consul.on_unavailable == "pause"
    if config.lock.kind == "consul":
        session.shared = RolloutSubscriber(consul, config.consul.prefix, app, signer)
        session.elsewhere = RemoteRollout(session.shared, clock, session.actor, session.versions)

    def noted() -> str:
        texts = [
            session.inventory.words() if session.inventory is not None else "",
            session.elsewhere.problem if session.elsewhere is not None else "",
        ]
        return "; ".join(filter(None, texts))

    session.consul = ConsulMonitor(
        consul, clock, lambda: session.control if pauses and session.rolling else None, noted
    )
    works["asking whether Consul answers"] = session.consul.run

    def report(text: str) -> None:
        session.bus.emit(NodeNote(node="", text=text))

    tasks = [
        asyncio.create_task(keep_running(name, work, report), name="consul") for name, work in works.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Nodes:
    """Those that Consul has, and those that a rollout has left and that are not registered any more."""

    def __init__(
        self, session: Session, roster: Roster, service: ConsulService, known: dict[str, NodeSettings]
    ) -> None:
        self._session = session
        self._roster = roster
        self._service = service
        self._now = known
        self.absent: frozenset[str] = frozenset()  # left by a rollout, and not registered any more
        self._known = dict(known)  # all that were seen, as they were last

    async def adopt(self) -> bool:
        """Take over what there is now, unless a rollout runs. Raises ConfigError."""
        if self._session.rolling:
            return False
        await self._session.whole()
        return True

    async def whole(self) -> tuple[Node, ...]:
        """As `Roster.whole`."""
        inventory = self._session.inventory
        if inventory is None or self._session.rolling:
            return await self._roster.whole()
        # Without any it may have lost its data: then the nodes are those of before.
        now = self._now = node_settings(self._service, inventory.latest or {}) or self._now
        self._known |= now
        # Many deregister when they are stopped: those have their place from before, or from HAProxy.
        left = {name: each for name, each in self._left().items() if name not in now}
        self.absent = frozenset(left)
        if left:
            self._roster.renew(dict(sorted({**now, **left}.items())))
            try:
                return await self._roster.whole()
            except ConfigError:  # HAProxy does not know it either
                pass
        self._roster.renew(now)
        return await self._roster.whole()

    def places(self) -> dict[str, object]:
        """All nodes that were seen, for the journal."""
        return {
            name: msgspec.to_builtins(Endpoint(address=each.address, port=each.port, ssh=each.ssh))
            for name, each in self._known.items()
        }

    def _left(self) -> dict[str, NodeSettings]:
        try:
            left = self._session.books.leftovers()
        except JournalError:
            return {}  # a plan says so
        return {name: self._known.get(name) or place_of(each) for name, each in left.items()}


def place_of(left: Leftover) -> NodeSettings:
    """As its plan knew it; whoever wrote that may have been another machine."""
    try:
        found = msgspec.convert(left.entry.plan["places"][left.node], Endpoint)
        for what, value in (("address", found.address), ("ssh", found.ssh or found.address)):
            check_host(f"{what} of {left.node}", value)
    except (KeyError, TypeError, msgspec.ValidationError, ConfigError):
        return NodeSettings()  # HAProxy tells it
    return NodeSettings(address=found.address, port=found.port, ssh=found.ssh)


@asynccontextmanager
async def share(
    config: Config,
    consul: Consul | None,
    signer: Signer | None,
    bus: Bus,
    lock: Lock,
    head: RolloutHeader,
    control: Control,
) -> AsyncIterator[None]:
    """Others see a rollout, and may ask something of it, where they share its lock; and the versions."""
    if consul is None or config.consul is None:
        yield
        return
    async with AsyncExitStack() as works:
        if config.consul.version_key:
            from orchestrator.session.version_publisher import versions_told

            def lost() -> str:
                return lock.lost() or lock.fenced()

            await consul.open()  # what is wrong with its settings shows before a node is touched
            template = config.consul.version_key

            def key(node: str) -> str:
                return fill_plain(template, {"app": head.application, "node": node})

            await works.enter_async_context(versions_told(consul, key, bus, lost))
        if isinstance(lock, LayeredLock) and isinstance(lock.shared, ConsulLock):
            from orchestrator.remote.publisher import RolloutPublisher

            shared = lock.shared
            publisher = RolloutPublisher(
                consul, config.consul.prefix, head, lambda: shared.session, bus, control, signer
            )
            await works.enter_async_context(publisher.working())
        yield


def lock_of(
    config: Config, app: str, folder: Path, consul: Consul | None, signer: Signer | None, clock: Clock
) -> Lock:
    """The lock of one piece of work."""
    local = FileLock.of(folder, app)
    if config.lock.kind == "local" or consul is None or config.consul is None:
        return local
    key = f"{config.consul.prefix}/{app}/lock"
    shared = ConsulLock(consul, key, clock, config.lock.session_ttl, config.lock.lock_delay, signer=signer)
    return LayeredLock(local, shared, clock, config.lock.ttl, alone=config.lock.fallback == "local")
