"""Right before a node is taken out: whether its host answers, and its service manager can be asked."""

import asyncio

from backends.errors import Refused
from backends.model import Activity, ServiceState
from orchestrator.errors import StepFailed
from orchestrator.work import Work, both

LEFT_ALONE = "it was left in rotation"
SHORTEST_S = 1.0  # for the last look before the deadline


async def reach(work: Work) -> None:
    """Look at the host, the service and its port, as the steps that follow will have to.

    A host that died after the plan was made is found while its node still serves, and not when the node has
    been drained and cannot be stopped.

    Raises:
        StepFailed: it did not answer within `host_timeout`, or said no; no changes made.
    """
    timeout_s = work.policy.host_timeout
    end = work.control.worked() + timeout_s
    what = "its host and its service manager to answer"

    async def probe() -> str | None:
        try:
            async with asyncio.timeout(max(SHORTEST_S, end - work.control.worked())):
                await work.node.host.connect()
                # Side by side: each of them starts a program on the node, while the batch waits.
                (state, is_open), obstacles = await both(work.look(), _obstacles(work))
        except TimeoutError:
            return f"{work.node.name} does not answer"
        if problems := [*filter(None, [cannot_stop(state, is_open) if work.stops else ""]), *obstacles]:
            raise StepFailed("; ".join(problems))
        return None

    try:
        await work.until(probe, timeout=timeout_s, what=what, free=True)
    except (StepFailed, Refused) as error:
        raise StepFailed(f"{error.beside(work.node.name)}; {LEFT_ALONE}") from error


async def _obstacles(work: Work) -> tuple[str, ...]:
    return await work.node.service.obstacles() if work.stops else ()


def cannot_stop(state: ServiceState, is_open: bool) -> str:
    """Why the manager would not stop a service whose port is open; empty when it would."""
    if not is_open or state.activity not in (Activity.STOPPED, Activity.FAILED):
        return ""
    why = state.unwatched or "a stop would do nothing to whatever has the port"
    return f'the service manager says "{state.detail}", but the port is open: {why}'
