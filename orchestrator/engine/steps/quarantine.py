"""After a failure: out of rotation until someone decides."""

import asyncio

from backends.haproxy import commands
from orchestrator.balancers.followers import followers, tracked_servers
from orchestrator.engine.desired_state import DesiredState
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.drain import in_maintenance, silence_agents
from orchestrator.planning import capacity
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.departure import read_all_backups


async def quarantine(context: StepContext) -> None:
    """Bring a failed node to maintenance everywhere, except where the floor needs even this one.

    Each load balancer for itself: one that does not answer must not leave a bad node in rotation elsewhere.

    Raises:
        RolldeckError: a load balancer could not be asked, or refused; the others have been dealt with. Or the
            registry.
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


async def _quarantine_on(context: StepContext, instance: str) -> None:
    balancer_group = context.balancer_group
    refs = [ref for ref in context.refs if ref.instance == instance]

    async def attempt() -> None:
        # The guard is asked again with each attempt: capacity may have been lost meanwhile.
        # Whoever follows it may stand in any backend.
        seen = context.pool.filled({instance: await balancer_group.read(instance, ())})
        # Better others that have yet to prove themselves, as after a reload, than one that is known to fail.
        carried = followers(tracked_servers(seen.values()), refs)
        capacity.check_capacity(
            seen,
            refs,
            context.policy,
            counts=capacity.RECEIVES_TRAFFIC,
            ignored_backends=context.unmanaged,
            all_backups=await read_all_backups(balancer_group.balancers, seen, carried.union(refs)),
        )
        context.followers |= carried
        context.set_desired(DesiredState.MAINT, refs)
        await silence_agents(context, refs)
        await balancer_group.ensure(refs, commands.maint, in_maintenance)

    try:
        await context.retry_until_reachable(attempt)
    except CapacityViolation as refusal:
        context.note(f"left in rotation although it failed, because of the floor: {refusal}")
