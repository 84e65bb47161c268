"""A manual change in the console: its impact is shown and confirmed, and then it is made.

While a rollout runs on this machine, its process makes the change, within its own lock and journal entry.
"""

from collections.abc import Sequence
from typing import Any

from textual.app import App

from console.tui.screens.confirmations import LockAnswer, confirm_break_lock
from console.tui.workspace import Workspace
from orchestrator.engine import manual_change
from orchestrator.engine.facts import ImpactFacts
from orchestrator.engine.manual_change import Action, Change, Impact
from orchestrator.engine.plan_differences import Difference, compare_impacts
from orchestrator.errors import PlanChanged
from orchestrator.events.state import DONE, NodeState, RolloutState, is_under_way
from orchestrator.events.text import describe_server
from orchestrator.session.active_rollout import ActiveRollout
from orchestrator.session.proposal import AgreeToChange, make_manual_change


async def change_nodes(
    app: App[Any], workspace: Workspace, action: Action, names: Sequence[str]
) -> Sequence[str] | None:
    """Ask about a change of these nodes, and make it.

    Returns:
        The servers as they were read back, in words; None when the answer was no.

    Raises:
        RolldeckError: it cannot be made; the text says why.
    """
    from widgets.dialogs.change import ChangeDialog

    session, rollout = workspace.session, workspace.running_here
    lock = LockAnswer(proceed=True)
    if rollout is None:
        lock = await confirm_break_lock(app, session)
        if not lock.proceed:
            return None
    application = await session.load_all_nodes()
    change = Change(action, manual_change.find_nodes(application, names))
    impact = await manual_change.read_impact(application, change, session.work_log.original_weights())
    reason = ""  # the last one, which is still there if the dialog is shown again

    async def ask(now: Impact, differences: Sequence[Difference] = ()) -> Change | None:
        nonlocal reason
        state = rollout.state if rollout is not None and rollout.running else None
        notes = list(describe_conflicts(state, names)) if state is not None else []
        requires_reason = application.policy.require_reason
        dialog = ChangeDialog(action, now, differences, notes, reason=reason, requires_reason=requires_reason)
        answer = await app.push_screen_wait(dialog)
        if answer is None:
            return None
        reason = answer.reason
        return Change(action, change.nodes, answer.weight, answer.override, reason)

    chosen = await ask(impact)
    if chosen is None:
        return None
    if rollout is not None and rollout.running:
        return await _change_within(workspace, rollout, chosen, impact, ask)
    after = await make_manual_change(session, chosen, impact, ask, break_lock=lock.break_lock)
    return [describe_server(server) for server in after]


async def _change_within(
    workspace: Workspace, rollout: ActiveRollout, change: Change, shown: Impact, ask: AgreeToChange
) -> Sequence[str] | None:
    """Let the process of the rollout make the change; an impact that is another one is shown again."""
    session = workspace.session
    while True:
        try:
            return await rollout.change(change, ImpactFacts.of(shown))
        except PlanChanged:
            weights = session.work_log.original_weights()
            now = await manual_change.read_impact(session.application, change, weights)
            differences = compare_impacts(shown, now)
            if not differences:
                raise
            answer = await ask(now, differences)
            if answer is None:
                raise
            change, shown = answer, now


def describe_conflicts(state: RolloutState, names: Sequence[str]) -> Sequence[str]:
    """Say what the running rollout does with these nodes, and what follows of a change."""
    working = [name for name in names if name in state.nodes and is_under_way(state.nodes[name].state)]
    failed = [
        name
        for name in names
        if name in state.nodes and state.nodes[name].state in (NodeState.FAILED, NodeState.HELD)
    ]
    planned = {name for batch in state.batches for name in batch}
    later = [name for name in names if name in planned and name not in (*working, *failed)]
    later = [name for name in later if state.nodes[name].state not in DONE]
    notes = []
    if working:
        notes.append(
            f"The rollout works on {', '.join(working)} now: its next step may fail, or undo this change."
        )
    if failed:
        notes.append(f"The rollout waits for a decision about {', '.join(failed)}; this is none.")
    if later:
        notes.append(
            f"The rollout has yet to upgrade {', '.join(later)}, and reads the state before it does."
        )
    return notes
