"""Manual changes: drain, maintenance, ready and weight, with a rollout's capacity guard and read-back."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from backends.errors import BackendError, RolldeckError
from backends.haproxy import commands
from backends.model import Server, ServerRef
from backends.protocols import Clock
from backends.text import there_is
from orchestrator.balancers.admin_state import describe_followers, find_followers, find_track_targets
from orchestrator.balancers.group import BalancerGroup, find_unreached_processes
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.drain import in_maintenance, is_drained
from orchestrator.engine.steps.quarantine import quarantine
from orchestrator.engine.steps.verify import prove, restore_originals
from orchestrator.errors import StepFailed
from orchestrator.events.event_bus import EventBus
from orchestrator.events.steps import Step
from orchestrator.node import Node, OriginalState
from orchestrator.planning import capacity
from orchestrator.planning.application import Application
from orchestrator.planning.capacity import Capacity, CapacityViolation
from orchestrator.planning.findings import Finding, PreflightFailed, Severity, judge_level
from orchestrator.planning.mapping import map_nodes
from orchestrator.planning.ramp import has_full_share
from orchestrator.planning.removal import Removal, measure_removal, sort_for_return
from orchestrator.planning.server_pool import drop_empty_slots

Action = Literal["drain", "maint", "ready", "weight"]


@dataclass(frozen=True, slots=True)
class Impact:
    """What a manual change would do; nothing was sent yet."""

    nodes: tuple[str, ...]
    servers: tuple[Server, ...]  # as they are now
    capacities: tuple[Capacity, ...]  # what drain, maintenance or weight 0 would leave
    registries: tuple[str, ...] = ()  # registries that follow HAProxy, such as Consul
    followers: tuple[ServerRef, ...] = ()  # servers that go out, or come back, with these
    carried: tuple[str, ...] = ()  # the followers that go out, as text

    @property
    def sessions(self) -> int:
        """Sessions on these servers now."""
        return sum(server.open_sessions for server in self.servers)

    @property
    def broken(self) -> tuple[Capacity, ...]:
        """The capacities that fall under their floor."""
        return tuple(capacity for capacity in self.capacities if not capacity.allowed)


@dataclass(frozen=True, slots=True)
class Change:
    """One manual change of one or several nodes, on every load balancer.

    Attributes:
        weight: for the action "weight": 0 to 256.
        override: names of nodes for which the floor may be broken; a human has typed each of them.
        reason: why it is made, in the operator's words.
    """

    action: Action
    nodes: tuple[Node, ...]
    weight: int = 0
    override: frozenset[str] = frozenset()
    reason: str = ""

    @property
    def takes_out(self) -> bool:
        return self.action in ("drain", "maint") or (self.action == "weight" and self.weight == 0)


def find_nodes(application: Application, names: Sequence[str]) -> tuple[Node, ...]:
    """Find nodes by name. Raises PreflightFailed for a name that does not exist."""
    known = {node.name: node for node in application.nodes}
    unknown = [
        Finding(Severity.ERROR, name, f"no such node; {there_is(name, known)}")
        for name in names
        if name not in known
    ]
    if unknown:
        raise PreflightFailed(tuple(unknown))
    return tuple(known[name] for name in dict.fromkeys(names))


async def read_impact(
    application: Application, change: Change, weights: Mapping[ServerRef, int] | None = None
) -> Impact:
    """Read what a change would do; nothing is changed.

    Args:
        application: has the load balancers and the policy.
        change: the change.
        weights: see `apply`.

    Raises:
        PreflightFailed: a node cannot be found in HAProxy for certain; it cannot be put back; or HAProxy
            accepts no changes.
        BackendError: a load balancer cannot be read.
    """
    snapshots = await application.balancer_group.read_all()
    mapped = await _map_nodes(application, change.nodes)
    refs = {ref for servers_of_node in mapped.values() for ref in servers_of_node}
    servers = tuple(
        server for snapshot in snapshots.values() for server in snapshot.servers if server.ref in refs
    )
    removal = await _measure_removal(application, change, refs, weights or {}) if change.takes_out else None
    carried = removal.followers if removal is not None else frozenset[ServerRef]()
    if change.action == "ready":
        sort_for_return(change.nodes, mapped, {server.ref: server for server in servers})
        carried = await _read_followers(application.balancer_group, refs)
    registrations = [node.registration for node in change.nodes] if change.action != "weight" else []
    registries = {
        registration.name
        for registration in registrations
        if registration is not None and registration.sync_maintenance
    }
    return Impact(
        tuple(node.name for node in change.nodes),
        servers,
        removal.capacities if removal is not None else (),
        tuple(sorted(registries)),
        tuple(sorted(carried)),
        tuple(map("".join, describe_followers(removal.tracked, removal.followers)))
        if removal is not None
        else (),
    )


async def apply(
    application: Application,
    change: Change,
    control: RolloutControl,
    clock: Clock,
    bus: EventBus,
    weights: Mapping[ServerRef, int] | None = None,
) -> tuple[Server, ...]:
    """Make a change on every load balancer, and read it back from each.

    `ready` leaves maintenance the safe way, like a rollout: own health and HAProxy's checks come first. When
    they do not pass in time, the node is in maintenance afterwards.

    If service discovery follows HAProxy, drain and maintenance take a node out, and `ready` puts it back.

    Args:
        application: has the load balancers and the policy.
        change: the change.
        control: the controls of this work.
        clock: the time.
        bus: gets the events.
        weights: weights that servers had before a rollout left them with less, or has not yet given them
            back: `ready` does, and until then they do not count for the floor.

    Returns:
        The servers as they are afterwards.

    Raises:
        CapacityViolation: the floor would be broken, and no override names the node.
        StepFailed: the node did not become healthy in time for `ready`.
        PreflightFailed, BackendError: see `read_impact`.
    """
    mapped = await _map_nodes(application, change.nodes)
    refs = tuple(ref for servers_of_node in mapped.values() for ref in servers_of_node)
    if change.action == "ready":
        for node in sort_for_return(change.nodes, mapped, await application.balancer_group.servers(refs)):
            own = mapped[node.name]
            servers = await application.balancer_group.servers(own)
            originals = {ref: _find_original(server, weights or {}) for ref, server in servers.items()}
            await _make_ready(_make_context(application, node, own, originals, control, clock, bus, "verify"))
    else:
        async with application.balancer_group.lock:
            if change.takes_out:
                await _check_floor(application, change, refs, weights or {})
            await _write(application, change, refs)
        if change.action in ("drain", "maint"):
            for node in change.nodes:
                context = _make_context(
                    application, node, mapped[node.name], {}, control, clock, bus, "drain"
                )
                with bus.commands_of(node.name, "drain"):
                    try:
                        await discovery.enter_maintenance(context)
                    except RolldeckError as error:
                        raise StepFailed(f"done on every HAProxy, but not elsewhere: {error}") from error
    after = await application.balancer_group.servers(refs)
    return tuple(after[ref] for ref in refs)


async def _map_nodes(application: Application, nodes: Sequence[Node]) -> dict[str, tuple[ServerRef, ...]]:
    snapshots = await application.balancer_group.read_all()
    mapped, findings = map_nodes(nodes, snapshots, application.match, among=application.nodes)
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    errors += tuple(finding for snapshot in snapshots.values() for finding in judge_level(snapshot))
    unreached = find_unreached_processes(snapshot.info for snapshot in snapshots.values())
    errors += tuple(Finding(Severity.ERROR, name, problem) for name, problem in unreached.items())
    if errors:
        raise PreflightFailed(errors)
    return mapped


async def _measure_removal(
    application: Application, change: Change, refs: Collection[ServerRef], weights: Mapping[ServerRef, int]
) -> Removal:
    def counts(server: Server) -> bool:
        return server.in_rotation and has_full_share(server, weights.get(server.ref, 0))

    return await measure_removal(
        application.balancer_group,
        refs,
        application.policy,
        with_followers=change.action != "weight",  # HAProxy passes a state on, and no weight
        ignored_backends=application.ignored_backends,
        counted=partial(drop_empty_slots, kept=refs, nodes=application.nodes, match=application.match),
        counts=counts,
    )


async def _read_followers(balancer_group: BalancerGroup, refs: Collection[ServerRef]) -> frozenset[ServerRef]:
    snapshots = await balancer_group.read_all(whole=True)
    return find_followers(find_track_targets(snapshots.values()), refs)


async def _check_floor(
    application: Application, change: Change, refs: Collection[ServerRef], weights: Mapping[ServerRef, int]
) -> None:
    try:
        capacity.raise_if_violated((await _measure_removal(application, change, refs, weights)).capacities)
    except CapacityViolation:
        if not {node.name for node in change.nodes} <= change.override:
            raise


async def _write(application: Application, change: Change, refs: Sequence[ServerRef]) -> None:
    balancer_group = application.balancer_group
    if change.action == "weight":
        value = change.weight
        await balancer_group.ensure(
            refs, lambda ref: commands.weight(ref, str(value)), lambda server: server.weight == value
        )
        return
    servers = await balancer_group.servers(refs)
    # An agent check that replies "ready" would undo it.
    agents = [ref for ref in refs if servers[ref].agent]
    await balancer_group.ensure(agents, commands.agent_off, lambda server: not server.agent)
    if change.action == "drain":
        await balancer_group.ensure(refs, commands.drain, is_drained)
    else:
        await balancer_group.ensure(refs, commands.maint, in_maintenance)


def _find_original(server: Server, weights: Mapping[ServerRef, int]) -> OriginalState:
    """Return the state to restore. A weight of 0 is an operator's, and is kept."""
    ready = OriginalState.as_ready(server)
    weight = weights.get(server.ref, server.weight)
    return replace(ready, weight=weight) if 0 < server.weight < weight else ready


