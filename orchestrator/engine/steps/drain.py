"""Take a node out of rotation and let its sessions end."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from backends.errors import Refused
from backends.haproxy import commands
from backends.haproxy.columns import names_of
from backends.model import Admin, AdminState, Server, Snapshot
from backends.text import counted
from orchestrator.balancers.group import find_servers
from orchestrator.engine.desired_state import DesiredState
from orchestrator.engine.remaining_sessions import RemainingSessions
from orchestrator.engine.step_context import (
    Command,
    DryRunContext,
    StepContext,
    gather_both,
    refuse_misplaced,
)
from orchestrator.engine.steps import discovery, trial
from orchestrator.engine.steps.agents import silence_agents
from orchestrator.engine.steps.hold import await_evidence, confirm_hold
from orchestrator.engine.steps.stop import cannot_stop
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.planning import capacity
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.findings import Severity
from orchestrator.planning.load_grade import LoadForecast
from orchestrator.planning.removal import (
    Removal,
    SharedEndpoints,
    judge_shared_endpoints,
    measure_removal,
)

LEFT_ALONE = "it was left in rotation"
MIN_CHECK_TIMEOUT_S = 1.0  # for the last check before the deadline


def in_maintenance(server: Server) -> bool:
    """Return whether a command put it into maintenance; inherited maintenance may end at any time."""
    return bool(server.admin & Admin.FORCED_MAINT)


def is_out(server: Server) -> bool:
    """Return whether a server gets no new balanced traffic, whatever becomes of one that it tracks."""
    return server.own_admin_state is not AdminState.READY


def is_drained(server: Server) -> bool:
    """Return whether a command has drained a server; one in maintenance is out too, but not drained."""
    return bool(server.admin & Admin.FORCED_DRAIN)


async def drain(context: StepContext) -> str | None:
    """Drain a node as the capacity guard allows, wait for its sessions or the deadline, then set maintenance.

    Where service discovery follows HAProxy, the node leaves it as soon as it drains.

    Returns:
        What was done; None when the node was in maintenance already.

    Raises:
        StepFailed: the capacity did not come back in time, or sessions remain and the policy says fail.
    """
    servers = await context.retry_until_reachable(context.servers)
    refuse_misplaced(context, servers.values())
    if all(in_maintenance(server) for server in servers.values()):
        context.mark_touched()
        context.set_desired(DesiredState.MAINT)
        await context.retry_until_reachable(lambda: silence_agents(context, context.refs))
        await discovery.enter_maintenance(context)
        # Maintenance does not end what was in flight when it began.
        left = await RemainingSessions.begin(context, learns=False).settle()
        return f"{counted(left, 'session')} left" if left else None
    await discovery.check_reachable(context)
    await await_evidence(context)
    await _drain_when_allowed(context)
    sessions = RemainingSessions.begin(context)
    await discovery.enter_maintenance(context)
    forced = await trial.wait_for_sessions(context, sessions)
    context.set_desired(DesiredState.MAINT)
    await context.ensure(context.refs, commands.maint, in_maintenance)
    left = await sessions.settle()
    if left:
        return f"forced to maintenance, {counted(left, 'session')} left"
    when = "by an operator" if sessions.is_cut else "at the deadline"
    return f"forced to maintenance {when}" if forced else "no sessions left"


def drain_commands(context: DryRunContext) -> Iterator[Command]:
    """List what a drain would send."""
    for server in context.servers:
        if server.agent:
            yield server.ref.instance, commands.agent_off(server.ref)
    for server in context.servers:
        if not is_out(server):
            yield server.ref.instance, commands.drain(server.ref)
    yield from discovery.enter_commands(context)
    for server in context.servers:
        if not in_maintenance(server):
            yield server.ref.instance, commands.maint(server.ref)


async def still_in_maintenance(context: StepContext) -> None:
    """Check again that the node is in maintenance, before its service is touched.

    Raises:
        StepFailed: a reload of HAProxy, or somebody, has put the node back meanwhile.
    """
    for ref, server in (await context.retry_until_reachable(context.servers)).items():
        if not in_maintenance(server):
            raise StepFailed(
                f"{ref} is not in maintenance any more but {server.admin_state} ({server.status}): somebody"
                " changed it"
            )


async def _drain_when_allowed(context: StepContext) -> None:
    """Drain as soon as the capacity guard allows; the lock makes the check and the drain one action."""
    control = context.control

    async def attempt() -> str | None:
        # Capacity may come back while the rollout is paused, or while a failed node waits for a decision.
        await (control.checkpoint() if context.is_return else control.await_decisions(context.node.name))
        if reason := await confirm_hold(context, "drain the next node"):
            return reason
        await check_reachable(context)  # after the wait, which may have taken an hour
        await context.clock.sleep(context.load_guard.spacing_left_s(context.node.name))
        async with context.balancer_group.lock:
            try:
                # First without the backends of others: while capacity is waited for, nothing else is read.
                for whole in (False, True):
                    removal = await _measure_removal(context, whole=whole)
                    if reason := _judge_changes(context, removal.snapshots):
                        return reason
                    refuse_left_in(context, removal)
                    capacity.raise_if_violated(removal.capacities)
            except CapacityViolation as refusal:
                return str(refusal)
            if reason := context.judgement.hold:
                return reason  # it came meanwhile
            forecasts, reason = _forecast_loads(context, removal)
            if reason:
                return reason
            control.raise_if_drains_stopped()  # as late as possible: another node may have failed meanwhile
            context.mark_touched()
            context.followers = removal.followers
            context.set_desired(DesiredState.DRAIN)
            _begin_trial(context, removal, forecasts)
            await silence_agents(context, context.refs)
            await context.balancer_group.ensure(context.refs, commands.drain, is_out)
            return None

    try:
        await context.wait_for(
            attempt, timeout=context.policy.capacity_timeout, what="capacity to take it out", free=True
        )
    except StepTimeout:
        if hold := context.judgement.hold:
            control.stop_new_drains(f"verdict hold: {hold}")
            control.raise_if_drains_stopped()
        raise


def _forecast_loads(context: StepContext, removal: Removal) -> tuple[tuple[LoadForecast, ...], str]:
    """Forecast what the others will carry; also return why that forbids the drain now, or empty.

    If an earlier rollout has drained the node, the others carry it already: what follows is a trial of that.
    """
    guard, leaving = context.load_guard, removal.followers.union(context.refs)
    own = find_servers(context.refs, removal.snapshots.values()).values()
    have_left = context.resumes_drain and not any(server.receives_traffic for server in own)
    forecasts = guard.forecast(removal.snapshots, leaving, have_left=have_left)
    if left_s := guard.spacing_left_s(context.node.name):
        return forecasts, f"another drain is on trial: {left_s:.1f} s apart"
    return forecasts, "" if have_left else guard.find_refusal(forecasts)


def _begin_trial(context: StepContext, removal: Removal, forecasts: tuple[LoadForecast, ...]) -> None:
    leaving = removal.followers.union(context.refs)
    context.load_guard.begin(context.node.name, leaving, forecasts, removal.snapshots)
    if text := context.load_guard.trial_text(context.node.name):
        context.note(f"drains on trial for {context.policy.trial:g} s: {text}")


async def _measure_removal(context: StepContext, *, whole: bool) -> Removal:
    """Compute what the removal of the node would do now."""
    return await measure_removal(
        context.balancer_group,
        context.refs,
        context.policy,
        all_backends=whole,
        ignored_backends=context.ignored_backends,
        counted=context.pool.filled,
        counts=context.desired_states.counts_for_floor,
    )


def _judge_changes(context: StepContext, snapshots: Mapping[str, Snapshot]) -> str:
    """Judge what may have changed since the plan; return why the node cannot be taken out yet, or empty."""
    refuse_misplaced(context, find_servers(context.refs, snapshots.values()).values())
    for snapshot in snapshots.values():
        context.pool.add(snapshot)
    expected = {ref for ref in context.desired_states.originals if context.desired_states.expects_out(ref)}
    return context.pool.fallen(snapshots, expected.union(context.refs))


async def check_reachable(context: StepContext) -> None:
    """Check the host, the service and its port, as the steps that follow will have to.

    A host that died after the plan was made is found while its node still serves, and not when the node was
    drained and cannot be stopped.

    Raises:
        StepFailed: it did not answer within `host_timeout`, or it refused; no changes made.
    """
    timeout_s = context.policy.host_timeout
    end = context.control.elapsed_excluding_pauses() + timeout_s
    what = "its host and its service manager to answer"

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(
                max(MIN_CHECK_TIMEOUT_S, end - context.control.elapsed_excluding_pauses())
            ):
                await context.node.host.connect()
                # In parallel: each of them starts a program on the node, while the batch waits.
                (state, is_open), obstacles = await gather_both(
                    context.query_service(), _find_obstacles(context)
                )
        except TimeoutError:
            return f"{context.node.name} does not answer"
        if problems := [*filter(None, [cannot_stop(state, is_open) if context.stops else ""]), *obstacles]:
            raise StepFailed("; ".join(problems))
        return None

    try:
        await context.wait_for(probe, timeout=timeout_s, what=what, free=True)
    except (StepFailed, Refused) as error:
        raise StepFailed(f"{error.beside(context.node.name)}; {LEFT_ALONE}") from error


async def _find_obstacles(context: StepContext) -> tuple[str, ...]:
    return await context.node.service.obstacles() if context.stops else ()


def refuse_left_in(context: StepContext, removal: Removal) -> None:
    """Raise StepFailed when other server lines lead to this node by now: they would not be taken out with it.

    All backends were checked when the plan was made, and are again after a reload; otherwise only those of
    the application are, whose servers were built for the capacity guard.

    Args:
        context: the step context of the node.
        removal: has what was read of the load balancers right before the node leaves.
    """
    snapshots = removal.snapshots
    if not context.balancer_group.reloads:
        snapshots = {
            name: _select_backends(snapshot, context.balancer_group.backends)
            for name, snapshot in snapshots.items()
        }
    shared = SharedEndpoints(snapshots, removal.tracked)
    found = judge_shared_endpoints(shared, {context.node.name: context.refs}, context.ignored_backends)
    wrong = [finding for finding in found if finding.severity is Severity.ERROR]
    if wrong:
        raise StepFailed("; ".join(f"{finding.subject} {finding.text}" for finding in wrong))


def _select_backends(snapshot: Snapshot, backends: Sequence[str]) -> Snapshot:
    servers = snapshot.servers
    indexes = [index for index, (backend, _) in enumerate(names_of(servers)) if backend in backends]
    return replace(snapshot, servers=tuple(servers[index] for index in indexes))
