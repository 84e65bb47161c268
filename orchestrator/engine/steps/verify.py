"""Prove that a node works, put it back as it was, and watch it under its traffic."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from backends.errors import BackendError
from backends.haproxy import commands
from backends.model import Admin, AdminState, Server, ServerRef
from backends.text import counted
from orchestrator.balancers.admin_state import inherits_only, path, returning_followers
from orchestrator.balancers.request_errors import MIN_REQUESTS, RequestTally, Sample, Signals, TrafficCount
from orchestrator.engine.desired_state import RESTORE, DesiredState
from orchestrator.engine.health_gate import ConsecutiveChecks, Liveness
from orchestrator.engine.step_context import Command, DryRunContext, StepContext, refuse_misplaced
from orchestrator.engine.steps import discovery
from orchestrator.errors import StepFailed
from orchestrator.events.events import Baked
from orchestrator.node import OriginalState


async def verify(context: StepContext) -> str | None:
    """Own health and HAProxy's proof, the original state, full health everywhere, the bake, the registry.

    Returns:
        What was done; it always looks, so never None.

    Raises:
        StepFailed: unhealthy, a wrong version runs, not in rotation in time, or errors while it bakes.
    """
    checks = ConsecutiveChecks(context)
    await prove(context, checks)
    back = context.servers_originally(AdminState.READY)
    traffic = TrafficCount({ref.backend for ref in back})
    before = await context.retry_until_reachable(lambda: context.requests(traffic.add))
    await restore_originals(context)
    if back and context.policy.bake_time:
        await bake(context, back, checks, before, traffic)
    await discovery.exit_maintenance(context)  # last: until then nobody else has to do with it
    if back and not any(context.originals[ref].weight for ref in back):
        return "healthy; left at weight 0 as it was before"
    return "in rotation" if back else "healthy; left out of rotation as it was before"


def verify_commands(context: DryRunContext) -> Iterator[Command]:
    """List what a verification would send."""
    originals = context.planned.originals
    for server in context.servers:
        leaves = originals[server.ref].admin is not AdminState.MAINT
        if leaves and context.policy.require_haproxy_checks and can_be_proven(server):
            yield server.ref.instance, commands.prove(server.ref)
    for ref, original in originals.items():
        if original.admin is not AdminState.MAINT:
            yield ref.instance, RESTORE[original.admin](ref)
    for ref, original in originals.items():
        if original.agent:
            yield ref.instance, commands.agent_on(ref)
    yield from discovery.exit_commands(context)


async def prove(context: StepContext, checks: ConsecutiveChecks) -> None:
    """Own health in a row and, from its first good look on, HAProxy's own checks and a registry's; all hold.

    Own health is good for `min_healthy` seconds by then. While it is bad the service itself is looked at: one
    that has died is not waited for.

    Leaving maintenance with `ready` alone would send live traffic on the word of a STALE check result. In
    DRAIN, after `health down`, HAProxy checks from nothing and sends no balanced traffic meanwhile.
    """
    gated: list[ServerRef] | None = None
    liveness, bad = Liveness(context), 0
    least_s = context.policy.min_healthy

    async def probe() -> str | None:
        nonlocal gated, bad
        unhealthy = await checks.check()
        if checks.bad > bad:  # once for each bad look
            await _look_for_death(liveness)
        bad = checks.bad
        if not unhealthy and checks.lasted_s < least_s:
            unhealthy = f"own health is good, required for {least_s:g} s"
        if checks.good and gated is None:
            gated = await _enter_gate(context)
        unproven = await _unproven(context, gated or [])
        doubt = await discovery.failing_checks(context) if checks.good else None
        return "; ".join(reason for reason in (unhealthy, unproven, doubt) if reason) or None

    await context.wait_for(probe, timeout=context.policy.verify_timeout, what="healthy")


async def _look_for_death(liveness: Liveness) -> None:
    """Raises StepFailed for a service that died. That its host cannot be asked is no failure here."""
    with contextlib.suppress(BackendError):
        await liveness.missing()


def can_be_proven(server: Server) -> bool:
    """`health down` never recovers without checks, and is refused on a server that tracks another."""
    return server.has_checks and not server.track_target


async def _enter_gate(context: StepContext) -> list[ServerRef]:
    """Put those that will leave maintenance under HAProxy's checks; returns those to be proven."""
    servers = await context.servers()
    refuse_misplaced(context, servers.values())  # HAProxy would prove another machine
    if not context.policy.require_haproxy_checks:
        return []
    able = [
        ref
        for ref in context.servers_originally(AdminState.READY) + context.servers_originally(AdminState.DRAIN)
        if can_be_proven(servers[ref])
        # One that takes traffic now (a retry, or it was never drained) has no stale result to fear.
        if servers[ref].admin_state is not AdminState.READY
    ]
    context.set_desired(DesiredState.PROVE, able)
    for ref in able:
        await context.balancer_group.balancers[ref.instance].write(commands.prove(ref))
    return able


