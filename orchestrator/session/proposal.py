"""A plan that was agreed to, and the look at everything again once the lock is ours.

Whoever had the lock before may have taken nodes out, or finished them, since the plan was made. What they
have done must not be taken for what somebody had decided.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from orchestrator.engine.plan_differences import Difference, plan_differences
from orchestrator.errors import PlanChanged
from orchestrator.events.events import RolloutKind
from orchestrator.planning.findings import PreflightFailed
from orchestrator.planning.plan import Plan

MAX_PLANS = 4  # that are made under the lock until two in a row are the same


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, and what it takes to make it again.

    Attributes:
        plan: is carried out when somebody agrees to it.
        again: makes the same one from what is there then; None when there is nothing to do any more.
        kind: how the journal calls it.
        follows: the entry of the journal that it resumes or rolls back.
        resumes: it goes on with that one.
    """

    plan: Plan
    again: Callable[[], Awaitable["Proposal | None"]]
    kind: RolloutKind = "upgrade"
    follows: int | None = None
    resumes: bool = False


Agree = Callable[[Plan, Sequence[Difference]], Awaitable[bool]]
"""Asked about a plan that has to be another one; whether it is to be carried out."""


async def agree_within_request(plan: Plan, differences: Sequence[Difference]) -> bool:
    """The answer where nobody is asked: yes, unless it goes beyond what was asked for."""
    return not any(each.beyond for each in differences)


async def look_again(
    proposal: Proposal, agree: Agree = agree_within_request
) -> tuple[Proposal, list[Difference]]:
    """Under the lock: plan again until nothing differs from the plan that was agreed to last.

    Returns:
        What is to be carried out, and what was found to differ on the way.

    Raises:
        PlanChanged: a plan was not agreed to, or what is there does not hold still.
        PreflightFailed: a plan has errors.
    """
    found: list[Difference] = []
    for _ in range(MAX_PLANS):
        now = await proposal.again()
        if now is None:
            raise PlanChanged("somebody else has finished it meanwhile: there is nothing left to do")
        if now.plan.errors:
            raise PreflightFailed(now.plan.errors)
        differences = _compare(proposal, now)
        proposal = now
        if not differences:
            return proposal, found
        found += differences
        if not await agree(now.plan, differences):
            raise PlanChanged(f"the state has changed since the plan was made: {_words(differences)}")
    raise PlanChanged(f"the state keeps changing: {_words(found)}")


def _compare(before: Proposal, now: Proposal) -> list[Difference]:
    differences = list(plan_differences(before.plan, now.plan))
    if before.follows != now.follows:
        entries = (f"rollout {before.follows}", f"rollout {now.follows}")
        differences.append(Difference(now.plan.application, "follows", *entries, beyond=True))
    return differences


def _words(differences: Sequence[Difference]) -> str:
    return "; ".join(str(each) for each in differences)
