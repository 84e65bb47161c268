"""A session: one application with everything open that work on it needs. It outlives any front end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from orchestrator.background import Activity
from orchestrator.engine.control import RolloutContext, RolloutControl, RolloutHooks
from orchestrator.engine.rollout import Rollout
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote, Record, RolloutEnded
from orchestrator.events.state import RolloutState
from orchestrator.inventory.inventory import Inventory
from orchestrator.live.poller import FleetView
from orchestrator.live.versions import VersionTracker, read_versions
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.planning.findings import Finding, PreflightFailed, Severity, judge_freeze
from orchestrator.planning.plan import Plan, plan_fields
from orchestrator.planning.server_pool import empty_names, node_names
from orchestrator.preflight.nodes import name_failures
from orchestrator.preflight.preflight import preflight
from orchestrator.remote.rollout import RemoteRollout, RolloutSubscriber
from orchestrator.session.adoption import heed_published
from orchestrator.session.consul import ConsulMonitor, ConsulStatus
from orchestrator.session.proposal import Agree, Proposal, agree_within_request, look_again
from orchestrator.session.work_log import WorkLog

RollBack = Callable[["Session", RolloutEnded, int, str], Awaitable[RolloutEnded]]
"""Carries out `on_failure` after a rollout, of this number in the journal, has ended so."""


@dataclass(frozen=True, slots=True)
class ConsulView:
    """What a session sees in Consul, and through it of other machines."""

    consul: ConsulMonitor | None = None  # whether it answers, where it is asked for anything
    published: RolloutSubscriber | None = None  # where rollouts of other machines can be seen
    remote: RemoteRollout | None = None  # the one that is seen there


class Session:
    """Front ends read `bus`, and act through `control` and the methods."""

    def __init__(
        self,
        application: Application,
        bus: EventBus,
        *,
        work_log: WorkLog,
        roll_back_after: RollBack,
        activity: Activity | None = None,
        inventory: Inventory | None = None,
        versions: VersionTracker | None = None,
        view: ConsulView | None = None,
    ) -> None:
        """Put a session together; see `orchestrator.session.factory`, which opens what it needs.

        Args:
            application: what is worked on, with the nodes that are known so far.
            bus: carries everything that happens, and has the time.
            work_log: where the work is written down.
            roll_back_after: does what `on_failure` says, see `orchestrator.session.recovery`.
            activity: what is done here, where others have to know that too.
            inventory: the nodes; None: those of the application are all.
            versions: which ones run, as far as that is seen.
            view: what is seen of Consul and of other machines.
        """
        self._application = application
        self.names: Mapping[tuple[str, str], str] = {}  # the node of a server line, see `index_servers`
        self._learnt: object = None
        self.work_log = work_log
        self._roll_back_after = roll_back_after
        self.bus = bus
        self.clock = bus.clock
        self.activity = activity or Activity(self._new_control(interactive=False))
        self.inventory = inventory or Inventory(application.nodes)
        self.versions = versions or VersionTracker(sees=False)
        seen = view or ConsulView()
        self.consul, self.published, self.remote = seen.consul, seen.published, seen.remote
        self.defect: BaseException | None = None  # of our own code, in the last rollout
        self.results: list[RolloutEnded] = []  # of all rollouts so far
        self.current_plan: Plan | None = None  # the last one that was begun
        self._rollout: asyncio.Task[RolloutEnded] | None = None
        bus.subscribe(self._follow)

    @property
    def application(self) -> Application:
        """What is worked on, with the nodes that are known by now."""
        if self._application.nodes is not self.inventory.nodes:
            self._application = replace(self._application, nodes=self.inventory.nodes)
        return self._application

    @property
    def control(self) -> RolloutControl:
        """What people can do to the work that is done here."""
        return self.activity.control

    @property
    def is_rolling(self) -> bool:
        """A rollout runs: signals and quitting must go through `control`."""
        return self.activity.is_rolling

    @property
    def state(self) -> RolloutState:
        """The state of the last rollout."""
        return self.activity.state

    @property
    def actor(self) -> Actor:
        """Who works here."""
        return self.work_log.actor

    def _follow(self, record: Record) -> None:
        self.state.apply(record)
        self.versions.learn(record, self.state.version)

    def active_nodes(self) -> set[str]:
        """Nodes that a rollout works on now."""
        return self.activity.active_nodes()

    async def load_all_nodes(self) -> Application:
        """The application with all of its nodes, those of a load balancer too that answered late.

        Raises:
            ConfigError: they do not fit together.
        """
        await self.inventory.load_all()
        return self.application

    @property
    def consul_status(self) -> ConsulStatus | None:
        """Whether Consul answers, and what there is to say of its nodes and rollouts; None without Consul."""
        problem = self.remote.problem if self.remote is not None else ""
        note = "; ".join(filter(None, (self.inventory.words(), problem)))
        return self.consul.status(note) if self.consul is not None else None

    def index_servers(self, view: FleetView) -> None:
        """Name the nodes of the servers that are seen; costs nothing while those are the same."""
        nodes, match = self.application.nodes, self.application.match
        views = [instance.servers for instance in view.instances]
        # By address a node moves from slot to slot, and the servers are called the same.
        slots = [empty_names(servers) for servers in views] if match == "address" else []
        seen = (nodes, *(instance.rows for instance in view.instances), *slots)
        if seen != self._learnt:
            self._learnt = seen
            self.names = node_names(views, nodes, match, self.names)

    async def plan(
        self,
        version: str | None,
        *,
        limit: Sequence[str] = (),
        force_ready: Collection[str] = (),
        changes: Mapping[str, object] | None = None,
        target_versions: Mapping[str, str] | None = None,
        freeze: Severity = Severity.ERROR,
        nodes_at_plan_time: tuple[Node, ...] = (),
        is_repair: bool = False,
    ) -> Plan:
        """Preflight and plan; touches nothing.

        Args:
            version: to which; None to look only.
            limit: names or patterns of nodes; all when empty.
            force_ready: nodes to put in rotation although a human has them out.
            changes: fields of the roll-out policy to override.
            target_versions: versions of nodes that are to have another one.
            freeze: what a freeze window means: a warning for what repairs, and when it is overridden.
            nodes_at_plan_time: of an earlier plan, to be planned with again; all of now when empty.
            is_repair: see `preflight`.

        Raises:
            JournalError: what earlier rollouts have left cannot be read.
        """
        past = self.work_log.past()
        left = {name: node.for_plan() for name, node in past.left.items()}
        whole = self.application if nodes_at_plan_time else await self.load_all_nodes()
        whole = replace(whole, nodes=nodes_at_plan_time or whole.nodes)
        policy = msgspec.structs.replace(whole.policy, **(changes or {}))
        plan = await preflight(
            replace(whole, policy=policy),
            version,
            limit=limit,
            force_ready=force_ready,
            unfinished=left,
            target_versions=target_versions,
            is_repair=is_repair,
            known_findings=[
                *judge_freeze(whole.freezes, self.clock.time(), freeze),
                *self._doubts(past.unread),
            ],
        )
        return name_failures(plan, past.history) if version is not None else plan

    async def propose(
        self,
        version: str,
        *,
        limit: Sequence[str] = (),
        force_ready: Collection[str] = (),
        changes: Mapping[str, object] | None = None,
        freeze: Severity = Severity.ERROR,
        break_lock: bool = False,
    ) -> Proposal:
        """An upgrade; see `plan` and `heed_published`."""
        make = partial(
            self.plan, version, limit=limit, force_ready=force_ready, changes=changes, freeze=freeze
        )

        def proposed(plan: Plan) -> Proposal:
            async def again() -> Proposal:
                return proposed(
                    await heed_published(self, partial(make, nodes_at_plan_time=plan.nodes_at_plan_time))
                )

            return Proposal(plan, again)

        return proposed(await heed_published(self, make, break_lock=break_lock))

    def _doubts(self, unread_words: Sequence[str]) -> list[Finding]:
        """Warn of an unreadable journal, and of a source of nodes that does not answer."""
        unread = [
            Finding(Severity.WARNING, "journal", f"{words}; a node that it concerns may be out of rotation")
            for words in unread_words
        ]
        found = [Finding(Severity.WARNING, "inventory", text) for text in self.inventory.doubts()]
        return [*unread, *self.inventory.remarks, *found]

    def start(
        self, proposal: Proposal, *, break_lock: bool = False, agree: Agree = agree_within_request
    ) -> None:
        """Begin to carry out a plan in a task of the session's own: it outlives the front end."""
        self.activity.control = self._new_control(interactive=True)
        self.activity.is_rolling = True
        work = self.run(proposal, break_lock=break_lock, agree=agree)
        self._rollout = asyncio.create_task(work, name="rollout")

    def _new_control(self, *, interactive: bool) -> RolloutControl:
        return RolloutControl(self.clock, self.bus, interactive=interactive, forbidden=self.work_log.lost)

    def reset_control(self) -> None:
        """Replace the control: one that has stopped new drains cannot be used again."""
        self.activity.control = self._new_control(interactive=self.control.interactive)

    async def finished(self) -> RolloutEnded | None:
        """Wait for the end of what `start` began; None when nothing was."""
        # Who waits may be cancelled (a front end that goes); the rollout must not be.
        return await asyncio.shield(self._rollout) if self._rollout is not None else None

    async def run(
        self, proposal: Proposal, *, break_lock: bool = False, agree: Agree = agree_within_request
    ) -> RolloutEnded:
        """Carry out a plan; always returns how it ended; `defect` then tells of defects of our own.

        Under the lock it is planned again first: nobody else's work is taken for what was there before.

        When it fails and nobody decides, what `on_failure` says follows under the same lock, and how both
        have ended together is returned.

        Args:
            proposal: what to do.
            break_lock: take the lock away from whoever has it.
            agree: is asked where the plan has to be another one under the lock.

        Raises:
            PreflightFailed: the plan has errors; no changes made.
            PlanChanged: it has to be another one, and nobody agreed to that; no changes made.
            Locked, JournalError, Aborted: no changes made.
        """
        if proposal.plan.errors:
            raise PreflightFailed(proposal.plan.errors)
        self.activity.is_rolling = True
        found: Sequence[object] = ()
        try:
            async with AsyncExitStack() as lock:
                with self.control.before_first_change():
                    what = f"{proposal.kind} to {proposal.plan.version}"
                    held = self.work_log.locked(what, self.control, break_lock=break_lock)
                    if await lock.enter_async_context(held):
                        proposal, found = await look_again(proposal, agree)
                ended, entry = await self._carry_out(proposal, found)
                return await self._roll_back(ended, entry, proposal)  # nobody comes in between
        finally:
            self.activity.is_rolling = False

    async def _other_versions(self, plan: Plan) -> dict[str, str]:
        """Return the versions of the nodes that a plan leaves alone, known here or else read now."""
        known = self.work_log.known_versions() | self.versions.by_node
        planned = {node.name for node in plan.nodes}
        others = [node for node in self.application.nodes if node.name not in planned]
        if unknown := [node for node in others if node.name not in known]:
            known |= await read_versions(unknown, sees=self.versions.sees)
        return {node.name: known[node.name] for node in others if node.name in known}

    async def _carry_out(self, proposal: Proposal, found: Sequence[object]) -> tuple[RolloutEnded, int]:
        """Under the lock; returns how it ended, and its number in the journal."""
        plan, kind = proposal.plan, proposal.kind
        names = {each.name for each in plan.nodes}
        places = {name: where for name, where in self.inventory.endpoints().items() if name in names}
        other_versions = await self._other_versions(plan)
        async with self.work_log.begin(
            kind,
            f"{kind} to {plan.version}",
            self.control,
            version=plan.version,
            plan=plan_fields(plan) | {"places": places, "resumes": proposal.resumes},
            follows=proposal.follows,
        ) as entry:
            for each in found:
                self.bus.emit(NodeNote(node="", text=f"planned again under the lock: {each}"))
            self.current_plan = plan
            # Of what it was made of: nodes may have come, gone or moved while somebody read it.
            application = replace(self.application, nodes=plan.nodes_at_plan_time)
            differences = partial(self.inventory.differences, plan.nodes_at_plan_time)
            hooks = RolloutHooks(self.work_log.published, differences)
            rollout = Rollout(
                application,
                plan,
                self.control,
                self.clock,
                self.bus,
                self.actor,
                RolloutContext(entry, kind, other_versions, hooks),
            )
            ended = await rollout.run()
        self.defect = rollout.defect
        self.results.append(ended)
        return ended, entry

    async def _roll_back(self, ended: RolloutEnded, entry: int, proposal: Proposal) -> RolloutEnded:
        """What `on_failure` says, when it failed and nobody has decided; how all of it has ended together."""
        how = proposal.plan.policy.on_failure
        may_repair = not self.control.forbidden and not self.defect and proposal.kind == "upgrade"
        if ended.result != "degraded" or how == "stop" or not may_repair:
            return ended
        return await self._roll_back_after(self, ended, entry, how)
