"""Watch a node for a while under the traffic that it gets, before another one is touched."""

from collections.abc import Mapping, Sequence

from backends.model import AdminState, Server, ServerRef
from backends.text import counted
from orchestrator.balancers.followers import inherits_only
from orchestrator.balancers.request_errors import MIN_REQUESTS, RequestTally, Sample, Signals
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.traffic import TrafficCount
from orchestrator.errors import StepFailed
from orchestrator.events.events import Baked


async def not_in_rotation(context: StepContext, refs: list[ServerRef]) -> str | None:
    """The first of these servers that is not in rotation with full health, in words."""
    return next((in_words(server) for server in await _missing(context, refs)), None)


async def _missing(context: StepContext, refs: list[ServerRef]) -> list[Server]:
    """Those that are not in rotation with full health."""
    servers = (await context.balancer_group.servers(refs)).values()
    return [
        server
        for server in servers
        if not server.in_rotation
        and not _weightless(context, server)
        # Nothing that is done to it ends what it inherits: with that it is as much back as it was.
        and not (server.ref in context.inherited and inherits_only(server))
    ]


def in_words(server: Server) -> str:
    """How a server is, and on which load balancer."""
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
    was_doubted = False
    tallies = {ref: RequestTally(before[ref]) for ref in refs}

    async def count() -> Signals:
        for ref, look in (await context.balancer_group.requests(refs, traffic.add)).items():
            tallies[ref].add(look)
        return sum((tally.signals for tally in tallies.values()), Signals())

    async def probe() -> str | None:
        nonlocal was_doubted
        await checks.check()
        if checks.bad >= checks.needed:
            raise StepFailed(f"own health failed during bake time: {checks.reason}")
        missing = await _missing(context, refs)
        if missing and context.balancer_group.reloads > reloads:
            # Every server has to prove itself from nothing then.
            return f"after a reload: {in_words(missing[0])}"
        doubt = _doubt(missing)
        if doubt and not was_doubted:  # then its own health decides, as it is now
            await checks.check(immediate=True)
        was_doubted = bool(doubt)
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


def _doubt(missing: Sequence[Server]) -> str:
    """Why its own health has to decide about a node; empty when nothing is missing.

    Args:
        missing: its servers that are not in rotation with full health.

    Raises:
        StepFailed: one of them gets no traffic any more.
    """
    for server in missing:
        if not server.receives_traffic or server.throttle is not None:
            raise StepFailed(f"did not stay in rotation: {in_words(server)}")
    # Such as "UP 1/2": it has lost a check, and HAProxy still sends it traffic.
    return f"failed a health check of HAProxy: {in_words(missing[-1])}" if missing else ""


def _too_many(found: Signals, allowed: int) -> str:
    kinds = {
        "answered with 5xx": found.told - found.refused - found.broken,
        "without a response": found.broken,
        "cut off in the middle": found.cut,
        "refused": found.refused,
    }
    parts = ", ".join(f"{number} {words}" for words, number in kinds.items() if number)
    errors, requests = counted(found.known, "error"), counted(found.started, "request")
    return f"clients saw {errors} ({parts}) in {requests} since it is back in rotation, allowed {allowed}"
