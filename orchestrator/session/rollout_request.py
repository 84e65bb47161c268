"""A rollout that was requested in another process: it is planned again, and carried out if it is the same."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from backends.errors import RolldeckError
from orchestrator.engine.plan_differences import Difference
from orchestrator.errors import AlreadyRolledBack, PlanChanged
from orchestrator.events.events import Record, RolloutEnded, RolloutStarted
from orchestrator.local.launch import LaunchReply, RolloutRequest
from orchestrator.planning.findings import Severity
from orchestrator.planning.plan import Plan
from orchestrator.session.proposal import Agreed, Proposal
from orchestrator.session.recovery import plan_resume, plan_rollback
from orchestrator.session.session import Session
from orchestrator.session.takeover import take_over_again


async def carry_out_request(
    session: Session, request: RolloutRequest, reply: Callable[[LaunchReply], None]
) -> RolloutEnded | None:
    """Carry out what an operator has agreed to; questions wait for as long as it takes.

    Args:
        session: of the application, with the operator of the request.
        request: what was agreed to.
        reply: is called once, when the rollout has begun or was refused.

    Returns:
        How it ended; None if it was refused.

    Raises:
        RolldeckError: it cannot go on.
    """
    differences: list[Difference] = []
    has_begun = False

    async def refuse(plan: Plan, found: Sequence[Difference]) -> bool:
        differences.extend(found)
        return False

    def watch(record: Record) -> None:
        nonlocal has_begun
        if isinstance(record.event, RolloutStarted) and not has_begun:
            has_begun = True
            reply(LaunchReply(status="started", entry=session.number))

    session.control.interactive = True
    unsubscribe = session.bus.subscribe(watch)
    agreed = Agreed(request.facts, _planner(session, request), request.kind, request.reason)
    try:
        # Another holder may have come since the operator agreed to break this one's lock.
        holder = await session.work_log.holder() if request.locked_by is not None else None
        break_lock = holder is not None and holder == request.locked_by
        return await session.run(agreed, break_lock=break_lock, agree=refuse)
    except RolldeckError as error:
        if has_begun:
            raise
        if isinstance(error, PlanChanged):
            reply(LaunchReply(status="changed", text=str(error), differences=tuple(differences)))
        else:
            reply(LaunchReply(status="refused", text=str(error)))
        return None
    finally:
        unsubscribe()


def _planner(session: Session, request: RolloutRequest) -> Callable[[], Awaitable[Proposal | None]]:
    match request.action:
        case "upgrade":
            return partial(
                session.propose,
                request.version,
                limit=request.limit,
                changes=request.changes,
                freeze=Severity.WARNING if request.override_freeze else Severity.ERROR,
            )
        case "resume":
            return partial(_resume, session)
        case "rollback":
            return partial(_roll_back, session)


async def _resume(session: Session) -> Proposal | None:
    await take_over_again(session, trusted=False)
    found = await plan_resume(session)
    return found[0] if found is not None else None


async def _roll_back(session: Session) -> Proposal | None:
    try:
        return await plan_rollback(session)
    except AlreadyRolledBack:
        return None
