"""A session: one application with everything that is needed to work on it. It outlives any front end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import msgspec

from orchestrator.background import Activity
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.step_context import gather_both
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import Record, RolloutEnded
from orchestrator.events.state import RolloutState
from orchestrator.inventory.inventory import Inventory
from orchestrator.live.poller import FleetView
from orchestrator.live.versions import VersionTracker
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.planning.findings import Finding, PreflightFailed, Severity, judge_freeze
from orchestrator.planning.plan import Plan
from orchestrator.planning.server_pool import find_empty_slots, name_servers
from orchestrator.preflight.drains import SessionAges, add_drain_forecasts
from orchestrator.preflight.journal import judge_journal
from orchestrator.preflight.nodes import name_failures, observed_nodes_reported
from orchestrator.preflight.preflight import preflight
from orchestrator.remote.rollout import RolloutSubscriber
from orchestrator.session.active_rollout import ActiveRollout
from orchestrator.session.consul import ConsulStatus
from orchestrator.session.execution import carry_out
from orchestrator.session.links import SessionLinks
from orchestrator.session.proposal import (
    Agree,
    Agreed,
    Proposal,
    agree_within_request,
    check_plan_again,
    require_reason,
)
from orchestrator.session.requests import SessionRequests
from orchestrator.session.takeover import plan_with_published
from orchestrator.session.work_log import WorkLog

RollBack = Callable[["Session", RolloutEnded, int, str], Awaitable[RolloutEnded]]
"""Carries out `on_failure` after a rollout, of this number in the journal, has ended."""


class Session:
    """The session of one application. Front ends read `bus`, and act by `control` and the methods."""

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
        links: SessionLinks | None = None,
    ) -> None:
        """Assemble a session; `orchestrator.session.factory` opens what it needs.

        Args:
            application: the application, with the nodes that are known so far.
            bus: carries all events, and has the time.
            work_log: has the lock and the journal.
            roll_back_after: carries out `on_failure`, see `orchestrator.session.recovery`.
            activity: of this session, if others need it too.
            inventory: the nodes; None if those of the application are all.
            versions: of the nodes, as far as they can be seen.
            links: to other processes.
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
        self.versions = versions or VersionTracker(bus.clock, sees=False)
        self.links = links or SessionLinks()
        self._requests = SessionRequests(self)
        self.defect: BaseException | None = None  # of our own code, in the last rollout
        self.results: list[RolloutEnded] = []  # of all rollouts so far
        self.observed_nodes = (0, 0)  # by the last preflight: how many so far, and of how many
        self.current_plan: Plan | None = None  # the last one that was begun
        bus.subscribe(self._follow)
        bus.subscribe(self._requests.watch)
        if self.links.local is not None:
            self.links.local.subscribe(self._learn)

    @property
    def application(self) -> Application:
        """The application, with the nodes that are known by now."""
        if self._application.nodes is not self.inventory.nodes:
            self._application = replace(self._application, nodes=self.inventory.nodes)
        return self._application

    @property
    def control(self) -> RolloutControl:
        """The operator controls of the current work."""
        return self.activity.control

    @property
    def is_rolling(self) -> bool:
        """Whether a rollout runs; then signals and quitting must go through `control`."""
        return self.activity.is_rolling

    @property
    def state(self) -> RolloutState:
        """The state of the last rollout."""
        return self.activity.state

    @property
    def actor(self) -> Actor:
        """The operator of this session."""
        return self.work_log.actor

    @property
    def active(self) -> ActiveRollout | None:
        """The rollout of another process to show: see `SessionLinks.active`."""
        return self.links.active

    @property
    def published(self) -> RolloutSubscriber | None:
        """Reads rollouts of other machines; None where they are not visible."""
        return self.links.published

    @property
    def number(self) -> int:
        """The number in the journal of the rollout that runs in this process; 0 while none does."""
        return self._requests.entry

    def _follow(self, record: Record) -> None:
        self.state.apply(record)
        self.versions.learn(record, self.state.version)

    def _learn(self, record: Record) -> None:
        if self.links.local is not None:
            self.versions.learn(record, self.links.local.state.version)

    async def load_all_nodes(self) -> Application:
        """Return the application with all of its nodes, even those that a load balancer answered late.

        Raises:
            ConfigError: they do not fit together.
        """
        await self.inventory.load_all()
        return self.application

    @property
    def consul_status(self) -> ConsulStatus | None:
        """The state of Consul, with a note on its nodes and rollouts; None without Consul."""
        remote, consul = self.links.remote, self.links.consul
        note = "; ".join(filter(None, (self.inventory.words(), remote.problem if remote is not None else "")))
        return consul.status(note) if consul is not None else None

    def index_servers(self, view: FleetView) -> None:
        """Find the node of each server in a view; this costs nothing while the servers are the same."""
        nodes, match = self.application.nodes, self.application.match
        views = [instance.servers for instance in view.instances]
        # By address a node moves from slot to slot, and the servers are called the same.
        slots = [find_empty_slots(servers) for servers in views] if match == "address" else []
        seen = (nodes, *(instance.rows for instance in view.instances), *slots)
        if seen != self._learnt:
            self._learnt = seen
            self.names = name_servers(views, nodes, match, self.names)

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
        """Run preflight and plan; this changes nothing.

        Args:
            version: the target version; None for preflight checks only.
            limit: names or patterns of nodes; all when empty.
            force_ready: nodes to put in rotation although an operator has them out.
            changes: fields of the roll-out policy to override.
            target_versions: versions of nodes that are to have another one.
            freeze: severity of a freeze window: a warning for repairs, and when it is overridden.
            nodes_at_plan_time: those of an earlier plan, to plan with again; all current ones when empty.
            is_repair: see `preflight`.

        Raises:
            JournalError: the journal of earlier rollouts cannot be read.
        """
        self.observed_nodes = (0, 0)
        earlier = await asyncio.to_thread(self.work_log.earlier_rollouts)  # a long journal takes seconds
        left = {name: node.for_plan() for name, node in earlier.unfinished.items()}
        whole = self.application if nodes_at_plan_time else await self.load_all_nodes()
        whole = replace(whole, nodes=nodes_at_plan_time or whole.nodes)
        policy = msgspec.structs.replace(whole.policy, **(changes or {}))
        findings = [
            *judge_freeze(whole.freezes, self.clock.time(), freeze),
            *self._doubts(earlier.unread),
            *judge_journal(self.work_log.path),
        ]
        preflighted = preflight(
            replace(whole, policy=policy),
            version,
            limit=limit,
            force_ready=force_ready,
            unfinished=left,
            target_versions=target_versions,
            is_repair=is_repair,
            known_findings=findings,
        )
        with observed_nodes_reported(self._count_observed):
            plan, ages = await gather_both(preflighted, SessionAges.read(whole.balancer_group))
        plan = add_drain_forecasts(plan, ages, earlier.drains)
        return name_failures(plan, earlier.history) if version is not None else plan

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
        """Plan an upgrade; see `plan` and `plan_with_published`."""
        make = partial(
            self.plan, version, limit=limit, force_ready=force_ready, changes=changes, freeze=freeze
        )

        def proposed(plan: Plan) -> Proposal:
            async def again() -> Proposal:
                return proposed(
                    await plan_with_published(self, partial(make, nodes_at_plan_time=plan.nodes_at_plan_time))
                )

            return Proposal(plan, again)

        return proposed(await plan_with_published(self, make, break_lock=break_lock))

    def _count_observed(self, done: int, total: int) -> None:
        self.observed_nodes = (done, total)

    def _doubts(self, unread_words: Sequence[str]) -> list[Finding]:
        """Warn of an unreadable journal, and of a source of nodes that does not answer."""
        unread = [
            Finding(Severity.WARNING, "journal", f"{words}; a node that it concerns may be out of rotation")
            for words in unread_words
        ]
        found = [Finding(Severity.WARNING, "inventory", text) for text in self.inventory.doubts()]
        return [*unread, *self.inventory.remarks, *found]

    def _new_control(self, *, interactive: bool) -> RolloutControl:
        return RolloutControl(self.clock, self.bus, interactive=interactive, forbidden=self.work_log.lost)

    def reset_control(self) -> None:
        """Replace the control: one that has stopped new drains cannot be used again."""
        self.activity.control = self._new_control(interactive=self.control.interactive)

    async def run(
        self, agreed: Proposal | Agreed, *, break_lock: bool = False, agree: Agree = agree_within_request
    ) -> RolloutEnded:
        """Carry out a plan, and return how it ended; `defect` has a bug of our own in it, if any.

        It is planned again under the lock first, so that no work of others is mistaken for the original
        state. When it fails and no operator decides, `on_failure` is carried out under the same lock, and the
        combined result is returned.

        Args:
            agreed: the plan to carry out, or the facts of one that was made in another process.
            break_lock: break the lock if somebody else holds it.
            agree: is called when the plan is another one under the lock.

        Raises:
            PreflightFailed: the plan has errors; no changes made.
            PlanChanged: the plan is another one, and was not agreed to; no changes made.
            ReasonRequired: operators must say why; no changes made.
            Locked, JournalError, Aborted: no changes made.
        """
        if isinstance(agreed, Proposal) and agreed.plan.errors:
            raise PreflightFailed(agreed.plan.errors)
        require_reason(self.application, agreed.reason)
        self.activity.is_rolling = True
        found: Sequence[object] = ()
        try:
            async with AsyncExitStack() as lock:
                with self.control.before_first_change():
                    what = f"{agreed.kind} to {agreed.facts.version}"
                    held = self.work_log.locked(what, self.control, break_lock=break_lock)
                    is_new = await lock.enter_async_context(held)
                    await lock.enter_async_context(self._requests.listening(self.links))
                    if is_new or not isinstance(agreed, Proposal):
                        proposal, found = await check_plan_again(agreed, agree)
                    else:
                        proposal = agreed
                self.current_plan = proposal.plan
                carried_out = await carry_out(self, proposal, found, self._requests)
                self.defect, ended, entry = carried_out.defect, carried_out.ended, carried_out.entry
                self.results.append(ended)
                ended = await self._roll_back(ended, entry, proposal)  # nobody comes in between
                self.defect = self.defect or self._requests.defect
                return ended
        finally:
            self.activity.is_rolling = False

    async def _roll_back(self, ended: RolloutEnded, entry: int, proposal: Proposal) -> RolloutEnded:
        """Carry out `on_failure` if it failed and no operator has decided; returns the combined result."""
        how = proposal.plan.policy.on_failure
        may_repair = not self.control.forbidden and not self.defect and proposal.kind == "upgrade"
        if self.control.overloaded and not (ended.failed or ended.interrupted):
            return ended  # a rollback would drain nodes that the others cannot do without
        if ended.result != "degraded" or how == "stop" or not may_repair:
            return ended
        return await self._roll_back_after(self, ended, entry, how)
