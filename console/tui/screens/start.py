"""The start of a rollout: its plan is shown, and carried out in a process of its own once it is agreed to."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.screen import Screen

from console.operator_identity import current_operator
from console.tui.screens.confirmations import LockAnswer, confirm_break_lock
from console.tui.workspace import Workspace
from orchestrator.engine.plan_differences import compare_plans
from orchestrator.session.proposal import Proposal

if TYPE_CHECKING:
    from orchestrator.engine.plan_differences import Difference

Planner = Callable[[], Awaitable[Proposal | None]]
"""Makes the plan; returns None when there is nothing to do."""

START_TIMEOUT_S = 600.0  # seconds that "starting" is shown at most


async def start_rollout(
    screen: Screen[str],
    workspace: Workspace,
    action: str,
    plan: Planner,
    lock: LockAnswer,
    options: Mapping[str, object],
) -> None:
    """Show the plan, and start the rollout; a plan that is another one by then is shown again.

    Args:
        screen: shows the dialogs.
        workspace: of the application.
        action: see `RolloutRequest.action`.
        plan: makes the plan.
        lock: the answer to the question about the lock, which was asked before.
        options: of an upgrade; see `RolloutRequest`.

    Raises:
        RolldeckError: the plan cannot be made, or the holder of the lock is unknown.
    """
    from widgets.dialogs.plan import PlanScreen

    app = screen.app
    differences: Sequence[Difference] = ()
    changed = ""  # why the plan is shown again
    reason = None if action == "upgrade" else ""  # that of an upgrade was given with its version
    proposal, is_given_up = await _plan(screen, workspace, plan)
    while proposal is not None:
        answer = await app.push_screen_wait(PlanScreen(proposal.plan, differences, reason))
        if answer is None:
            if changed:
                screen.notify(changed, severity="error", markup=False, timeout=8)
            return
        if reason is not None:
            reason = answer
            proposal = replace(proposal, reason=reason)
        lock = await confirm_break_lock(app, workspace.session, lock.locked_by)  # taken while it was read
        if not lock.proceed:
            return
        screen.notify("starting the rollout…", markup=False, timeout=START_TIMEOUT_S)
        reply = await workspace.start(
            proposal, action, current_operator("console"), locked_by=lock.locked_by, options=options
        )
        app.clear_notifications()
        if reply.status == "refused":
            screen.notify(reply.text, severity="error", markup=False, timeout=8)
        if reply.status != "changed":
            return
        before, changed = proposal, reply.text
        proposal, is_given_up = await _plan(screen, workspace, plan)
        if proposal is not None:
            differences = compare_plans(before.facts, proposal.facts) or reply.differences
    if not is_given_up:
        screen.notify(changed or "there is nothing left to do", markup=False, timeout=8)


async def _plan(screen: Screen[str], workspace: Workspace, plan: Planner) -> tuple[Proposal | None, bool]:
    """Make the plan, with a sign of life; returns it, and whether the operator has given it up."""
    from console.tui.screens.preflight_progress import wait_for_plan

    async def make() -> tuple[Proposal | None]:
        return (await plan(),)

    found = await wait_for_plan(screen.app, workspace.session, make())
    return (None, True) if found is None else (found[0], False)
