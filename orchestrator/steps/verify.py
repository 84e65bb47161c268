"""Prove that a node works, put it back as it was, and watch it."""

import contextlib

from backends.errors import BackendError
from backends.haproxy import commands
from backends.model import Admin, AdminState, Server, ServerRef
from orchestrator.errors import StepFailed
from orchestrator.intentions import Intent
from orchestrator.liveness import Liveness
from orchestrator.node import Original
from orchestrator.steps import registry
from orchestrator.streak import Streak
from orchestrator.work import Work

RESTORE = {
    AdminState.MAINT: commands.maint,
    AdminState.DRAIN: commands.drain,
    AdminState.READY: commands.ready,
}


async def verify(work: Work) -> str | None:
    """Own health and HAProxy's proof, the original state, full health everywhere, the bake, the registry.

    Returns:
        What was done; it always looks, so never None.

    Raises:
        StepFailed: unhealthy, a wrong version runs, not in rotation in time, or errors while it bakes.
    """
    streak = Streak(work)
    await prove(work, streak)
    before = await work.patiently(work.servers)
    errors_before = {ref: each.errors_5xx for ref, each in before.items()}
    await put_back(work)
    back = work.belonging(AdminState.READY)
    if back and work.policy.bake:
        await _bake(work, back, streak, errors_before)
    await registry.come_back(work)  # last: until then nobody else has to do with it
    return "in rotation" if back else "healthy; left out of rotation as it was before"


async def prove(work: Work, streak: Streak) -> None:
    """Own health in a row and, from its first good look on, HAProxy's own checks and a registry's; all hold.

    Own health is good for `min_healthy` seconds by then. While it is bad the service itself is looked at: one
    that has died is not waited for.

    Leaving maintenance with `ready` alone would send live traffic on the word of a STALE check result. In
    DRAIN, after `health down`, HAProxy checks from nothing and sends no balanced traffic meanwhile.
    """
    gated: list[ServerRef] | None = None
    liveness, bad = Liveness(work), 0
    least_s = work.policy.min_healthy

    async def probe() -> str | None:
        nonlocal gated, bad
        unhealthy = await streak.look()
        if streak.bad > bad:  # once for each bad look
            await _look_for_death(liveness)
        bad = streak.bad
        if not unhealthy and streak.lasted_s < least_s:
            unhealthy = f"own health is good, and has to be for {least_s:g} s"
        if streak.good and gated is None:
            gated = await _enter_gate(work)
        unproven = await _unproven(work, gated or [])
        doubt = await registry.doubt(work) if streak.good else None
        return "; ".join(each for each in (unhealthy, unproven, doubt) if each) or None

    await work.until(probe, timeout=work.policy.verify_timeout, what="healthy")


async def _look_for_death(liveness: Liveness) -> None:
    """Raises StepFailed for a service that died. That its host cannot be asked is no failure here."""
    with contextlib.suppress(BackendError):
        await liveness.missing()


def can_be_proven(server: Server) -> bool:
    """`health down` never recovers without checks, and is refused on a server that tracks another."""
    return server.checked and not server.tracks


async def _enter_gate(work: Work) -> list[ServerRef]:
    """Put those that will leave maintenance under HAProxy's checks; returns those to be proven."""
    if work.policy.gate == "none":
        return []
    servers = await work.servers()
    able = [
        ref
        for ref in work.belonging(AdminState.READY) + work.belonging(AdminState.DRAIN)
        if can_be_proven(servers[ref])
        # One that takes traffic now (a retry, or it was never drained) has no stale result to fear.
        if servers[ref].admin_state is not AdminState.READY
    ]
    work.intend(Intent.PROVE, able)
    for ref in able:
        await work.fleet.balancers[ref.instance].write(commands.prove(ref))
    return able


