"""Prove that a node works, put it back as it was, and watch it under traffic."""

import contextlib
from collections.abc import Iterator

from backends.errors import BackendError
from backends.haproxy import commands
from backends.model import Admin, AdminState, Server, ServerRef
from orchestrator.balancers.admin_state import find_returning_followers, format_path
from orchestrator.engine.desired_state import RESTORE, DesiredState
from orchestrator.engine.health_gate import ConsecutiveChecks, Liveness
from orchestrator.engine.step_context import Command, DryRunContext, StepContext, refuse_misplaced
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.bake import ClientErrors, bake, describe_missing, describe_server, raise_if_bad
from orchestrator.engine.steps.ramp import climb, climb_commands
from orchestrator.errors import BadVersion, StepFailed
from orchestrator.node import OriginalState


async def verify(context: StepContext) -> str | None:
    """Prove a node, restore its original state, wait for full health, bake it, and end its maintenance.

    With a ramp, its weight comes back in stages before that.

    Returns:
        What was done; a node is always verified, so never None.

    Raises:
        StepFailed: the node is unhealthy, runs a wrong version, is not in rotation in time, or has errors
            while it bakes.
    """
    try:
        return await _prove_and_return(context)
    except StepFailed as error:
        raise_if_bad(context, error)  # what was seen of the drain that follows a verdict is no reason
        raise


async def _prove_and_return(context: StepContext) -> str:
    checks = ConsecutiveChecks(context)
    await prove(context, checks)
    if reason := context.judgement.refusal:
        raise BadVersion(f"was not put into rotation: {reason}")
    back = context.servers_originally(AdminState.READY)
    errors = await ClientErrors.begin(context, back)
    await climb(context, checks, errors)
    await restore_originals(context)
    if back and context.policy.bake_time:
        await bake(context, checks, errors)
    raise_if_bad(context)
    await discovery.exit_maintenance(context)  # last: until then no other client finds it
    raise_if_bad(context)
    if back and not any(context.originals[ref].weight for ref in back):
        return "healthy; left at weight 0 as it was before"
    return "in rotation" if back else "healthy; left out of rotation as it was before"


def verify_commands(context: DryRunContext) -> Iterator[Command]:
    """List what a verification would send."""
    originals = context.planned.originals
    for server in context.servers:
        comes_back = originals[server.ref].admin is not AdminState.MAINT
        if comes_back and context.policy.require_haproxy_checks and can_be_proven(server):
            yield server.ref.instance, commands.prove(server.ref)
    yield from climb_commands(context)
    for ref, original in originals.items():
        if original.admin is not AdminState.MAINT and ref not in context.planned.ramped:
            yield ref.instance, RESTORE[original.admin](ref)
    for ref, original in originals.items():
        if original.agent:
            yield ref.instance, commands.agent_on(ref)
    yield from discovery.exit_commands(context)


async def prove(context: StepContext, checks: ConsecutiveChecks) -> None:
    """Wait until own health holds and, from its first good check on, HAProxy and service discovery agree.

    Own health must be good for `min_healthy` seconds. While it is bad the service itself is checked: one that
    has died is not waited for.

    Leaving maintenance with `ready` alone would send live traffic because of a STALE check result. In DRAIN,
    after `health down`, HAProxy's checks start from DOWN, and it sends no balanced traffic meanwhile.
    """
    gated: list[ServerRef] | None = None
    liveness, bad = Liveness(context), 0
    least_s = context.policy.min_healthy

    async def probe() -> str | None:
        nonlocal gated, bad
        unhealthy = await checks.check()
        if checks.bad > bad:  # once for each bad check
            await _check_liveness(liveness)
        bad = checks.bad
        if not unhealthy and checks.lasted_s < least_s:
            unhealthy = f"own health is good, required for {least_s:g} s"
        if checks.good and gated is None:
            gated = await _enter_gate(context)
        unproven = await _describe_unproven(context, gated or [])
        unregistered = await discovery.failing_checks(context) if checks.good else None
        return "; ".join(reason for reason in (unhealthy, unproven, unregistered) if reason) or None

    await context.wait_for(probe, timeout=context.policy.verify_timeout, what="healthy")


async def _check_liveness(liveness: Liveness) -> None:
    """Raise StepFailed for a service that died; that its host cannot be queried is no failure here."""
    with contextlib.suppress(BackendError):
        await liveness.missing()


def can_be_proven(server: Server) -> bool:
    """Return whether `health down` works: it never recovers without checks, and is refused with `track`."""
    return server.has_checks and not server.track_target


async def _enter_gate(context: StepContext) -> list[ServerRef]:
    """Put the servers that will leave maintenance under HAProxy's checks; return those to be proven."""
    servers = await context.servers()
    refuse_misplaced(context, servers.values())  # HAProxy would prove another machine
    if not context.policy.require_haproxy_checks:
        return []
    able = [
        ref
        for ref in context.servers_originally(AdminState.READY) + context.servers_originally(AdminState.DRAIN)
        if can_be_proven(servers[ref])
        # One that takes traffic now (a retry, or it was never drained) has no stale result.
        if servers[ref].admin_state is not AdminState.READY
    ]
    context.set_desired(DesiredState.PROVE, able)
    for ref in able:
        await context.balancer_group.balancers[ref.instance].write(commands.prove(ref))
    return able


async def _describe_unproven(context: StepContext, gated: list[ServerRef]) -> str | None:
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
    context.judgement.returns(context.node.name, context.wanted)
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
        raise_if_bad(context)
        return await describe_missing(context, back) or await _describe_missing_follower(context, back)

    await context.wait_for(probe, timeout=context.policy.verify_timeout, what="in rotation with full health")


async def _describe_missing_follower(context: StepContext, back: list[ServerRef]) -> str | None:
    """Describe the first server that left with the node and is not back with it.

    One that is kept out by itself was out before, or somebody else has decided so.
    """
    if not context.followers or not back:
        return None
    servers = await context.balancer_group.servers(back, context.followers)
    others = [server for ref, server in servers.items() if ref in context.followers]
    returning = find_returning_followers(others, back)
    return next(
        (
            f"{format_path(ref)}, which follows it: {describe_server(servers[ref])}"
            for ref in sorted(returning)
            if not servers[ref].in_rotation
        ),
        None,
    )
