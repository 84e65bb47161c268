"""A session: one application with everything open that work on it needs. It outlives any front end."""

import asyncio
import getpass
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import msgspec

from backends.clock import SystemClock
from backends.health.http import HttpHealth
from console.config import Config
from console.roster import Roster
from console.wiring import Wiring
from orchestrator.application import Application
from orchestrator.control import Control
from orchestrator.events import Bus, NodeUpgraded, Record, RolloutEnded
from orchestrator.fleet import Fleet
from orchestrator.mapping import owners
from orchestrator.node import Node
from orchestrator.plan import Plan
from orchestrator.preflight import preflight
from orchestrator.rollout import Rollout
from orchestrator.state import RolloutState
from orchestrator.watch import View

LOOKS_AT_ONCE = 16  # at the versions of nodes


def operator() -> str:
    """Who works here, for events and questions: `user@machine`."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


class Session:
    """Front ends read `bus`, and act through `control` and the methods."""

    def __init__(
        self,
        application: Application,
        bus: Bus,
        clock: SystemClock,
        all_nodes: Callable[[], Awaitable[tuple[Node, ...]]] | None = None,
        *,
        sees_versions: bool = False,
    ) -> None:
        """
        Args:
            application: what is worked on, with the nodes that are known so far.
            bus: carries everything that happens.
            clock: the time.
            all_nodes: waits for the others.
            sees_versions: own health tells the version that runs, and is asked from this machine, so that
                looking costs no log-in.
        """
        self.application = application
        self.names: Mapping[tuple[str, str], str] = {}  # the node of a server line, see `learn`
        self._learnt: object = None
        self.versions: dict[str, str] = {}  # what runs, by node, as far as it was seen
        self._all_nodes = all_nodes
        self._sees_versions = sees_versions
        self.bus = bus
        self.clock = clock
        self.control = Control(clock, bus)
        self.defect: BaseException | None = None  # of our own code, in the last rollout
        self.rolling = False  # a rollout runs: signals and quitting must go through `control`
        self.state = RolloutState()  # of the last rollout
        self.carried_out: Plan | None = None  # the last one that was begun
        self._rollout: asyncio.Task[RolloutEnded] | None = None
        bus.subscribe(self._follow)

    def _follow(self, record: Record) -> None:
        self.state.apply(record)
        if isinstance(record.event, NodeUpgraded):
            self.versions[record.event.node] = self.state.version

    def running_now(self) -> str:
        """The versions that run and on how many nodes, in words; empty when none was seen."""
        counted = Counter(self.versions.values())
        return ", ".join(f"{version} on {count}" for version, count in counted.most_common())

    async def whole(self) -> Application:
        """The application with all of its nodes, those of a load balancer too that answered late.

        Raises:
            ConfigError: they do not fit together.
        """
        if self._all_nodes is not None:
            self.application = replace(self.application, nodes=await self._all_nodes())
        return self.application

    def learn(self, view: View) -> None:
        """Name the nodes of the servers that are seen; costs nothing while those are the same."""
        nodes, match = self.application.nodes, self.application.match
        seen = (nodes, *(each.places for each in view.instances))
        if seen != self._learnt:
            self._learnt = seen
            found = [owners(nodes, each.servers, match) for each in view.instances]
            self.names = {key: name for each in found for key, name in each.items()}

    async def look_at_versions(self, nodes: Sequence[Node] | None = None) -> None:
        """See which version runs on these nodes, by default on all of them.

        Where that needs a log-in, or nothing tells it, only preflight looks.
        """
        if not self._sees_versions:
            return
        slots = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def look(node: Node) -> None:
            async with slots:
                seen = await node.health.look()
            if seen.version is not None:
                self.versions[node.name] = seen.version
            else:
                self.versions.pop(node.name, None)  # better no version than an old one

        await asyncio.gather(*(look(each) for each in (self.application.nodes if nodes is None else nodes)))

    async def plan(
        self,
        version: str | None,
        *,
        limit: Sequence[str] = (),
        to_ready: Collection[str] = (),
        changes: Mapping[str, object] | None = None,
    ) -> Plan:
        """Preflight and plan; touches nothing. `changes` override fields of the roll-out policy."""
        whole = await self.whole()
        policy = msgspec.structs.replace(whole.policy, **(changes or {}))
        application = replace(whole, policy=policy)
        return await preflight(application, version, limit=limit, to_ready=to_ready)

    def start(self, plan: Plan) -> None:
        """Begin to carry out a plan in a task of the session's own: it outlives the front end."""
        self.control = Control(self.clock, self.bus, interactive=True)
        self.rolling = True
        self._rollout = asyncio.create_task(self.run(plan), name="rollout")

    async def finished(self) -> RolloutEnded | None:
        """Wait for the end of what `start` began; None when nothing was."""
        # Who waits may be cancelled (a front end that goes); the rollout must not be.
        return await asyncio.shield(self._rollout) if self._rollout is not None else None

    async def run(self, plan: Plan) -> RolloutEnded:
        """Carry out a plan; always returns how it ended; `defect` then tells of defects of our own.

        Raises:
            PreflightFailed: the plan has errors.
        """
        rollout = Rollout(self.application, plan, self.control, self.clock, self.bus, operator())
        self.rolling, self.carried_out = True, plan
        try:
            ended = await rollout.run()
        finally:
            self.rolling = False
        self.defect = rollout.defect
        return ended


@asynccontextmanager
async def open_session(config: Config, app: str) -> AsyncIterator[Session]:
    """Open what work on an application needs, and close it at the end.

    Args:
        config: the whole configuration.
        app: which application.

    Raises:
        ConfigError: no such application, or settings that do not fit together.
    """
    settings = config.app(app)
    clock = SystemClock()
    bus = Bus(clock)
    wiring = Wiring(config, bus.record)
    fleet = Fleet(wiring.balancers(app), settings.backends)
    build = partial(wiring.nodes, app, settings)
    roster = Roster(settings, fleet, build, config.file, f"apps.{app}")
    health = settings.health
    try:
        application = Application(
            app,
            await roster.first(),
            fleet,
            settings.rollout,
            settings.match,
            tuple(settings.unmanaged_backends),
        )
        yield Session(
            application,
            bus,
            clock,
            roster.whole,
            sees_versions=isinstance(health, HttpHealth) and health.via == "console" and health.has_version,
        )
    finally:
        await roster.close()
        await wiring.close()