async def _unproven(context: StepContext, gated: list[ServerRef]) -> str | None:
    servers = await context.balancer_group.servers(gated)
    for ref, server in servers.items():
        if server.admin & (Admin.FORCED_MAINT | Admin.RESOLUTION_MAINT) == Admin.RESOLUTION_MAINT:
            return f"name resolution keeps {ref} in maintenance: HAProxy has no address for it yet"
        if server.admin_state is not AdminState.DRAIN:
            raise StepFailed(f"{ref} was set to {server.admin_state} by somebody else")
        if not server.checks_passed:
            return (
                f"HAProxy's checks on {ref.instance}: {server.status}, health"
                f" {server.check_health}/{server.full_health} {server.check_status}"
            )
    return None


async def restore_originals(context: StepContext) -> None:
    """Give every server its original weight, state and agent check, and wait for its full health."""
    originals = context.originals
    refuse_misplaced(context, (await context.retry_until_reachable(context.servers)).values())
    context.set_desired(DesiredState.ORIGINAL)
    await context.ensure(
        context.refs,
        lambda ref: commands.weight(ref, str(originals[ref].weight)),
        lambda server: server.weight == originals[server.ref].weight,
    )
    await context.ensure(
        context.refs,
        lambda ref: RESTORE[originals[ref].admin](ref),
        lambda server: OriginalState.of(server).admin is originals[server.ref].admin,
    )
    agents = [ref for ref in context.refs if originals[ref].agent]
    await context.ensure(agents, commands.agent_on, lambda server: server.agent)
    back = context.servers_originally(AdminState.READY)

    async def probe() -> str | None:
        return await not_in_rotation(context, back) or await _followers_missing(context, back)

    await context.wait_for(probe, timeout=context.policy.verify_timeout, what="in rotation with full health")


async def _followers_missing(context: StepContext, back: list[ServerRef]) -> str | None:
    """Return the first server that went out with the node and is not back with it, in words.

    Whoever is kept out by itself was out before, or is somebody else's decision.
    """
    if not context.followers or not back:
        return None
    servers = await context.balancer_group.servers(back, context.followers)
    others = [server for ref, server in servers.items() if ref in context.followers]
    returning = returning_followers(others, back)
    return next(
        (
            f"{path(ref)}, which follows it: {server_text(servers[ref])}"
            for ref in sorted(returning)
            if not servers[ref].in_rotation
        ),
        None,
    )


async def not_in_rotation(context: StepContext, refs: list[ServerRef]) -> str | None:
    """Return the first of these servers that is not in rotation with full health, in words."""
    return next((server_text(server) for server in await _missing(context, refs)), None)


async def _missing(context: StepContext, refs: list[ServerRef]) -> list[Server]:
    """Return those that are not in rotation with full health."""
    servers = (await context.balancer_group.servers(refs)).values()
    return [
        server
        for server in servers
        if not server.in_rotation
        and not _weightless(context, server)
        # Nothing that is done to it ends what it inherits: with that it is as much back as it was.
        and not (server.ref in context.inherited and inherits_only(server))
    ]


def server_text(server: Server) -> str:
    """Return how a server is, and on which load balancer."""
    ramp = f", slow start at {server.throttle} %" if server.throttle is not None else ""
    return f"{server.status} on {server.ref.instance}{ramp}"


