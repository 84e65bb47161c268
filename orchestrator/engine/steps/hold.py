"""The gate before a drain while the verdict on the new version is "hold"."""

from orchestrator.engine.control import ABORT, CONTINUE
from orchestrator.engine.step_context import StepContext
from orchestrator.errors import StepTimeout

SUSPICION_TIMEOUT_S = 330.0  # a suspicion ends by itself five minutes after the return of its node


async def confirm_hold(context: StepContext, action: str) -> str:
    """Have an operator decide about a hold, once about each cause.

    A hold may end by itself, and then nobody is asked, nor where the configuration says so. A version that is
    bad is not asked about here: its node has failed, and the decision is made there.

    Args:
        context: the step context of the node.
        action: what is held, such as "drain the next node".

    Returns:
        Why that cannot be done yet; empty when nothing holds it, or an operator continues.

    Raises:
        Aborted: the operator has ended the rollout.
    """
    judgement, control = context.judgement, context.control
    if not judgement.hold or judgement.refusal or not (control.interactive and judgement.asks):
        return judgement.hold
    # Nodes of one batch come at the same time.
    with control.answer_waits.wait(context.node.name):
        async with judgement.deciding:
            if not (reason := judgement.hold):
                return ""
            cause = judgement.hold_cause
            question = f"{reason}: {action} all the same?"
            await control.request_decision("verdict", question, (CONTINUE, ABORT), "verdict")
            judgement.accept_hold(cause)
    return judgement.hold


async def await_evidence(context: StepContext) -> None:
    """Wait while a node that is back looks worse than before, and that is neither proven nor over."""

    async def probe() -> str | None:
        return context.judgement.suspicion or None

    if suspicion := context.judgement.suspicion:
        context.note(f"{suspicion}: waiting until this is proven, or over")
    try:
        await context.wait_for(
            probe, timeout=SUSPICION_TIMEOUT_S, what="a suspicion to be proven, or to end", free=True
        )
    except StepTimeout as passed:
        context.note(f"{passed}; continuing without proof")
