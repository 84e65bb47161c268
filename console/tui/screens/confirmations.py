"""Confirmations before an action, about locks, freeze windows, unfinished rollouts and aborts.

Each dialog is imported when it is shown, so that the first screen appears sooner.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.app import App

from backends.errors import RolldeckError
from orchestrator.beside import running_beside
from orchestrator.locks.file import Holder
from orchestrator.planning.findings import Severity, judge_freeze
from orchestrator.session.session import Session
from orchestrator.session.takeover import Offer, find_offer

if TYPE_CHECKING:
    from widgets.dialogs.modal import Confirm

LOOK_INTERVAL_S = 1.0  # between two looks whether a question is over


@dataclass(frozen=True, slots=True)
class LockAnswer:
    """The operator's answer about a lock that somebody else may hold.

    Attributes:
        proceed: go on with the work.
        locked_by: whose lock is to be broken; None when nobody holds it.
    """

    proceed: bool
    locked_by: Holder | None = None

    @property
    def break_lock(self) -> bool:
        """Whether to break the lock of another holder."""
        return self.locked_by is not None


async def confirm_break_lock(app: App[Any], session: Session, agreed: Holder | None = None) -> LockAnswer:
    """Ask before breaking a lock that somebody else holds.

    Args:
        app: shows the question.
        session: works on the application.
        agreed: the holder whose lock the operator has already agreed to break; this is not asked again.

    Raises:
        BackendError: the holder of the lock is unknown.
    """
    from widgets.dialogs.modal import Confirm

    holder = await session.work_log.holder()
    if holder is None or holder == agreed:
        return LockAnswer(proceed=True, locked_by=holder)
    question = Confirm(
        f"{session.application.name} is locked",
        [
            str(holder),
            "",
            "The lock is broken once you start what you are shown next, and this is recorded. A rollout"
            " that runs under it then ends at once; its node is left to yours.",
        ],
        [("no", "Cancel", "default"), ("yes", "Break lock", "error")],
    )

    async def find_end() -> str:
        now = await session.work_log.holder()
        if now == holder:
            return ""
        return "the lock is free now: begin again" if now is None else f"{now} has the lock now"

    answer = await _ask_until(app, session, question, find_end)
    return LockAnswer(proceed=answer == "yes", locked_by=holder)


async def confirm_override_freeze(app: App[Any], session: Session) -> Severity | None:
    """Ask before overriding an active freeze window.

    Returns:
        How serious a freeze is for the plan: a warning once it is overridden; None for not now.
    """
    from widgets.dialogs.modal import Confirm

    frozen = judge_freeze(session.application.freezes, session.clock.time(), Severity.WARNING)
    if not frozen:
        return Severity.ERROR  # of a window that begins while the plan is made

    def is_over() -> str:
        still = judge_freeze(session.application.freezes, session.clock.time(), Severity.WARNING)
        return "" if still else "the freeze window is over: begin again"

    answer = await app.push_screen_wait(
        Confirm(
            "Freeze window active",
            [finding.text for finding in frozen] + ["", "The override is recorded with your name."],
            [("no", "Not now", "default"), ("yes", "Override it", "error")],
        ).withdraw_when(is_over)
    )
    return Severity.WARNING if answer == "yes" else None


async def confirm_take_over(app: App[Any], session: Session, offer: Offer) -> bool:
    """Ask whether to take over a rollout of another machine."""
    from widgets.dialogs.modal import Confirm

    question = Confirm(
        "Take over the rollout of another machine?",
        [f"There is {offer.words}.", "", f"{offer.reason[0].upper()}{offer.reason[1:]}."],
        [("no", "Leave it", "default"), ("yes", "Take it over", "primary")],
    )

    async def find_end() -> str:
        now = await find_offer(session)
        is_same = now is not None and now.seen.header == offer.seen.header
        return "" if is_same else "somebody works on that rollout meanwhile, or it is finished"

    return await _ask_until(app, session, question, find_end) == "yes"


async def _ask_until(
    app: App[Any], session: Session, question: "Confirm", find_end: Callable[[], Awaitable[str]]
) -> str | None:
    """Return the answer to a question whose end has to be looked for.

    Args:
        app: shows the question.
        session: has the clock.
        question: is withdrawn at its end.
        find_end: returns why there is nothing to ask any more; empty while there is.
    """
    end = ""

    async def look() -> None:
        nonlocal end
        while not end:
            await session.clock.sleep(LOOK_INTERVAL_S)
            with contextlib.suppress(RolldeckError):  # nobody knows of an end
                end = await find_end()

    async with running_beside({"looking whether a question is over": look}):
        return await app.push_screen_wait(question.withdraw_when(lambda: end))


async def confirm_resume(
    app: App[Any], unfinished: Sequence[str], is_over: Callable[[], str] = lambda: ""
) -> bool:
    """Ask whether to finish an earlier rollout.

    Args:
        app: shows the question.
        unfinished: what it did not finish, one line each.
        is_over: returns why there is nothing to resume any more; empty while there is.
    """
    from widgets.dialogs.modal import Confirm

    answer = await app.push_screen_wait(
        Confirm(
            "An earlier rollout was not finished",
            [*unfinished, "", "Resuming checks the current state, shows the plan and asks before it starts."],
            [("no", "Not now", "default"), ("yes", "Review plan", "primary")],
        ).withdraw_when(is_over)
    )
    return answer == "yes"


def describe_abort(*, second: bool) -> str:
    """Return how a rollout ends that is aborted, or aborted for the second time."""
    if second:
        return "at once: a running command continues on its own"
    return "after the running step; a second abort cuts it short"


async def confirm_abort(
    app: App[Any], *, second: bool, who: str = "", is_over: Callable[[], str] = lambda: ""
) -> bool:
    """Ask whether to end the rollout.

    Args:
        app: shows the question.
        second: an abort has been requested before, so this one does not wait for the running step.
        who: carries it out, if that is somebody else.
        is_over: returns why there is nothing to abort any more; empty while there is.
    """
    from widgets.dialogs.modal import Confirm

    lines = [f"It ends {describe_abort(second=second)}.", "Whatever is then out of rotation is listed."]
    if who:
        lines = [f"The rollout is run by {who}; your name is recorded.", *lines]
    answer = await app.push_screen_wait(
        Confirm(
            "Abort the rollout?", lines, [("no", "Go on", "default"), ("yes", "Abort", "error")]
        ).withdraw_when(is_over)
    )
    return answer == "yes"
