"""The drain as a trial: as long as the node still runs, it can go back at once if the others cannot carry it.

From the moment of the drain the others carry everything. Nothing is stopped before the trial has ended.
"""

from dataclasses import replace

from backends.errors import RolldeckError
from orchestrator.engine.remaining_sessions import RemainingSessions
from orchestrator.engine.step_context import StepContext
from orchestrator.engine.steps import discovery
from orchestrator.engine.steps.verify import restore_originals
from orchestrator.errors import Overloaded


async def wait_for_sessions(context: StepContext, sessions: RemainingSessions) -> bool:
    """Wait until a drained node has no sessions, and until its trial is over.

    Returns:
        Whether the deadline for the sessions has passed.

    Raises:
        Overloaded: the others cannot carry the load; the node is back, unless a note says why not.
    """
    try:
        forced = await sessions.wait()
        await _wait_for_end(context, sessions.begun)
    except Overloaded:
        await _put_back(context)
        raise
    return forced


async def _wait_for_end(context: StepContext, begun: float) -> None:
    """Wait for the end of the trial where there is one, if the load of the others can be read.

    The trial of a batch is one: it ends for all of its nodes after that of the last one that was drained.
    """
    guard, control, name = context.load_guard, context.control, context.node.name
    if not guard.trial_text(name):
        return
    end = begun + context.policy.trial

    async def probe() -> str | None:
        guard.raise_if_overloaded(name)
        if control.elapsed_excluding_pauses() < end:
            return f"on trial: {guard.describe() or 'the load of the others is being measured'}"
        return None if guard.is_current else "the load of the others cannot be read"

    while True:
        left_s = max(0.0, end - control.elapsed_excluding_pauses())
        timeout_s = left_s + context.policy.balancer_unreachable_timeout
        await context.wait_for(probe, timeout=timeout_s, what="end of the trial", at=end)
        if not (left_s := guard.trial_left_s()):
            return
        end = control.elapsed_excluding_pauses() + left_s


async def _put_back(context: StepContext) -> None:
    """Give a drained node its original state and weight again, everywhere."""
    context.control.overloaded = True
    if not context.control.interactive:
        context.control.stop_new_drains(f"{context.node.name}: {context.load_guard.overload}")
    try:
        await restore_originals(replace(context, wanted=None))  # its old version still runs
        await discovery.exit_maintenance(context)
    except RolldeckError as error:
        context.note(f"could not be put back at once: {error.beside(context.node.name)}")
    finally:
        context.load_guard.release(context.node.name)
