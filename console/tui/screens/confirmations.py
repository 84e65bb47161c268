"""Confirmations before an action, about locks, freeze windows, unfinished rollouts and aborts.

Each dialog is imported when it is shown, so that the first screen appears sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.screen import Screen

from backends.errors import RolldeckError
from orchestrator.locks.file import Holder
from orchestrator.planning.findings import Severity, judge_freeze
from orchestrator.session.session import Session
from orchestrator.session.takeover import Offer

if TYPE_CHECKING:
    from orchestrator.engine.operator_requests import ControlAction
    from orchestrator.remote.rollout import RemoteRollout


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


async def confirm_resume(app: App[Any], unfinished: Sequence[str]) -> bool:
    """Ask whether to finish an earlier rollout.

    Args:
        app: shows the question.
        unfinished: what it did not finish, one line each.
    """
    from widgets.dialogs.modal import Confirm

    answer = await app.push_screen_wait(
        Confirm(
            "An earlier rollout was not finished",
            [*unfinished, "", "Resuming checks the current state, shows the plan and asks before it starts."],
            [("no", "Not now", "default"), ("yes", "Review plan", "primary")],
        )
    )
    return answer == "yes"


async def confirm_abort(app: App[Any], *, second: bool) -> bool:
    """Ask whether to end the rollout.

    Args:
        app: shows the question.
        second: an abort has been requested before, so this one does not wait for the running step.
    """
    from widgets.dialogs.modal import Confirm

    text = (
        "at once: a running command continues on its own"
        if second
        else "after the running step; a second abort cuts it short"
    )
    answer = await app.push_screen_wait(
        Confirm(
            "Abort the rollout?",
            [f"It ends {text}.", "Whatever is then out of rotation is listed."],
            [("no", "Go on", "default"), ("yes", "Abort", "error")],
        )
    )
    return answer == "yes"


ABORT_HINTS = {"abort": "; a second request does not wait for the running step"}


class RemoteActions:
    """Requests to the machine that runs the rollout, which records them with our name."""

    def __init__(self, screen: Screen[str], session: Session, read_only: str) -> None:
        self._screen = screen
        self._session = session
        self._read_only = read_only

    @property
    def running(self) -> "RemoteRollout | None":
        """The rollout that another machine runs now; None while there is none."""
        found = self._session.links.remote
        return found if found is not None and found.running and not self._session.is_rolling else None

    def may(self, action: str, parameters: Sequence[object]) -> bool:
        """Return whether this can be requested now."""
        found = self.running
        if found is None or self._read_only or action != "answer":
            return found is not None and not self._read_only
        return any(parameters[0] in question.choices for question in found.state.questions.values())

    async def request(self, what: "ControlAction") -> None:
        """Send a request; an abort is confirmed first."""
        found = self.running
        if found is None or found.seen is None:
            return
        who = found.seen.header.who
        if what == "abort" and not await self._confirm_abort(who):
            return
        try:
            await found.request(what)
        except RolldeckError as error:
            self._screen.notify(str(error), severity="error", markup=False, timeout=8)
            return
        self._screen.notify(f"asked {who} to {what}{ABORT_HINTS.get(what, '')}", markup=False, timeout=8)

    async def _confirm_abort(self, who: str) -> bool:
        from widgets.dialogs.modal import Confirm

        answer = await self._screen.app.push_screen_wait(
            Confirm(
                "Request an abort?",
                [
                    f"The rollout is run by {who}.",
                    "It ends after the running step; your name is recorded.",
                    "A second abort cuts that step short.",
                ],
                [("no", "No", "default"), ("yes", "Request abort", "error")],
            )
        )
        return answer == "yes"
