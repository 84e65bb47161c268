"""After a failure, a node goes back if its service was not stopped, or stays out until someone decides."""

import asyncio
from dataclasses import replace

from backends.errors import RolldeckError
from backends.haproxy import commands
from backends.model import AdminState, ServerRef
from orchestrator.balancers.admin_state import (
    find_followers,
    find_track_targets,
)
from orchestrator.engine.desired_state import DesiredState
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.agents import silence_agents
from orchestrator.engine.steps.drain import in_maintenance, is_drained, is_out
from orchestrator.engine.steps.verify import prove, restore_originals
from orchestrator.planning import capacity
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.plan import PlannedNode
from orchestrator.planning.removal import read_all_backups


async def quarantine(context: StepContext) -> None:
    """Bring a failed node to maintenance everywhere, except where the floor needs even this one.

    Each load balancer is handled by itself: one that does not answer must not leave a bad node in rotation
    on the others.

    Raises:
        RolldeckError: a load balancer or service discovery could not be reached, or refused; on the other
            load balancers it is done.
    """
    instances = sorted({ref.instance for ref in context.refs})
    async with context.balancer_group.lock:
        results = await asyncio.gather(
            *(_quarantine_on(context, instance) for instance in instances), return_exceptions=True
        )
    for result in results:
        if result is not None:
            raise result
    if all(in_maintenance(server) for server in (await context.servers()).values()):
        await discovery.enter_maintenance(context)


async def drain_at_once(context: StepContext) -> None:
    """Drain a node that fails its clients, without a retry, on each load balancer whose floor allows that.

    It is brought to maintenance after that, as any node that has failed, and only then it is said where it is
    left in rotation.
    """
    instances = sorted({ref.instance for ref in context.refs})
    async with context.balancer_group.lock:
        results = await asyncio.gather(
            *(_drain_on(context, instance) for instance in instances), return_exceptions=True
        )
    for result in results:
        if result is not None and not isinstance(result, RolldeckError):
            raise result


async def _drain_on(context: StepContext, instance: str) -> None:
    refs = await _select_allowed(context, instance)
    context.set_desired(DesiredState.DRAIN, refs)
    await silence_agents(context, refs)
    await context.balancer_group.ensure(refs, commands.drain, is_out)


async def _select_allowed(context: StepContext, instance: str) -> list[ServerRef]:
    """Return the node's servers on one load balancer, if the floor there allows to take them out now.

    Raises:
        CapacityViolation: it does not.
    """
    balancer_group = context.balancer_group
    refs = [ref for ref in context.refs if ref.instance == instance]
    # Its followers may be in any backend.
    snapshots = context.pool.filled({instance: await balancer_group.read(instance, ())})
    carried = find_followers(find_track_targets(snapshots.values()), refs)
    # Others that are not proven yet, as after a reload, are better than one that is known to fail.
    capacity.check_capacity(
        snapshots,
        refs,
        context.policy,
        counts=capacity.RECEIVES_TRAFFIC,
        ignored_backends=context.ignored_backends,
        all_backups=await read_all_backups(balancer_group.balancers, snapshots, carried.union(refs)),
    )
    context.followers |= carried
    return refs


async def _quarantine_on(context: StepContext, instance: str) -> None:
    balancer_group = context.balancer_group

    async def attempt() -> None:
        # The capacity guard decides again at each attempt: capacity may have been lost meanwhile.
        refs = await _select_allowed(context, instance)
        context.set_desired(DesiredState.MAINT, refs)
        await silence_agents(context, refs)
        await balancer_group.ensure(refs, commands.maint, in_maintenance)
        await balancer_group.ensure(
            [ref for ref in refs if ref in context.ramped],
            lambda ref: commands.weight(ref, str(context.originals[ref].weight)),
            lambda server: server.weight == context.originals[server.ref].weight,
        )

    try:
        await context.retry_until_reachable(attempt)
    except CapacityViolation as refusal:
        context.note(f"left in rotation although it failed, because of the floor: {refusal}")


async def restore_untouched(context: StepContext, planned: PlannedNode) -> bool:
    """Put a node back whose service was not stopped: prove its old version, and restore its servers.

    Nothing is done for a node that an earlier rollout has left out after more than a drain, or that is put in
    rotation on request: it was not serving before. Neither for one that is not healthy at the first check.

    Returns:
        Whether it is back as it was; after a failed attempt, the node is in maintenance.
    """
    left_out = planned.force_ready or (planned.unfinished_rollout and not planned.only_drained)
    if context.stop_sent or left_out or "drain" not in planned.steps:
        return False
    own = replace(context, wanted=planned.running)
    try:
        if not (await own.node.health.check()).ok:
            return False
        await _leave_drained_by_others(own)
    except RolldeckError as error:
        own.note(f"was not put back: {error.beside(own.node.name)}")
        return False
    try:
        await prove(own, ConsecutiveChecks(own, queries_manager=False))
        await restore_originals(own)
        await discovery.exit_maintenance(own)
    except RolldeckError as error:
        own.note(f"could not be put back: {error.beside(own.node.name)}")
        await quarantine(own)
        return False
    return True


async def _leave_drained_by_others(context: StepContext) -> None:
    """Leave servers drained that somebody has drained meanwhile."""
    for ref, server in (await context.retry_until_reachable(context.servers)).items():
        by_others = not context.desired_states.satisfied_by(server) and is_drained(server)
        if by_others and context.originals[ref].admin is AdminState.READY:
            context.originals[ref] = replace(context.originals[ref], admin=AdminState.DRAIN)
            context.note(f"somebody has drained {ref} meanwhile: it is left drained")
