"""The context that every step of a node gets, the loop in which steps wait, and how a step is run."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from backends.errors import BackendError, Busy, Refused, UnknownOutcome, Unreachable
from backends.model import AdminState, Server, ServerRef, Snapshot
from backends.node_state import Registered, ServiceState
from backends.protocols import Clock
from orchestrator.balancers.group import BalancerGroup, Build
from orchestrator.balancers.request_errors import Sample
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.desired_state import DesiredState, DesiredStates
from orchestrator.engine.load_guard import LoadGuard
from orchestrator.engine.no_judgement import NoJudgement
from orchestrator.errors import CutShort, StepFailed, StepTimeout
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import Baked, NodeNote, Waiting
from orchestrator.events.steps import STEPS, Step, implementation
from orchestrator.node import Node, OriginalState
from orchestrator.planning.application import Policy
from orchestrator.planning.drain_forecast import Lifetimes
from orchestrator.planning.mapping import Endpoints
from orchestrator.planning.plan import PlannedNode
from orchestrator.planning.server_pool import ServerPool

T = TypeVar("T")
U = TypeVar("U")
Probe = Callable[[], Awaitable[str | None]]
"""Checks once; returns None when the awaited state is reached, else why it is not."""

POLL_INTERVAL_MIN_S = 0.02
POLL_INTERVAL_MAX_S = 1.0
# A command with the same limit of its own ends by that one, which knows its process.
HOST_TIMEOUT_GRACE_S = 1.0
POLL_BACKOFF_RATIO = 0.05  # of the time waited so far: polling adds time in proportion


@dataclass(slots=True)
class StepContext:
    """Everything that a step may use; `originals` is filled when the rollout of the node begins."""

    node: Node
    refs: tuple[ServerRef, ...]
    originals: dict[ServerRef, OriginalState]
    wanted: str | None  # the target version; None when any will do
    balancer_group: BalancerGroup
    policy: Policy
    clock: Clock
    control: RolloutControl
    bus: EventBus
    step: Step = "drain"
    mark_touched: Callable[[], None] = lambda: None  # called before the first change of the node
    pids: set[int] = field(default_factory=set)  # of the service, as far as they were seen before the stop
    stops: bool = True  # the service is stopped, and not only verified
    is_manual: bool = False  # whether this is a manual change, not a rollout
    baked: Baked | None = None  # the result of its bake, once there was one
    self_checked: bool | None = None  # whether its service manager checks its health; None: unknown yet
    outlook: str = ""  # of what it waits for now, see `Waiting`
    stop_sent: bool = False  # the service was asked to stop, or may have been
    discovery_maintenance_set: bool = False  # whether a rollout has set it, and is to end it
    desired_states: DesiredStates = field(default_factory=DesiredStates)  # of the whole rollout
    pool: ServerPool = field(default_factory=ServerPool)  # likewise
    judgement: NoJudgement = field(default_factory=NoJudgement)  # on the target version, likewise
    endpoints: Endpoints = field(default_factory=Endpoints)  # of all nodes of the application
    followers: frozenset[ServerRef] = frozenset()  # servers that leave with it by `track`, as read last
    inherited: frozenset[ServerRef] = frozenset()  # its own servers that were out before with one they follow
    lifetimes: Lifetimes = field(default_factory=Lifetimes)  # of the sessions, as known when it was planned
    load_guard: LoadGuard = field(default_factory=LoadGuard)  # of the whole rollout
    resumes_drain: bool = False  # an earlier rollout has drained it, and done nothing else
    ignored_backends: tuple[str, ...] = ()  # backends where the node stays in, see `Application`
    ramped: frozenset[ServerRef] = frozenset()  # its own servers that get their weight back in stages
    is_return: bool = False  # it goes back to an earlier version after a failure, which no failure holds up

    def set_desired(self, state: DesiredState, refs: Sequence[ServerRef] | None = None) -> None:
        """Record the state that is about to be set, by default for all servers of the node."""
        self.desired_states.set(self.refs if refs is None else refs, state)

    def note(self, text: str) -> None:
        self.bus.emit(NodeNote(node=self.node.name, text=text))

    def servers_originally(self, state: AdminState) -> list[ServerRef]:
        """Return the servers whose original state is this one."""
        return [ref for ref in self.refs if self.originals[ref].admin is state]

    async def servers(self) -> dict[ServerRef, Server]:
        """Read this node's servers; see `BalancerGroup.servers`."""
        return await self.balancer_group.servers(self.refs)

    async def requests(self, show: Callable[[Snapshot], object] | None = None) -> dict[ServerRef, Sample]:
        """Read the request counters of this node's servers; see `BalancerGroup.requests`."""
        return await self.balancer_group.requests(self.refs, show)

    async def ensure(
        self, refs: Sequence[ServerRef], build: Build, reached: Callable[[Server], bool]
    ) -> bool:
        """Call `BalancerGroup.ensure`, and retry while a load balancer does not answer."""
        return await self.retry_until_reachable(lambda: self.balancer_group.ensure(refs, build, reached))

    async def retry_until_reachable(
        self, call: Callable[[], Awaitable[T]], what: str = "load balancers to answer"
    ) -> T:
        """Repeat an idempotent call until it is answered, for `balancer_unreachable_timeout` at most."""
        results: list[T] = []

        async def attempt() -> str | None:
            results.append(await call())
            return None

        await self.wait_for(attempt, timeout=self.policy.balancer_unreachable_timeout, what=what)
        return results[0]

    async def query_service(self) -> tuple[ServiceState, bool]:
        """Query the service manager and check the port in parallel: the state, and whether the port is open.

        Raises:
            BackendError: one of them could not be queried.
        """
        state, is_open = await gather_both(self.node.service.state(), self.node.port_probe.is_open())
        self.self_checked = state.self_checked
        return state, is_open

    async def wait_for(
        self,
        probe: Probe,
        *,
        timeout: float,
        what: str,
        free: bool = False,
        at: float = math.inf,
        baking: bool = False,
        weight_percent: int = 0,
    ) -> None:
        """Poll until the probe returns None.

        An unreachable target or an unreadable reply never passes: it is polled again until the deadline. The
        deadline is postponed while the rollout is paused.

        Args:
            probe: checks once.
            timeout: in seconds, on the clock that stops during a pause.
            what: what is waited for, for the error.
            free: whether nothing was touched yet, so that an abort may end the wait.
            at: a time at which to poll too, however long the interval has become by then.
            baking: whether the node is only watched in rotation; see `Waiting`.
            weight_percent: with what part of its weight; see `Waiting`.

        Raises:
            StepTimeout: the deadline has passed; it has the last reason.
            CutShort: an operator does not let it wait any longer, see `wait_cuts`.
            Refused: the target has refused; waiting would not change that.
        """
        start, began = self.control.elapsed_excluding_pauses(), self.clock.monotonic()
        reported, reported_at = "", start
        while True:
            if free:
                self.control.raise_if_drains_stopped()
            try:
                reason = await probe()
            except Refused:
                raise
            except BackendError as error:
                reason = error.beside(self.node.name)
            if reason is None:
                return
            now = self.control.elapsed_excluding_pauses()
            left = start + timeout - now
            if (who := self.control.wait_cuts.requested_by(self.node.name)) is not None:
                raise CutShort(f"{what}: cut short by {who} after {now - start:.0f} s; last seen: {reason}")
            if left <= 0:
                raise StepTimeout(f"{what}: not within {timeout:g} s; last seen: {reason}")
            if reason != reported or now - reported_at >= 1.0:
                reported, reported_at = reason, now
                soonest = min(left, at - now) if at > now else left
                self.bus.emit(
                    Waiting(
                        node=self.node.name,
                        step=self.step,
                        reason=reason,
                        remaining_s=round(soonest, 1),
                        baking=baking,
                        weight_percent=weight_percent,
                        outlook=self.outlook,
                    )
                )
            waited = self.clock.monotonic() - began  # paused or not: no hurry after an hour
            pause = max(POLL_INTERVAL_MIN_S, min(POLL_INTERVAL_MAX_S, waited * POLL_BACKOFF_RATIO))
            soon = at > now and not self.control.paused  # while paused, that time does not come nearer
            await self.clock.sleep(min(pause, max(left, 0.001), max(at - now, 0.001) if soon else pause))

    async def start_action(
        self, action: Callable[[], Awaitable[None]], *, timeout: float, what: str
    ) -> UnknownOutcome | None:
        """Start an action whose effect is checked afterwards.

        An action that was never started is retried until the deadline: its host was unreachable or busy. One
        whose answer was lost is not retried, because it may be running; neither is one that does not end in
        time, because its host may never answer.

        Returns:
            The lost answer, when there was one: with the process id of a command that may still run, if that
            is known.
        """
        lost: UnknownOutcome | None = None

        async def attempt() -> str | None:
            nonlocal lost
            try:
                async with asyncio.timeout(timeout + HOST_TIMEOUT_GRACE_S):
                    await action()
            except TimeoutError:
                lost = UnknownOutcome(self.node.name, f"no end within {timeout:g} s; it may still be running")
                self.note(f"{what}: {lost.problem}; checking the actual state first")
            except (Unreachable, Busy) as error:
                return error.beside(self.node.name)
            except UnknownOutcome as error:
                self.note(f"{what}: {error.beside(self.node.name)}; checking the actual state first")
                lost = error
            return None

        await self.wait_for(attempt, timeout=timeout, what=f"{what} to be accepted")
        return lost


