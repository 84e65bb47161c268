"""Confirmations before an action, about locks, freeze windows, unfinished rollouts and aborts.

Each dialog is imported when it is shown, so that the first screen appears sooner.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import App

from orchestrator.locks.file import Holder
from orchestrator.planning.application import Application
from orchestrator.planning.findings import Severity, judge_freeze
from orchestrator.session.session import Session
from orchestrator.session.takeover import Offer


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
    answer = await app.push_screen_wait(
        Confirm(
            f"{session.application.name} is locked",
            [
                str(holder),
                "",
                "The lock is broken once you start what you are shown next, and this is recorded. A rollout"
                " that runs under it then ends at once; its node is left to yours.",
            ],
            [("no", "Cancel", "default"), ("yes", "Break lock", "error")],
        )
    )
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
    answer = await app.push_screen_wait(
        Confirm(
            "Freeze window active",
            [finding.text for finding in frozen] + ["", "The override is recorded with your name."],
            [("no", "Not now", "default"), ("yes", "Override it", "error")],
        )
    )
    return Severity.WARNING if answer == "yes" else None


async def ask_reason(app: App[Any], application: Application) -> str | None:
    """Return why it is done: empty where no reason is required; None if none was given."""
    from widgets.dialogs.reason import ReasonDialog

    if not application.policy.require_reason:
        return ""
    return await app.push_screen_wait(ReasonDialog(application.name))


async def confirm_take_over(app: App[Any], offer: Offer) -> bool:
    """Ask whether to take over a rollout of another machine."""
    from widgets.dialogs.modal import Confirm

    answer = await app.push_screen_wait(
        Confirm(
            "Take over the rollout of another machine?",
            [f"There is {offer.words}.", "", f"{offer.reason[0].upper()}{offer.reason[1:]}."],
            [("no", "Leave it", "default"), ("yes", "Take it over", "primary")],
        )
    )
    return answer == "yes"


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

    text = (
        "at once: a running command continues on its own"
        if second
        else "after the running step; a second abort cuts it short"
    )
    lines = [f"It ends {text}.", "Whatever is then out of rotation is listed."]
    if who:
        lines = [f"The rollout is run by {who}; your name is recorded.", *lines]
    answer = await app.push_screen_wait(
        Confirm(
            "Abort the rollout?", lines, [("no", "Go on", "default"), ("yes", "Abort", "error")]
        ).withdraw_when(is_over)
    )
    return answer == "yes"
