"""A plan or manual change that an operator has agreed to, and that is checked again under the lock.

In the meantime the previous holder of the lock may have taken nodes out of rotation, or finished them. The
states that it has set must not be mistaken for an operator's decision.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from backends.errors import RolldeckError
from backends.model import Server
from backends.name_ranges import fold_names
from backends.protocols import Clock
from orchestrator.engine import manual_change
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.facts import ImpactFacts, PlanFacts
from orchestrator.engine.manual_change import Change, Impact
from orchestrator.engine.plan_differences import Difference, compare_impacts, compare_plans
from orchestrator.errors import PlanChanged, ReasonRequired
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import ManualChangeFinished, ManualChangeStarted, RolloutKind
from orchestrator.events.text import format_health
from orchestrator.planning.application import Application
from orchestrator.planning.findings import PreflightFailed
from orchestrator.planning.plan import Plan
from orchestrator.session.work_log import WorkLog

MAX_CHECKS = 4  # under the lock, until two in a row are the same
MAX_PLANS = 4  # that are made under the lock until two in a row are the same


@dataclass(frozen=True, slots=True)
class Agreed:
    """What an operator has agreed to, maybe in another process, with what it takes to plan it here.

    Attributes:
        facts: those of the plan that the operator has seen.
        again: plans the same from the state then; returns None when there is nothing left to do.
        kind: of the rollout, for the journal.
        reason: why it is done, in the operator's words.
    """

    facts: PlanFacts
    again: Callable[[], Awaitable["Proposal | None"]]
    kind: RolloutKind = "upgrade"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, with what it takes to make it again.

    Attributes:
        plan: what is carried out once an operator agrees.
        again: plans the same from the state then; returns None when there is nothing left to do.
        kind: of the rollout, for the journal.
        follows: the entry of the journal that it resumes or rolls back.
        resumes: whether it resumes that one.
        reason: why it is done, in the operator's words.
    """

    plan: Plan
    again: Callable[[], Awaitable["Proposal | None"]]
    kind: RolloutKind = "upgrade"
    follows: int | None = None
    resumes: bool = False
    reason: str = ""

    @property
    def facts(self) -> PlanFacts:
        """What decides about it."""
        return PlanFacts.of(self.plan, self.follows)


MAX_REASON_CHARS = 200


def parse_reason(text: str) -> str:
    """Return a reason as it is recorded. Raises ValueError for a text that is not one short line."""
    reason = text.strip()
    if len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise ValueError(f"expected one line of at most {MAX_REASON_CHARS} printable characters")
    return reason


def require_reason(application: Application, reason: str) -> None:
    """Raise ReasonRequired if operators of this application must say why, and this is no reason."""
    if application.policy.require_reason and not reason.strip():
        raise ReasonRequired(f"{application.name} requires a reason (require_reason), and none was given")


Agree = Callable[[Plan, Sequence[Difference]], Awaitable[bool]]
"""Called with a plan that differs from the previous one; returns whether to carry it out."""


async def agree_within_request(plan: Plan, differences: Sequence[Difference]) -> bool:
    """Agree without asking an operator, unless the plan goes beyond the request."""
    return not any(difference.beyond for difference in differences)


async def check_plan_again(
    agreed: Proposal | Agreed, agree: Agree = agree_within_request
) -> tuple[Proposal, list[Difference]]:
    """Plan again, under the lock, until nothing differs from the plan that was agreed to last.

    Returns:
        What to carry out, and all differences that were found.

    Raises:
        PlanChanged: a plan was not agreed to, or the state keeps changing.
        PreflightFailed: a plan has errors.
    """
    found: list[Difference] = []
    for _ in range(MAX_PLANS):
        now = await agreed.again()
        if now is None:
            raise PlanChanged("somebody else has finished it meanwhile: there is nothing left to do")
        if now.plan.errors:
            raise PreflightFailed(now.plan.errors)
        differences = compare_plans(agreed.facts, now.facts)
        agreed = now = replace(now, reason=agreed.reason)
        if not differences:
            return now, found
        found += differences
        if not await agree(now.plan, differences):
            raise PlanChanged(
                f"the state has changed since the plan was made: {_format_differences(differences)}"
            )
    raise PlanChanged(f"the state keeps changing: {_format_differences(found)}")


def _format_differences(differences: Sequence[Difference]) -> str:
    return "; ".join(str(difference) for difference in differences)


AgreeToChange = Callable[[Impact, Sequence[Difference]], Awaitable[Change | None]]
"""Called with a change whose impact differs by now; returns the change to make, or None."""


class OpenSession(Protocol):
    """The parts of a session that a manual change needs."""

    bus: EventBus
    clock: Clock

    @property
    def application(self) -> Application: ...

    @property
    def work_log(self) -> WorkLog: ...

    @property
    def control(self) -> RolloutControl: ...

    @property
    def actor(self) -> Actor: ...


async def make_manual_change(
    session: OpenSession,
    change: Change,
    shown: Impact | ImpactFacts,
    agree: AgreeToChange,
    *,
    break_lock: bool = False,
    actor: Actor | None = None,
    control: RolloutControl | None = None,
) -> tuple[Server, ...]:
    """Make a manual change under the lock; see `manual_change.apply`.

    Args:
        session: of the application.
        change: the change to make.
        shown: its impact as the operator has seen it, before we had the lock.
        agree: is called when the impact is another one under the lock.
        break_lock: break the lock if somebody else holds it.
        actor: who makes it; None for the operator of the session.
        control: of the change; None for that of the session.

    Raises:
        Locked, JournalError, PlanChanged, ReasonRequired: no changes made.
        RolldeckError: as `manual_change.apply` does.
    """
    require_reason(session.application, change.reason)
    what = f"{change.action} {fold_names(node.name for node in change.nodes)}"
    async with session.work_log.locked(what, session.control, break_lock=break_lock):
        change = await _check_again(session, change, shown, agree)
        return await _make(session, change, what, actor or session.actor, control or session.control)


async def _check_again(
    session: OpenSession, change: Change, shown: Impact | ImpactFacts, agree: AgreeToChange
) -> Change:
    found: tuple[Difference, ...] = ()
    for _ in range(MAX_CHECKS):
        weights = session.work_log.original_weights()
        now = await manual_change.read_impact(session.application, change, weights)
        found = compare_impacts(shown, now)
        if not found:
            return change
        answer = await agree(now, found)
        if answer is None:
            break
        change, shown = answer, now
    raise PlanChanged(f"the state has changed since it was shown: {_format_differences(found)}")


async def _make(
    session: OpenSession, change: Change, what: str, actor: Actor, control: RolloutControl
) -> tuple[Server, ...]:
    names = [node.name for node in change.nodes]
    plan = {"action": change.action, "nodes": names, "weight": change.weight}
    async with session.work_log.begin("change", what, session.control, plan=plan):
        session.bus.emit(
            ManualChangeStarted(
                action=change.action,
                nodes=names,
                weight=change.weight,
                override=sorted(change.override),
                operator=actor.name,
                reason=change.reason,
                **actor.origin,
            )
        )
        after: tuple[Server, ...] = ()
        error = "interrupted"
        try:
            after = await manual_change.apply(
                session.application,
                change,
                control,
                session.clock,
                session.bus,
                session.work_log.original_weights(),
            )
            error = ""
        except RolldeckError as failure:
            error = str(failure)
            raise
        finally:
            read = [f"{server.ref}: {server.admin_state} {format_health(server)}" for server in after]
            session.bus.emit(ManualChangeFinished(nodes=names, servers=read, error=error))
    return after
