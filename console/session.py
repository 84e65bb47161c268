"""A session: one application with everything open that work on it needs. It outlives any front end."""

import asyncio
import getpass
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec

from backends.clock import SystemClock
from backends.errors import BackendError
from backends.model import Snapshot
from console.config import Config
from console.inventory import members
from console.log import Log
from console.wiring import Wiring
from orchestrator.application import Application
from orchestrator.control import Control
from orchestrator.events import Bus, NodeUpgraded, Record, RolloutEnded
from orchestrator.fleet import Fleet
from orchestrator.freeze import judge_freeze
from orchestrator.mapping import map_nodes
from orchestrator.plan import Plan, Severity
from orchestrator.preflight import preflight
from orchestrator.rollout import Rollout
from orchestrator.state import RolloutState


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
        names: Mapping[tuple[str, str], str] | None = None,
        *,
        looks_from_here: bool = False,
    ) -> None:
        """
        Args:
            application: what is worked on.
            bus: carries everything that happens.
            clock: the time.
            names: the node behind each server line, by backend and server name.
            looks_from_here: own health is asked from this machine, so looking costs no log-in.
        """
        self.application = application
        self.names = dict(names or {})
        self.versions: dict[str, str] = {}  # what runs, by node, as far as it was seen
        self._looks_from_here = looks_from_here
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

    async def look_at_versions(self) -> None:
        """See which version runs on each node; where that needs a log-in, only preflight looks."""
        if not self._looks_from_here:
            return
        nodes = self.application.nodes
        for node, seen in zip(
            nodes, await asyncio.gather(*(each.health.look() for each in nodes)), strict=True
        ):
            if seen.version is not None:
                self.versions[node.name] = seen.version
            else:
                self.versions.pop(node.name, None)  # better no version than an old one

    async def plan(
        self,
        version: str | None,
        *,
        limit: Sequence[str] = (),
        to_ready: Collection[str] = (),
        changes: Mapping[str, object] | None = None,
        freeze: Severity = Severity.ERROR,  # a warning for what repairs, and when it is overridden
    ) -> Plan:
        """Preflight and plan; touches nothing. `changes` override fields of the roll-out policy."""
        known = judge_freeze(self.application.freezes, self.clock.time(), freeze)
        policy = msgspec.structs.replace(self.application.policy, **(changes or {}))
        application = replace(self.application, policy=policy)
        return await preflight(application, version, limit=limit, to_ready=to_ready, known=known)

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
    log = Log(config.log, app, bus)
    try:
        fleet = Fleet(wiring.balancers(app), settings.backends)
        snapshots = await _snapshots(fleet)
        servers = [server for each in snapshots.values() for server in each.servers]
        places = members(settings, servers, config.file, f"apps.{app}")
        nodes = await wiring.nodes(app, settings, places)
        mapped, _ = map_nodes(nodes, snapshots, settings.match)
        yield Session(
            Application(
                app,
                tuple(nodes),
                fleet,
                settings.rollout,
                settings.match,
                tuple(settings.unmanaged_backends),
                wiring.hooks(app),
                config.freezes_of(app),
            ),
            bus,
            clock,
            {(ref.backend, ref.server): name for name, refs in mapped.items() for ref in refs},
            looks_from_here=settings.health.via == "console",
        )
    finally:
        await wiring.close()
        await log.close()


async def _snapshots(fleet: Fleet) -> dict[str, Snapshot]:
    """What HAProxy says of the nodes' places; one that does not answer is preflight's to report."""

    async def read(name: str) -> Snapshot | None:
        try:
            return await fleet.balancers[name].snapshot(fleet.backends)
        except BackendError:
            return None

    snapshots = await asyncio.gather(*(read(name) for name in fleet.balancers))
    return {name: each for name, each in zip(fleet.balancers, snapshots, strict=True) if each is not None}
