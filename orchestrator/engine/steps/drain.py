"""Take a node out of rotation and let its sessions end."""

from collections.abc import Mapping, Sequence

from backends.haproxy import commands
from backends.model import Admin, AdminState, Server, ServerRef, Snapshot
from backends.text import counted
from orchestrator.balancers.followers import is_same_endpoint, path
from orchestrator.balancers.group import present
from orchestrator.engine.desired_state import Intent
from orchestrator.engine.older_processes import OlderProcesses
from orchestrator.engine.step_context import Work
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.reach import reach, refuse_left_in, refuse_misplaced
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.planning import capacity
from orchestrator.planning.capacity import CapacityViolation
from orchestrator.planning.departure import Departure, look_at_departure


def in_maintenance(server: Server) -> bool:
    """By our own word: maintenance that is inherited or comes from name resolution ends when it likes."""
    return bool(server.admin & Admin.FORCED_MAINT)


def out(server: Server) -> bool:
    """No new balanced traffic goes there, whatever becomes of a server that it tracks."""
    return server.own_admin_state is not AdminState.READY


async def drain(work: Work) -> str | None:
    """Guard, drain, wait for sessions and queue to be empty everywhere or the deadline, then maintenance.

    Where a registry is to follow, the node leaves it as soon as it drains.

    Returns:
        What was done, in words; None when the node was in maintenance already.

    Raises:
        StepFailed: the capacity did not come back in time, or sessions remain and the policy says fail.
    """
    servers = await work.patiently(work.servers)
    refuse_misplaced(work, servers.values())
    if all(in_maintenance(each) for each in servers.values()):
        work.touch()
        work.intend(Intent.MAINT)
        await work.patiently(lambda: silence_agents(work, work.refs))
        await discovery.leave(work)
        begun = work.control.worked()
        left = await _settle(work, begun)  # maintenance does not end what was in flight when it began
        return f"{counted(left, 'session')} left" if left else None
    await discovery.reach(work)
    await _leave(work)
    begun = work.control.worked()
    await discovery.leave(work)
    forced = await _wait_for_sessions(work)
    work.intend(Intent.MAINT)
    await work.ensure(work.refs, commands.maint, in_maintenance)
    left = await _settle(work, begun)
    if left:
        return f"forced to maintenance, {counted(left, 'session')} left"
    return "forced to maintenance at the deadline" if forced else "no sessions left"


async def still_in_maintenance(work: Work) -> None:
    """Look again before the service is touched.

    Raises:
        StepFailed: a reload of HAProxy, or somebody, has put the node back in the middle.
    """
    for ref, server in (await work.patiently(work.servers)).items():
        if not in_maintenance(server):
            raise StepFailed(
                f"{ref} is not in maintenance any more but {server.admin_state} ({server.status}):"
                " somebody changed it"
            )


async def silence_agents(work: Work, refs: Sequence[ServerRef]) -> None:
    """An agent check that answers "ready" would put the server back in rotation behind our back."""
    agents = [ref for ref in refs if work.originals[ref].agent]
    await work.fleet.ensure(agents, commands.agent_off, lambda server: not server.agent)


async def _leave(work: Work) -> None:
    """Drain as soon as the guard allows; the lock makes the look and the drain one action."""

    control = work.control

    async def attempt() -> str | None:
        # Capacity may come back while all is paused, or while a failed node waits for a decision.
        await control.wait_until(lambda: not control.paused and not control.undecided)
        await reach(work)  # after the wait, which may have taken an hour
        async with work.fleet.lock:
            try:
                # Without the backends of others first: while capacity is waited for, nothing else is read.
                for whole in (False, True):
                    departure = await _departure(work, whole=whole)
                    if reason := _fallen(work, departure.snapshots):
                        return reason
                    refuse_left_in(work, departure)
                    capacity.refuse(departure.capacities)
            except CapacityViolation as refusal:
                return str(refusal)
            control.raise_if_no_drain()  # as late as can be: another node may have failed meanwhile
            work.touch()
            work.followers = departure.followers
            work.intend(Intent.DRAIN)
            await silence_agents(work, work.refs)
            await work.fleet.ensure(work.refs, commands.drain, out)
            return None

    await work.until(attempt, timeout=work.policy.capacity_timeout, what="capacity to take it out", free=True)


