"""Actions on a rollout that another machine runs: they are sent to it as requests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.screen import Screen

from backends.errors import RolldeckError
from orchestrator.session.session import Session

if TYPE_CHECKING:
    from orchestrator.remote.control_requests import ControlAction
    from orchestrator.remote.rollout import RemoteRollout


ABORT_HINTS = {"abort": "; a second request does not wait for the running step"}


class RemoteActions:
    """Sends requests to the machine that runs the rollout, which records them with our name."""

    def __init__(self, screen: Screen[str], session: Session, read_only: str) -> None:
        self._screen = screen
        self._session = session
        self._read_only = read_only

    @property
    def running(self) -> "RemoteRollout | None":
        """The rollout that another machine runs now; None while there is none."""
        found = self._session.remote
        return found if found is not None and found.running and not self._session.is_rolling else None

    def may(self, action: str, parameters: Sequence[object]) -> bool:
        """Whether this can be requested now."""
        found = self.running
        if found is None or self._read_only or action != "answer":
            return found is not None and not self._read_only
        return any(parameters[0] in question.choices for question in found.state.questions.values())

    async def request(self, what: "ControlAction") -> None:
        """Send a request; before an abort the operator is asked."""
        found = self.running
        if found is None or found.seen is None:
            return
        who = found.seen.head.who
        if what == "abort" and not await self._confirm_abort(who):
            return
        try:
            await found.ask(what)
        except RolldeckError as error:
            self._screen.notify(str(error), severity="error", markup=False, timeout=8)
            return
        self._screen.notify(f"asked {who} to {what}{ABORT_HINTS.get(what, '')}", markup=False, timeout=8)

    async def _confirm_abort(self, who: str) -> bool:
        from widgets.dialogs.confirm import Confirm

        answer = await self._screen.app.push_screen_wait(
            Confirm(
                "Request an abort?",
                [
                    f"The rollout is run by {who}.",
                    "It ends after the running step; your name is recorded.",
                    "A second abort cuts that step short.",
                ],
                [("no", "No", "default"), ("yes", "Ask", "error")],
            )
        )
        return answer == "yes"
