"""What differs between a plan that was agreed to and what is there under the lock, and what follows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from backends.model import AdminState, ServerRef
from orchestrator.engine.manual_change import Impact
from orchestrator.engine.plan_differences import Difference, compare_impacts, compare_plans
from orchestrator.errors import PlanChanged
from orchestrator.events.events import CommandStarted
from orchestrator.node import OriginalState
from orchestrator.planning.application import Policy
from orchestrator.planning.findings import Finding, PreflightFailed, Severity
from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.session.proposal import MAX_PLANS, Proposal, agree_within_request, check_plan_again

REF = ServerRef("lb1", "shop", "web1")
READY = OriginalState(AdminState.READY, 1, False)
WEB1 = PlannedNode("web1", (REF,), {REF: READY}, "1.4.2", "1.4.2", ("drain", "verify"), "1.4.2 → 1.5.0")
BUSY = CommandStarted(node="web1", step="install", target="web1", pid=7, started=1)


def plan(*nodes: PlannedNode, version: str = "1.5.0", **more: object) -> Plan:
    return Plan("shop", version, Policy(), nodes, (), (), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "words", "beyond"),
    [
        (replace(WEB1, originals={REF: replace(READY, admin=AdminState.MAINT)}), "maint, weight 1", False),
        (replace(WEB1, originals={REF: replace(READY, weight=9)}), "→ ready, weight 9", False),
        (replace(WEB1, originals={REF: replace(READY, agent=True)}), "agent check", False),
        (replace(WEB1, originals={}), "shop/web1 on lb1: ready, weight 1 → nothing", False),
        (replace(WEB1, installed="1.5.0"), "installed: 1.4.2 → 1.5.0", False),
        (replace(WEB1, running=None), "running: 1.4.2 → nothing", False),
        (replace(WEB1, steps=()), "steps: drain, verify → nothing", False),
        (replace(WEB1, unfinished_rollout=12), "unfinished rollout: nothing → 12", False),
        (replace(WEB1, running_command=BUSY), "still run: nothing → process 7 on web1", False),
        (replace(WEB1, target_version="1.3.0"), "target version: 1.5.0 → 1.3.0", True),
    ],
)
def test_what_decides_about_a_node_is_compared(now: PlannedNode, words: str, beyond: bool) -> None:
    found = compare_plans(plan(WEB1), plan(now))
    assert [(words in str(difference), difference.beyond) for difference in found] == [(True, beyond)]


def test_words_and_commands_decide_nothing() -> None:
    assert compare_plans(plan(WEB1), plan(replace(WEB1, reason="other", commands=()))) == ()


def test_a_weight_that_an_agent_check_sets_is_nobodys_decision() -> None:
    before, now = (
        replace(WEB1, originals={REF: OriginalState(AdminState.READY, weight, True)}) for weight in (100, 75)
    )
    assert compare_plans(plan(before), plan(now)) == ()


def test_another_version_or_another_node_is_more_than_was_asked_for() -> None:
    other = replace(WEB1, name="web2")
    cases = [
        (plan(WEB1, version="1.6.0"), [True, True]),
        (plan(WEB1, other), [True]),
        (plan(WEB1, replace(other, steps=())), [False]),
        (plan(), [False]),
    ]
    for now, beyond in cases:
        assert [difference.beyond for difference in compare_plans(plan(WEB1), now)] == beyond


def test_more_that_is_carried_along_is_more_than_was_agreed_to() -> None:
    follower = ServerRef("lb1", "other", "o1")
    carrying = plan(replace(WEB1, followers=(follower,)))
    (found,) = compare_plans(plan(WEB1), carrying)
    assert (str(found), found.beyond) == ("web1: also affects: nothing → other/o1 on lb1", True)
    (found,) = compare_plans(carrying, plan(WEB1))
    assert not found.beyond
    nobody = Impact(("web1",), (), ())
    (found,) = compare_impacts(nobody, replace(nobody, followers=(follower,)))
    assert str(found) == "web1: also affects: nothing → other/o1 on lb1"


def proposals(*later: Plan, follows: int | None = None) -> Proposal:
    """The first plan is that of `WEB1`; those that are made after it are given, the last one for ever."""
    rest = [*later]

    async def again() -> Proposal:
        made = rest.pop(0) if len(rest) > 1 else rest[0]
        return Proposal(made, again, follows=follows)

    return Proposal(plan(WEB1), again, follows=1 if follows else None)


def weighing(weight: int) -> Plan:
    return plan(replace(WEB1, originals={REF: replace(READY, weight=weight)}))


async def test_what_has_not_changed_is_asked_about_by_nobody() -> None:
    async def never(plan: Plan, differences: Sequence[Difference]) -> bool:
        raise AssertionError(f"asked about {differences}")

    found, differences = await check_plan_again(proposals(plan(WEB1)), never)
    assert (found.plan, differences) == (plan(WEB1), [])


async def test_it_is_planned_again_until_it_holds_still() -> None:
    found, differences = await check_plan_again(proposals(weighing(2), weighing(3)))
    assert found.plan == weighing(3)
    assert [difference.now for difference in differences] == ["ready, weight 2", "ready, weight 3"]


async def test_what_never_holds_still_is_not_begun() -> None:
    plans = [weighing(number) for number in range(10, 10 + MAX_PLANS)]
    with pytest.raises(PlanChanged, match="the state keeps changing"):
        await check_plan_again(proposals(*plans))


@pytest.mark.parametrize(
    "later",
    [lambda: proposals(plan(WEB1, version="1.6.0")), lambda: proposals(plan(WEB1), follows=2)],
)
async def test_nobody_agrees_by_himself_to_more_than_was_asked_for(later: Callable[[], Proposal]) -> None:
    with pytest.raises(PlanChanged, match="has changed since the plan was made"):
        await check_plan_again(later())


async def test_a_plan_that_has_errors_by_now_is_not_begun() -> None:
    error = Finding(Severity.ERROR, "web1", "capacity floor violated")
    with pytest.raises(PreflightFailed, match="capacity floor"):
        await check_plan_again(proposals(plan(WEB1, findings=(error,))))


async def test_what_somebody_else_has_finished_is_said() -> None:
    async def again() -> Proposal | None:
        return None

    with pytest.raises(PlanChanged, match="nothing left to do"):
        await check_plan_again(Proposal(plan(WEB1), again), agree_within_request)
