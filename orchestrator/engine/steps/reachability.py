"""Right before a node is taken out: its host answers, and HAProxy's server lines are still its own."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from backends.errors import Refused
from backends.haproxy.columns import names_of
from backends.model import Activity, Server, ServiceState, Snapshot
from orchestrator.engine.step_context import StepContext, both
from orchestrator.errors import StepFailed
from orchestrator.planning.departure import Departure
from orchestrator.planning.endpoints import SharedEndpoints, judge_shared_endpoints
from orchestrator.planning.plan import Severity

LEFT_ALONE = "it was left in rotation"
SHORTEST_S = 1.0  # for the last look before the deadline


async def check_reachable(context: StepContext) -> None:
    """Look at the host, the service and its port, as the steps that follow will have to.

    A host that died after the plan was made is found while its node still serves, and not when the node has
    been drained and cannot be stopped.

    Raises:
        StepFailed: it did not answer within `host_timeout`, or said no; no changes made.
    """
    timeout_s = context.policy.host_timeout
    end = context.control.elapsed_excluding_pauses() + timeout_s
    what = "its host and its service manager to answer"

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(max(SHORTEST_S, end - context.control.elapsed_excluding_pauses())):
                await context.node.host.connect()
                # Side by side: each of them starts a program on the node, while the batch waits.
                (state, is_open), obstacles = await both(context.query_service(), _obstacles(context))
        except TimeoutError:
            return f"{context.node.name} does not answer"
        if problems := [*filter(None, [cannot_stop(state, is_open) if context.stops else ""]), *obstacles]:
            raise StepFailed("; ".join(problems))
        return None

    try:
        await context.wait_for(probe, timeout=timeout_s, what=what, free=True)
    except (StepFailed, Refused) as error:
        raise StepFailed(f"{error.beside(context.node.name)}; {LEFT_ALONE}") from error


async def _obstacles(context: StepContext) -> tuple[str, ...]:
    return await context.node.service.obstacles() if context.stops else ()


def cannot_stop(state: ServiceState, is_open: bool) -> str:
    """Why the manager would not stop a service whose port is open; empty when it would."""
    if not is_open or state.activity not in (Activity.STOPPED, Activity.FAILED):
        return ""
    why = state.unwatched or "a stop would not affect the process that has the port"
    return f'the service manager says "{state.detail}", but the port is open: {why}'


def refuse_misplaced(context: StepContext, servers: Iterable[Server]) -> None:
    """Raises StepFailed when HAProxy has another machine behind a server of this node than in the plan."""
    if problem := context.endpoints.misplaced(context.node, list(servers)):
        raise StepFailed(problem)


def refuse_left_in(context: StepContext, departure: Departure) -> None:
    """Raises StepFailed when other lines lead to this node by now: they would not be taken out with it.

    All backends were looked at when the plan was made, and are again after a reload; otherwise those of the
    application are, whose servers have been built for the guard.

    Args:
        context: of the node.
        departure: has what was read of the load balancers right before the node goes.
    """
    snapshots = departure.snapshots
    if not context.balancer_group.reloads:
        snapshots = {
            name: _of_backends(snapshot, context.balancer_group.backends)
            for name, snapshot in snapshots.items()
        }
    seen = SharedEndpoints(snapshots, departure.tracked)
    found = judge_shared_endpoints(seen, {context.node.name: context.refs}, context.unmanaged)
    wrong = [finding for finding in found if finding.severity is Severity.ERROR]
    if wrong:
        raise StepFailed("; ".join(f"{finding.subject} {finding.text}" for finding in wrong))


def _of_backends(snapshot: Snapshot, backends: Sequence[str]) -> Snapshot:
    servers = snapshot.servers
    places = [place for place, (backend, _) in enumerate(names_of(servers)) if backend in backends]
    return replace(snapshot, servers=tuple(servers[place] for place in places))