async def _make_ready(context: StepContext) -> None:
    name = context.node.name
    context.followers = await _read_followers(context.balancer_group, context.refs)
    with context.bus.commands_of(name, "verify"):
        try:
            await prove(context, ConsecutiveChecks(context))
            await restore_originals(context)
        except RolldeckError as error:
            try:
                await quarantine(context)
            except RolldeckError as second:
                context.note(f"could not be brought back to maintenance everywhere: {second.beside(name)}")
            raise error
        await discovery.exit_maintenance(context)
        await _note_unwatched(context)


async def _note_unwatched(context: StepContext) -> None:
    """Note that its service manager would neither restart nor stop a node that works."""
    with contextlib.suppress(
        BackendError
    ):  # that the manager cannot be queried does not concern the rotation
        state = await context.node.service.state()
        if state.unwatched:
            context.note(f"is in rotation, but {state.unwatched}")


def _make_context(
    application: Application,
    node: Node,
    refs: tuple[ServerRef, ...],
    originals: dict[ServerRef, OriginalState],
    control: RolloutControl,
    clock: Clock,
    bus: EventBus,
    step: Step,
) -> StepContext:
    return StepContext(
        node=node,
        refs=refs,
        originals=originals,
        wanted=None,
        balancer_group=application.balancer_group,
        policy=application.policy,
        clock=clock,
        control=control,
        bus=bus,
        step=step,
        is_manual=True,
        ignored_backends=application.ignored_backends,
    )
