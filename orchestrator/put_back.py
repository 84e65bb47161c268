"""A turn that failed before its service was asked to stop: the node is proven as it is, and goes back."""

from dataclasses import replace

from backends.errors import RolldeckError
from backends.model import Admin, AdminState
from orchestrator.plan import PlannedNode
from orchestrator.steps import registry
from orchestrator.steps.keep_out import keep_out
from orchestrator.steps.verify import prove, put_back
from orchestrator.streak import Streak
from orchestrator.work import Work


async def put_back_untouched(work: Work, planned: PlannedNode) -> bool:
    """Prove the node on the version that it had, and give every server its original state.

    Nothing is done for a node that an earlier rollout had left out, or that is to be put in rotation on
    request: it was not serving before. Neither for one that is not healthy at the first look.

    Returns:
        Whether it is back as it was. If it was tried in vain, the node is in maintenance.
    """
    if work.stop_sent or planned.left_by or planned.to_ready or "drain" not in planned.steps:
        return False
    own = replace(work, wanted=planned.running)
    try:
        if not (await own.node.health.look()).ok:
            return False
        await _keep_decisions(own)
    except RolldeckError as error:
        own.note(f"was not put back: {error.beside(own.node.name)}")
        return False
    try:
        await prove(own, Streak(own, asks_manager=False))
        await put_back(own)
        await registry.come_back(own)
    except RolldeckError as error:
        own.note(f"could not be put back: {error.beside(own.node.name)}")
        await keep_out(own)
        return False
    return True


async def _keep_decisions(work: Work) -> None:
    """What somebody has drained in the middle is theirs, and stays so."""
    for ref, server in (await work.patiently(work.servers)).items():
        theirs = not work.intentions.met(server) and server.admin & Admin.FORCED_DRAIN
        if theirs and work.originals[ref].admin is AdminState.READY:
            work.originals[ref] = replace(work.originals[ref], admin=AdminState.DRAIN)
            work.note(f"somebody has drained {ref} meanwhile: it is left so")
