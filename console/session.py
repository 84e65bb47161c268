"""A session: one application with everything open that work on it needs. It outlives any front end."""

import asyncio
import getpass
import glob
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec

from backends.clock import SystemClock
from backends.errors import BackendError, RolldeckError
from backends.model import Server, Snapshot
from console.books import Books
from console.config import Config
from console.inventory import members
from console.state_place import journal_path
from console.wiring import Wiring
from orchestrator import manual
from orchestrator.application import Application
from orchestrator.control import Control
from orchestrator.events import Bus, ChangeBegan, ChangeEnded, NodeUpgraded, Record, RolloutEnded
from orchestrator.fleet import Fleet
from orchestrator.journal.store import Kind
from orchestrator.manual import Change
from orchestrator.mapping import map_nodes
from orchestrator.plan import Plan
from orchestrator.plan_fields import plan_fields
from orchestrator.preflight import preflight
from orchestrator.rollout import Rollout
from orchestrator.state import RolloutState
from orchestrator.words import health


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
        books: Books,
        looks_from_here: bool = False,
    ) -> None:
        """
        Args:
            application: what is worked on.
            bus: carries everything that happens.
            clock: the time.
            names: the node behind each server line, by backend and server name.
            books: where the work is written down.
            looks_from_here: own health is asked from this machine, so looking costs no log-in.
        """
        self.application = application
        self.names = dict(names or {})
        self.versions: dict[str, str] = {}  # what runs, by node, as far as it was seen
        self.books = books
        self._looks_from_here = looks_from_here
        self.bus = bus
        self.clock = clock
        self.control = Control(clock, bus)
        self.defect: BaseException | None = None  # of our own code, in the last rollout
        self.rolling = False  # a rollout runs: signals and quitting must go through `control`
        self.state = RolloutState()  # of the last rollout
        self.endings: list[RolloutEnded] = []  # of all rollouts so far
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
        nodes: Sequence[str] = (),
        wanted: Mapping[str, str] | None = None,
    ) -> Plan:
        """Preflight and plan; touches nothing.

        Args:
            version: to which; None to look only.
            limit: names or patterns of nodes; all when empty.
            to_ready: nodes to put in rotation although a human has them out.
            changes: fields of the roll-out policy to override.
            nodes: names, like `limit`, but none of them is a pattern.
            wanted: versions of nodes that are to have another one.

        Raises:
            JournalError: what earlier rollouts have left cannot be read.
        """
        left = {name: each.left() for name, each in self.books.leftovers().items()}
        policy = msgspec.structs.replace(self.application.policy, **(changes or {}))
        application = replace(self.application, policy=policy)
        exact = [glob.escape(each) for each in nodes]
        return await preflight(
            application, version, limit=[*limit, *exact], to_ready=to_ready, left=left, wanted=wanted
        )

    def start(self, plan: Plan, *, kind: Kind = "upgrade", follows: int | None = None) -> None:
        """Begin to carry out a plan in a task of the session's own: it outlives the front end."""
        self.control = Control(self.clock, self.bus, interactive=True)
        self.rolling = True
        self._rollout = asyncio.create_task(self.run(plan, kind=kind, follows=follows), name="rollout")

    def renew_control(self) -> None:
        """Other reins: those of a rollout that was halted stay so."""
        self.control = Control(self.clock, self.bus, interactive=self.control.interactive)

    async def finished(self) -> RolloutEnded | None:
        """Wait for the end of what `start` began; None when nothing was."""
        # Who waits may be cancelled (a front end that goes); the rollout must not be.
        return await asyncio.shield(self._rollout) if self._rollout is not None else None

    async def run(
        self,
        plan: Plan,
        *,
        kind: Kind = "upgrade",
        follows: int | None = None,
        break_lock: bool = False,
    ) -> RolloutEnded:
        """Carry out a plan; always returns how it ended; `defect` then tells of defects of our own.

        When it fails and nobody decides, what `on_failure` says follows, and that end is returned.

        Args:
            plan: what to do.
            kind: how the journal calls it.
            follows: the entry of the journal that it resumes or rolls back.
            break_lock: take the lock away from whoever has it.

        Raises:
            PreflightFailed: the plan has errors.
            Locked, JournalError: nothing was touched.
        """
        self.rolling = True
        try:
            async with self.books.work(
                kind,
                f"{kind} to {plan.version}",
                self.control,
                version=plan.version,
                plan=plan_fields(plan),
                follows=follows,
                break_lock=break_lock,
            ) as entry:
                self.carried_out = plan
                rollout = Rollout(self.application, plan, self.control, self.clock, self.bus, operator())
                ended = await rollout.run()
            self.defect = rollout.defect
            self.endings.append(ended)
            how = plan.policy.on_failure
            if ended.result == "degraded" and how != "stop" and not self.defect and kind == "upgrade":
                from console.recovery import roll_back_after

                ended = await roll_back_after(self, ended, entry, how) or ended
        finally:
            self.rolling = False
        return ended

    async def change(self, change: Change, *, break_lock: bool = False) -> tuple[Server, ...]:
        """A change by hand, written down; see `manual.apply`.

        Raises:
            Locked, JournalError: nothing was touched.
            RolldeckError: as `manual.apply` does.
        """
        names = [each.name for each in change.nodes]
        what = f"{change.action} {', '.join(names)}"
        plan = {"action": change.action, "nodes": names, "weight": change.weight}
        async with self.books.work("change", what, self.control, plan=plan, break_lock=break_lock):
            self.bus.emit(
                ChangeBegan(
                    action=change.action,
                    nodes=names,
                    weight=change.weight,
                    override=sorted(change.override),
                    operator=operator(),
                )
            )
            after: tuple[Server, ...] = ()
            error = "interrupted"
            try:
                after = await manual.apply(self.application, change, self.control, self.clock, self.bus)
                error = ""
            except RolldeckError as failure:
                error = str(failure)
                raise
            finally:
                read = [f"{each.ref}: {each.admin_state} {health(each)}" for each in after]
                self.bus.emit(ChangeEnded(nodes=names, servers=read, error=error))
        return after


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
            ),
            bus,
            clock,
            {(ref.backend, ref.server): name for name, refs in mapped.items() for ref in refs},
            books=Books(
                journal_path(config.journal.path), config.journal.keep_days, app, clock, bus, operator()
            ),
            looks_from_here=settings.health.via == "console",
        )
    finally:
        await wiring.close()


async def _snapshots(fleet: Fleet) -> dict[str, Snapshot]:
    """What HAProxy says of the nodes' places; one that does not answer is preflight's to report."""

    async def read(name: str) -> Snapshot | None:
        try:
            return await fleet.balancers[name].snapshot(fleet.backends)
        except BackendError:
            return None

    snapshots = await asyncio.gather(*(read(name) for name in fleet.balancers))
    return {name: each for name, each in zip(fleet.balancers, snapshots, strict=True) if each is not None}