async def gather_both(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Await both in parallel and to their end, then raise the first error, if there was one."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other


def refuse_misplaced(context: StepContext, servers: Iterable[Server]) -> None:
    """Raise StepFailed when HAProxy has another machine behind a server of this node than in the plan."""
    if problem := context.endpoints.misplaced(context.node, list(servers)):
        raise StepFailed(problem)


Command = tuple[str, str]
"""The target of a command, a load balancer or a host, and its text."""

Run = Callable[[StepContext], Awaitable[str | None]]
"""Carries out a step; returns what was done, or None where there was nothing to do."""


@dataclass(frozen=True, slots=True)
class DryRunContext:
    """What a step gets to list its commands.

    Attributes:
        node: the node to be worked on.
        planned: its row of the plan.
        servers: its servers as they are now.
        version: its target version.
        policy: the policy of the rollout.
        registered: its registration in service discovery; None where there is none, or it is unknown.
    """

    node: Node
    planned: PlannedNode
    servers: Sequence[Server]
    version: str
    policy: Policy
    registered: Registered | None = None


ListCommands = Callable[[DryRunContext], Iterable[Command]]
"""Lists what a step would send, without sending anything."""


async def run_step(step: Step, context: StepContext) -> str | None:
    """Carry out a step; return what was done, or None where there was nothing to do."""
    return await cast("Run", implementation(STEPS.spec(step).run))(context)


def list_step_commands(step: Step, context: DryRunContext) -> Iterable[Command]:
    """List the commands of a step, in the order in which they would be sent."""
    return cast("ListCommands", implementation(STEPS.spec(step).commands))(context)
