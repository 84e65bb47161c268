"""Differences of the nodes from those that were planned with, which an operator decides about."""

from orchestrator.engine.control import ABORT, CONTINUE, SKIP, RolloutControl
from orchestrator.engine.result import Progress
from orchestrator.engine.rollout_context import RolloutCallbacks
from orchestrator.errors import Skipped
from orchestrator.planning.plan import Plan


async def confirm_inventory_drift(
    name: str, plan: Plan, progress: Progress, control: RolloutControl, callbacks: RolloutCallbacks
) -> None:
    """Have an operator decide once about each difference from the plan, before a node begins.

    Nodes that are done may be gone; about a later node the decision is made when it begins.

    Args:
        name: of the node.
        plan: that is carried out.
        progress: of the rollout; it knows what was accepted.
        control: asks the operators.
        callbacks: say what has changed.

    Raises:
        Skipped: the node is to be left as it is.
        Aborted: the rollout is to end, or no new drain may begin.
    """
    async with progress.drift_lock:
        control.raise_if_drains_stopped()  # that may have been decided meanwhile
        differences = callbacks.differences()
        # A difference that returns needs a new decision.
        progress.accepted_drift &= set(differences.values())
        for subject, text in differences.items():
            own = subject == name
            of_later_node = not own and any(subject in batch for batch in plan.batches)
            if of_later_node or text in progress.accepted_drift:
                continue
            if not control.interactive:
                control.stop_new_drains(f"{text}, and no operator is there to decide")
                control.raise_if_drains_stopped()
            choices = (CONTINUE, SKIP, ABORT) if own else (CONTINUE, ABORT)
            question = f"{text}: {'upgrade it anyway' if own else 'continue with the plan as it is'}?"
            subject = name if own else "inventory"
            choice, who = await control.request_decision(subject, question, choices, "change")
            progress.accepted_drift.add(text)
            if choice == SKIP:
                raise Skipped(who)
    control.raise_if_drains_stopped()