async def _unproven(work: Work, gated: list[ServerRef]) -> str | None:
    servers = await work.fleet.servers(gated)
    for ref, server in servers.items():
        if server.admin & (Admin.FORCED_MAINT | Admin.RESOLUTION_MAINT) == Admin.RESOLUTION_MAINT:
            return f"name resolution keeps {ref} in maintenance: HAProxy has no address for it yet"
        if server.admin_state is not AdminState.DRAIN:
            raise StepFailed(f"{ref} was set to {server.admin_state} by somebody else")
        if not server.proven:
            return (
                f"HAProxy's checks on {ref.instance}: {server.status}, health"
                f" {server.check_health}/{server.full_health} {server.check_status}"
            )
    return None


async def put_back(work: Work) -> None:
    """Give every server its original weight, state and agent check, and wait for its full health."""
    originals = work.originals
    work.intend(Intent.ORIGINAL)
    await work.ensure(
        work.refs,
        lambda ref: commands.weight(ref, str(originals[ref].weight)),
        lambda server: server.weight == originals[server.ref].weight,
    )
    await work.ensure(
        work.refs,
        lambda ref: RESTORE[originals[ref].admin](ref),
        lambda server: Original.of(server).admin is originals[server.ref].admin,
    )
    agents = [ref for ref in work.refs if originals[ref].agent]
    await work.ensure(agents, commands.agent_on, lambda server: server.agent)
    back = work.belonging(AdminState.READY)
    await work.until(
        lambda: _not_in_rotation(work, back),
        timeout=work.policy.verify_timeout,
        what="in rotation with full health",
    )


async def _not_in_rotation(work: Work, refs: list[ServerRef]) -> str | None:
    return next((_words(server) for server in await _missing(work, refs)), None)


async def _missing(work: Work, refs: list[ServerRef]) -> list[Server]:
    """Those that are not in rotation with full health."""
    servers = (await work.fleet.servers(refs)).values()
    return [server for server in servers if not server.in_rotation and not _weightless(work, server)]


def _words(server: Server) -> str:
    ramp = f", slow start at {server.throttle} %" if server.throttle is not None else ""
    return f"{server.status} on {server.ref.instance}{ramp}"


def _weightless(work: Work, server: Server) -> bool:
    """Somebody had given it the weight 0: with that it is as much back as it ever was."""
    return work.originals[server.ref].weight == 0 and server.admin_state is AdminState.READY


async def _bake(work: Work, refs: list[ServerRef], streak: Streak, before: dict[ServerRef, int]) -> None:
    """Watch it under live traffic for a while.

    Raises:
        StepFailed: it left the rotation, its own health went, or it gave too many responses 5xx.
    """
    was_doubted = False
    end = work.control.worked() + work.policy.bake
    reloads = work.fleet.reloads

    async def probe() -> str | None:
        nonlocal was_doubted
        await streak.look()
        if streak.bad >= streak.needed:
            raise StepFailed("its own health was lost while it baked")
        doubt = ""
        for server in await _missing(work, refs):
            if work.fleet.reloads > reloads:  # every server has to prove itself from nothing then
                return f"after a reload: {_words(server)}"
            if not server.takes_traffic or server.throttle is not None:
                raise StepFailed(f"did not stay in rotation: {_words(server)}")
            # Such as "UP 1/2": it has lost a check, and HAProxy still sends it traffic.
            doubt = f"lost a health check of HAProxy: {_words(server)}"
        if doubt and not was_doubted:  # then its own health decides, as it is now
            await streak.look(at_once=True)
        was_doubted = bool(doubt)
        if doubt and streak.bad:
            raise StepFailed(f"{doubt}; own health: {streak.reason}")
        new = 0
        for ref, server in (await work.fleet.servers(refs)).items():
            # A reload of HAProxy restarts the counters.
            before[ref] = min(before[ref], server.errors_5xx)
            new += server.errors_5xx - before[ref]
        if new > work.policy.max_5xx:
            raise StepFailed(f"{new} responses 5xx since it is back, allowed {work.policy.max_5xx}")
        # Not done on a bad look either: it gets the time to be good again, or to be lost.
        return doubt or ("baking" if work.control.worked() < end or streak.bad else None)

    timeout = work.policy.bake + work.policy.balancer_timeout
    await work.until(probe, timeout=timeout, what="end of bake", at=end)