async def _departure(work: Work, *, whole: bool) -> Departure:
    """What it would mean if the node went now."""
    return await look_at_departure(
        work.fleet,
        work.refs,
        work.policy,
        whole=whole,
        unmanaged=work.unmanaged,
        counted=work.pool.filled,
    )


def _fallen(work: Work, snapshots: Mapping[str, Snapshot]) -> str:
    """Judge what may have changed since the plan; why the node cannot be taken out yet, or empty."""
    refuse_misplaced(work, present(work.refs, snapshots.values()).values())
    for snapshot in snapshots.values():
        work.pool.see(snapshot)
    expected = {ref for ref in work.intentions.originals if work.intentions.expects_out(ref)}
    return work.pool.fallen(snapshots, expected.union(work.refs))


async def _affected(work: Work, *, stopped: bool) -> dict[ServerRef, Server]:
    """The node's servers and those that follow them; with `stopped` only what a stop of its service cuts.

    A follower with the node's own address and port is the same service. Another one goes on with what it has.
    """
    servers = await work.fleet.servers(work.refs, work.followers)
    own = [servers[ref] for ref in work.refs]
    return {
        ref: server
        for ref, server in servers.items()
        if not stopped or ref in work.refs or is_same_endpoint(server, own)
    }


async def _busy(work: Work, *, stopped: bool = False) -> str | None:
    servers = await _affected(work, stopped=stopped)
    busy = [
        f"{server.sessions + server.queue} on {_where(work, server.ref)}"
        for server in servers.values()
        if server.sessions + server.queue
    ]
    older = await work.fleet.older_sessions(servers)
    busy += [
        f"{count} on {name} in processes that a reload has replaced" for name, count in older.items() if count
    ]
    return f"sessions: {', '.join(busy)}" if busy else None


def _where(work: Work, ref: ServerRef) -> str:
    """The load balancer, and what tells the server from the node's others there."""
    if ref not in work.refs:
        return f"{ref.instance} ({path(ref)}, which follows it)"
    return f"{ref.instance} ({ref.backend})" if len(work.fleet.backends) > 1 else ref.instance


async def _wait_for_sessions(work: Work) -> bool:
    """Returns whether the deadline ended the wait (clients with a cookie may never leave)."""
    try:
        await work.until(lambda: _busy(work), timeout=work.policy.drain_timeout, what="sessions to end")
    except StepTimeout as passed:
        work.note(f"{passed}; continuing with maintenance")
        return True
    return False


async def _settle(work: Work, begun: float) -> int:
    """In maintenance nothing new arrives: wait a little for what is left; returns how much remains.

    What older HAProxy processes have in flight gets as long as any other session: `drain_timeout` from
    `begun` on, the moment at which the drain was set.
    """
    older = await OlderProcesses.behind(work)
    timeout = work.policy.maint_grace_period
    if older.counted:
        timeout = max(timeout, work.policy.drain_timeout - (work.control.worked() - begun))

    async def probe() -> str | None:
        return await _busy(work, stopped=True) or await older.reason()

    try:
        await work.until(probe, timeout=timeout, what="last sessions to end")
    except StepTimeout as passed:
        if work.policy.on_remaining_sessions == "fail":
            raise StepFailed(f'{passed}; on_remaining_sessions is "fail"') from None
        if work.policy.on_remaining_sessions == "shutdown":
            for ref in await _affected(work, stopped=True):
                await work.fleet.balancers[ref.instance].write(commands.shutdown_sessions(ref))
            work.note(f"{passed}; shut down (on_remaining_sessions)")
        else:
            work.note(f"{passed}; the stop will cut them")
        servers = await _affected(work, stopped=True)
        seen = sum(server.sessions + server.queue for server in servers.values())
        replaced = sum((await work.fleet.older_sessions(servers)).values())
        return seen + replaced or await older.connections()
    return 0
