"""The operator's requests to a rollout: it runs in another process, here or on another machine."""

from collections.abc import Sequence

from textual.screen import Screen

from backends.errors import RolldeckError
from console.tui.screens.confirmations import confirm_abort
from console.tui.workspace import Workspace
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.events import DecisionRequested
from orchestrator.session.active_rollout import ActiveRollout

ABORT_HINTS = {"abort": "; a second request does not wait for the running step"}


class RolloutActions:
    """Requests of the main view; every error becomes a notification."""

    def __init__(self, screen: Screen[str], workspace: Workspace) -> None:
        self._screen = screen
        self._workspace = workspace

    @property
    def running(self) -> ActiveRollout | None:
        """The rollout that runs now; None while there is none."""
        active = self._workspace.active
        return active if active is not None and active.running else None

    @property
    def question(self) -> DecisionRequested | None:
        """The oldest open question."""
        running = self.running
        return next(iter(running.state.questions.values()), None) if running is not None else None

    @property
    def keys_state(self) -> tuple[object, ...]:
        """What decides which keys work."""
        running, question = self.running, self.question
        phase = running.state.phase if running is not None else ""
        return running is not None, phase, question.question if question is not None else ""

    def may(self, action: str, parameters: Sequence[object]) -> bool:
        """Return whether this can be requested now."""
        running = self.running
        if running is None or self._workspace.read_only:
            return False
        match action:
            case "answer":
                question = self.question
                return question is not None and parameters[0] in question.choices
            case "pause":
                return running.state.phase != "aborting"
            case _:
                return True

    async def answer(self, choice: ControlAction) -> None:
        """Answer the oldest question."""
        if (question := self.question) is not None and choice in question.choices:
            await self.request(choice, question.subject)

    async def pause_or_resume(self) -> None:
        """Pause the rollout, or let it go on."""
        if (running := self.running) is not None:
            await self.request("resume" if running.paused else "pause")

    async def abort(self) -> None:
        """Ask, then end the rollout; a second abort ends it at once."""
        running = self.running
        if running is None:
            return
        second = running.state.phase == "aborting"
        who = "" if self._workspace.is_own and running.is_local else running.who
        if await confirm_abort(self._screen.app, second=second, who=who):
            await self.request("abort")

    async def request(self, what: ControlAction, subject: str = "") -> bool:
        """Send a request; return whether it was accepted."""
        running = self.running
        if running is None:
            return False
        try:
            await running.request(what, subject)
        except RolldeckError as error:
            self._screen.notify(str(error), severity="error", markup=False, timeout=8)
            return False
        if not running.is_local:  # what happens here is seen at once
            text = f"asked {running.who} to {what}{ABORT_HINTS.get(what, '')}"
            self._screen.notify(text, markup=False, timeout=8)
        return True
