"""A change by hand, under the lock: looked at again there, and written down."""

from collections.abc import Awaitable, Callable, Sequence

from backends.errors import RolldeckError
from backends.model import Server
from orchestrator.engine import manual_change
from orchestrator.engine.manual_change import Change, Impact
from orchestrator.engine.plan_differences import Difference, impact_differences
from orchestrator.errors import PlanChanged
from orchestrator.events.events import ManualChangeFinished, ManualChangeStarted
from orchestrator.events.text import format_health
from orchestrator.session.session import Session

MAX_CHECKS = 4  # under the lock, until two in a row are the same

Agree = Callable[[Impact, Sequence[Difference]], Awaitable[Change | None]]
"""Asked about a change that would do something else by now; the change to make, or None."""


async def change_by_hand(
    session: Session, change: Change, shown: Impact, agree: Agree, *, break_lock: bool = False
) -> tuple[Server, ...]:
    """Make a change; see `manual_change.apply`.

    Args:
        session: works on the application.
        change: what is to be done.
        shown: what it would do, as somebody was told before the lock was ours.
        agree: is asked where it would do something else under the lock.
        break_lock: take the lock away from whoever has it.

    Raises:
        Locked, JournalError, PlanChanged: no changes made.
        RolldeckError: as `manual_change.apply` does.
    """
    what = f"{change.action} {', '.join(each.name for each in change.nodes)}"
    async with session.work_log.locked(what, session.control, break_lock=break_lock):
        return await _make(session, await _look_again(session, change, shown, agree), what)


async def _look_again(session: Session, change: Change, shown: Impact, agree: Agree) -> Change:
    found: tuple[Difference, ...] = ()
    for _ in range(MAX_CHECKS):
        now = await manual_change.impact(session.application, change)
        found = impact_differences(shown, now)
        if not found:
            return change
        answer = await agree(now, found)
        if answer is None:
            break
        change, shown = answer, now
    words = "; ".join(str(each) for each in found)
    raise PlanChanged(f"the state has changed since it was shown: {words}")


async def _make(session: Session, change: Change, what: str) -> tuple[Server, ...]:
    names = [each.name for each in change.nodes]
    plan = {"action": change.action, "nodes": names, "weight": change.weight}
    async with session.work_log.begin("change", what, session.control, plan=plan):
        session.bus.emit(
            ManualChangeStarted(
                action=change.action,
                nodes=names,
                weight=change.weight,
                override=sorted(change.override),
                operator=session.actor.name,
                **session.actor.origin,
            )
        )
        after: tuple[Server, ...] = ()
        error = "interrupted"
        try:
            after = await manual_change.apply(
                session.application, change, session.control, session.clock, session.bus
            )
            error = ""
        except RolldeckError as failure:
            error = str(failure)
            raise
        finally:
            read = [f"{each.ref}: {each.admin_state} {format_health(each)}" for each in after]
            session.bus.emit(ManualChangeFinished(nodes=names, servers=read, error=error))
    return after
