"""A session: one application with everything open that work on it needs. It outlives any front end."""

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from backends.clock import SystemClock
from backends.errors import BackendError
from backends.model import Server, Snapshot
from console.config import Config
from console.inventory import members
from console.wiring import Wiring
from orchestrator.application import Application
from orchestrator.control import Control
from orchestrator.events import Bus, RolloutEnded
from orchestrator.fleet import Fleet
from orchestrator.plan import Plan
from orchestrator.preflight import preflight
from orchestrator.rollout import Rollout


def operator() -> str:
    """Who works here, for events and questions: `user@machine`."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


class Session:
    """Front ends read `bus`, and act through `control` and the methods."""

    def __init__(self, application: Application, bus: Bus, clock: SystemClock) -> None:
        self.application = application
        self.bus = bus
        self.clock = clock
        self.control = Control(clock, bus)
        self.defect: BaseException | None = None  # of our own code, in the last rollout
        self.rolling = False  # a rollout runs: signals and quitting must go through `control`

    async def plan(
        self, version: str | None, *, limit: Sequence[str] = (), to_ready: Collection[str] = ()
    ) -> Plan:
        """Preflight and plan; touches nothing."""
        return await preflight(self.application, version, limit=limit, to_ready=to_ready)

    async def run(self, plan: Plan) -> RolloutEnded:
        """Carry out a plan; always returns how it ended; `defect` then tells of defects of our own.

        Raises:
            PreflightFailed: the plan has errors.
        """
        rollout = Rollout(self.application, plan, self.control, self.clock, self.bus, operator())
        self.rolling = True
        try:
            ended = await rollout.run()
        finally:
            self.rolling = False
        self.defect = rollout.defect
        return ended


@asynccontextmanager
async def open_session(
    config: Config, app: str, changes: Mapping[str, object] | None = None
) -> AsyncIterator[Session]:
    """Open what work on an application needs, and close it at the end.

    Args:
        config: the whole configuration.
        app: which application.
        changes: fields of the roll-out policy to override, as the command line does.

    Raises:
        ConfigError: no such application, or settings that do not fit together.
    """
    settings = config.app(app)
    policy = msgspec.structs.replace(settings.rollout, **(changes or {}))
    clock = SystemClock()
    bus = Bus(clock)
    wiring = Wiring(config, bus.record)
    try:
        fleet = Fleet(wiring.balancers(app), settings.backends)
        places = members(settings, await _known_servers(fleet), config.file, f"apps.{app}")
        nodes = await wiring.nodes(app, settings, places)
        yield Session(
            Application(app, tuple(nodes), fleet, policy, settings.match, tuple(settings.unmanaged_backends)),
            bus,
            clock,
        )
    finally:
        await wiring.close()


async def _known_servers(fleet: Fleet) -> list[Server]:
    """What HAProxy says of the nodes' places; one that does not answer is preflight's to report."""

    async def read(name: str) -> Snapshot | None:
        try:
            return await fleet.balancers[name].snapshot(fleet.backends)
        except BackendError:
            return None

    snapshots = await asyncio.gather(*(read(name) for name in fleet.balancers))
    return [server for each in snapshots if each for server in each.servers]