def _weightless(context: StepContext, server: Server) -> bool:
    """Somebody had given it the weight 0: with that it is as much back as it ever was."""
    return context.originals[server.ref].weight == 0 and server.admin_state is AdminState.READY


async def bake(
    context: StepContext,
    refs: list[ServerRef],
    checks: ConsecutiveChecks,
    before: Mapping[ServerRef, Sample],
    traffic: TrafficCount,
) -> None:
    """Watch these servers for the policy's `bake_time`, and say what they were given and how it went.

    Args:
        context: of the node.
        refs: its servers that belong in rotation.
        checks: of its own health.
        before: what had been counted before it went back; its errors count from there on.
        traffic: of all servers of its backends, from there on.

    Raises:
        StepFailed: it left the rotation, its own health went, or clients saw too many errors.
    """
    start = context.control.elapsed_excluding_pauses()
    end = start + context.policy.bake_time
    reloads = context.balancer_group.reloads
    was_failing = False
    tallies = {ref: RequestTally(before[ref]) for ref in refs}

    async def count() -> Signals:
        for ref, look in (await context.balancer_group.requests(refs, traffic.add)).items():
            tallies[ref].add(look)
        return sum((tally.signals for tally in tallies.values()), Signals())

    async def probe() -> str | None:
        nonlocal was_failing
        await checks.check()
        if checks.bad >= checks.needed:
            raise StepFailed(f"own health failed during bake time: {checks.reason}")
        missing = await _missing(context, refs)
        if missing and context.balancer_group.reloads > reloads:
            # Every server has to prove itself from nothing then.
            return f"after a reload: {server_text(missing[0])}"
        doubt = _lost_check(missing)
        if doubt and not was_failing:  # then its own health decides, as it is now
            await checks.check(immediate=True)
        was_failing = bool(doubt)
        if doubt and checks.bad:
            raise StepFailed(f"{doubt}; own health: {checks.reason}")
        found = await count()
        if found.known > context.policy.max_5xx:
            raise StepFailed(_too_many(found, context.policy.max_5xx))
        # Not done on a bad look either: it gets the time to be good again, or to be lost.
        return doubt or ("baking" if context.control.elapsed_excluding_pauses() < end or checks.bad else None)

    timeout = context.policy.bake_time + context.policy.balancer_unreachable_timeout
    try:
        await context.wait_for(probe, timeout=timeout, what="end of bake", at=end, baking=True)
    finally:
        found = sum((tally.signals for tally in tallies.values()), Signals())
        context.baked = Baked(
            node=context.node.name,
            requests=found.started,
            errors=found.hard,
            refused=found.refused,
            retried=found.soft,
            proven=found.hard is not None and found.started >= MIN_REQUESTS,
            duration_s=round(context.control.elapsed_excluding_pauses() - start, 3),
            unattributed=traffic.totals().unattributed,
        )
        context.bus.emit(context.baked)


def _lost_check(missing: Sequence[Server]) -> str:
    """Return why its own health has to decide about a node; empty when nothing is missing.

    Args:
        missing: its servers that are not in rotation with full health.

    Raises:
        StepFailed: one of them gets no traffic any more.
    """
    for server in missing:
        if not server.receives_traffic or server.throttle is not None:
            raise StepFailed(f"did not stay in rotation: {server_text(server)}")
    # Such as "UP 1/2": it has lost a check, and HAProxy still sends it traffic.
    return f"failed a health check of HAProxy: {server_text(missing[-1])}" if missing else ""


def _too_many(found: Signals, allowed: int) -> str:
    kinds = {
        "answered with 5xx": found.with_5xx - found.refused - found.broken,
        "without a response": found.broken,
        "cut off in the middle": found.cut,
        "refused": found.refused,
    }
    parts = ", ".join(f"{number} {words}" for words, number in kinds.items() if number)
    errors, requests = counted(found.known, "error"), counted(found.started, "request")
    return f"clients saw {errors} ({parts}) in {requests} since it is back in rotation, allowed {allowed}"
