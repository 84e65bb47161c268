"""Give a node its weight back in stages; its health and what clients see of it decide about each."""

from collections.abc import Iterator, Mapping

from backends.haproxy import commands
from backends.model import AdminState, Server, ServerRef
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import Command, DryRunContext, StepContext
from orchestrator.engine.steps.agents import silence_agents
from orchestrator.engine.steps.bake import ClientErrors, HealthUnderTraffic, describe_server, raise_if_bad
from orchestrator.engine.steps.hold import confirm_hold
from orchestrator.errors import StepFailed
from orchestrator.planning.ramp import (
    STAGE_DURATION_S,
    STAGE_REQUESTS,
    compute_stage_weight,
    explain_weight,
)


async def climb(context: StepContext, checks: ConsecutiveChecks, errors: ClientErrors) -> None:
    """Bring the servers that return on a ramp to their original weight, stage by stage.

    The node's other servers stay out meanwhile. Agent checks stay off: an agent may set a weight of its own.

    Args:
        context: the step context of the node; it is proven, and drained.
        checks: the checks of its own health.
        errors: the errors that clients saw since before it was put back.

    Raises:
        StepFailed: it left the rotation, its own health failed, clients saw too many errors, or the judgement
            on the new version was against it for too long.
        Aborted: an operator was asked about a hold, and has ended the rollout.
    """
    originals = context.originals
    refs = [ref for ref in errors.refs if ref in context.ramped and not explain_weight(originals[ref].weight)]
    if not refs:
        return
    await context.retry_until_reachable(lambda: silence_agents(context, refs))
    for percent in context.policy.ramp:
        weights = await _find_weights(context, refs, percent)
        context.judgement.returns(context.node.name, context.wanted)  # it watches more closely for a while
        await _set_stage(context, weights, is_first=percent == context.policy.ramp[0])
        if any(weights[ref] < originals[ref].weight for ref in refs):
            await _hold(context, checks, errors, weights, percent)


async def _find_weights(context: StepContext, refs: list[ServerRef], percent: int) -> dict[ServerRef, int]:
    """Return the weights of a stage; that of a server which takes traffic is never lowered."""
    servers = await context.retry_until_reachable(lambda: context.balancer_group.servers(refs))
    found = {}
    for ref, server in servers.items():
        original = context.originals[ref].weight
        weight = compute_stage_weight(original, percent)
        found[ref] = min(original, max(weight, server.weight)) if _is_ready(server) else weight
    return found


async def _set_stage(context: StepContext, weights: Mapping[ServerRef, int], *, is_first: bool) -> None:
    """Set the weights of a stage, and wait until they are the effective ones, but for slow start.

    Only the first stage makes servers ready: whoever takes one out after that has a reason.
    """
    refs = list(weights)
    raise_if_bad(context)
    context.desired_states.set_stage(weights)
    await context.ensure(
        refs,
        lambda ref: commands.weight(ref, str(weights[ref])),
        lambda server: server.weight == weights[server.ref],
    )
    if is_first:
        await context.ensure(refs, commands.ready, _is_ready)

    async def probe() -> str | None:
        raise_if_bad(context)
        servers = (await context.balancer_group.servers(refs)).values()
        if (server := next((server for server in servers if not _is_ready(server)), None)) is not None:
            raise StepFailed(f"{server.ref} was set to {server.own_admin_state} by somebody else")
        if (server := next((server for server in servers if not _serves(server)), None)) is not None:
            return describe_server(server)
        return next(filter(None, (_describe_effect(server, weights[server.ref]) for server in servers)), None)

    await context.wait_for(
        probe, timeout=context.policy.verify_timeout, what="in rotation with part of its weight"
    )


def _describe_effect(server: Server, weight: int) -> str:
    """Describe an effective weight that is not the one that was set; slow start may lower it."""
    if server.throttle is not None or server.effective_weight == weight:
        return ""
    return f"its weight on {server.ref.instance} is {weight}, and {server.effective_weight} in effect"


async def _hold(
    context: StepContext,
    checks: ConsecutiveChecks,
    errors: ClientErrors,
    weights: Mapping[ServerRef, int],
    percent: int,
) -> None:
    """Stay at a stage until it may be left."""
    control, policy, refs = context.control, context.policy, list(weights)
    by_verdict = policy.ramp_hold == "verdict"
    hold_s = STAGE_DURATION_S if isinstance(policy.ramp_hold, str) else policy.ramp_hold
    end = control.elapsed_excluding_pauses() + hold_s
    first = errors.signals_of(refs).started
    health = HealthUnderTraffic(context, checks)

    async def probe() -> str | None:
        raise_if_bad(context)
        servers = await context.balancer_group.servers(refs)
        lost = await health.check([server for server in servers.values() if not _serves(server)])
        for ref, server in servers.items():
            if server.weight < weights[ref]:
                raise StepFailed(f"{ref} was set to the weight {server.weight} by somebody else")
        await errors.read()
        requests = errors.signals_of(refs).started - first
        stage = f"at {percent} % of its weight"
        if reason := lost or (checks.reason if checks.bad else ""):
            return f"{stage}: {reason}"
        enough = by_verdict and requests >= STAGE_REQUESTS
        if control.paused or (not enough and control.elapsed_excluding_pauses() < end):
            of = f" of {STAGE_REQUESTS}" if by_verdict else ""
            return f"{stage}, {requests}{of} requests"
        objection = context.judgement.objection or await confirm_hold(context, "give it more traffic")
        return f"{stage}: {objection}" if objection else None

    await context.wait_for(
        probe,
        timeout=hold_s + policy.verify_timeout,
        what=f"the end of the stage at {percent} % of its weight",
        at=end,
        baking=True,
        weight_percent=percent,
    )


def _is_ready(server: Server) -> bool:
    return server.own_admin_state is AdminState.READY


def _serves(server: Server) -> bool:
    """Return whether a server gets its share of a stage: slow start may still make that smaller."""
    return server.in_rotation or (server.receives_traffic and server.throttle is not None)


def climb_commands(context: DryRunContext) -> Iterator[Command]:
    """List what a ramp would send, to its last stage."""
    originals = context.planned.originals
    sent: dict[ServerRef, int] = {}
    for percent in context.policy.ramp:
        for ref in context.planned.ramped:
            weight = compute_stage_weight(originals[ref].weight, percent)
            if sent.get(ref) != weight:
                yield ref.instance, commands.weight(ref, str(weight))
        if not sent:
            for ref in context.planned.ramped:
                yield ref.instance, commands.ready(ref)
        sent = {ref: compute_stage_weight(originals[ref].weight, percent) for ref in context.planned.ramped}
