"""Stop the service: its port is closed AND its process is gone."""

from backends.errors import NotAsked, Refused, Unreachable
from backends.node_state import Activity, ServiceState
from orchestrator.engine.step_context import Command, DryRunContext, StepContext, gather_both
from orchestrator.errors import StepFailed


async def stop(context: StepContext) -> str | None:
    """Stop the service through its manager, and wait until its port is closed and its process gone.

    The manager's report is not enough: Monit says "Not monitored" after a stop that failed, and a port closes
    before the process has finished what is in flight.

    Returns:
        What was done; None when the service was stopped already.
    """
    if await _describe_running(context) is None:
        return None
    timeout = context.policy.stop_timeout
    try:
        await context.start_action(lambda: _send(context), timeout=timeout, what="stop")
    except Refused as refused:
        raise StepFailed(f"refused: {refused.beside_step(context.node.name)}") from refused
    await context.wait_for(lambda: _describe_running(context), timeout=timeout, what="service to stop")
    return "port closed, process gone"


def stop_commands(context: DryRunContext) -> list[Command]:
    """List what a stop would send."""
    host = context.node.host
    return [(host.name, host.render(context.node.service.stop_command()))]


async def _send(context: StepContext) -> None:
    """Send the stop, and remember that it may have been received."""
    before, context.stop_sent = context.stop_sent, True  # also when it is cancelled meanwhile
    try:
        await context.node.service.stop()
    except (Unreachable, NotAsked):
        context.stop_sent = before
        raise


async def _describe_running(context: StepContext) -> str | None:
    """Describe why the service is not stopped yet, or None."""
    known = sorted(context.pids)
    (state, is_open), alive = await gather_both(context.query_service(), _find_alive(context, known))
    context.pids.difference_update(pid for pid in known if pid not in alive)
    if state.pid is not None and state.pid not in known:
        context.pids.add(state.pid)  # a process that is seen for the first time counts until the next query
    reasons = []
    if state.activity in (Activity.RUNNING, Activity.CHANGING):
        reasons.append(f"service is {state.detail or state.activity}")
    if is_open and state.unwatched:
        reasons.append(state.unwatched)
    if is_open:
        reasons.append(f"port {context.node.port} is open")
    reasons += [f"process {pid} is running" for pid in sorted(context.pids)]
    return ", ".join(reasons) or None


async def _find_alive(context: StepContext, pids: list[int]) -> set[int]:
    return {pid for pid in pids if await context.node.host.alive(pid)}


def cannot_stop(state: ServiceState, is_open: bool) -> str:
    """Return why the manager would not stop a service whose port is open; empty when it would."""
    if not is_open or state.activity not in (Activity.STOPPED, Activity.FAILED):
        return ""
    why = state.unwatched or "a stop would not affect the process that has the port"
    return f'the service manager says "{state.detail}", but the port is open: {why}'
