"""The operator's requests to a rollout: it runs in another process, here or on another machine."""

from collections.abc import Mapping, Sequence

from textual.screen import Screen

from backends.errors import RolldeckError
from console.tui.screens.confirmations import confirm_abort
from console.tui.workspace import Workspace
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.engine.wait_cuts import Cut
from orchestrator.events.events import DecisionRequested
from orchestrator.events.state import RolloutState
from orchestrator.events.steps import STEPS
from orchestrator.session.active_rollout import ActiveRollout

ABORT_HINTS = {"abort": "; a second request does not wait for the running step"}
LABELS: Mapping[Cut, str] = {"enough": "on to maintenance", "fail-now": "fail now"}
MAX_WAITS = 2  # that are offered at once; the others are offered after these


def list_waits(state: RolloutState) -> list[tuple[str, Cut, str]]:
    """Return the nodes whose wait can be cut short, with how, and what they wait for."""
    cuts: dict[str, Cut] = {step: "fail-now" for step in STEPS.after("install")}
    cuts["drain"] = "enough"
    return [
        (node.name, cuts[node.step], node.reason or f"{node.step} goes on")
        for node in state.nodes.values()
        if node.at_work and node.step in cuts
    ]


ENDED_MEANWHILE = "the rollout has ended meanwhile"


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
        state = running.state

        def is_over() -> str:
            if not running.running or running.state is not state:
                return ENDED_MEANWHILE
            changed = (state.phase == "aborting") != second
            return "somebody else has aborted the rollout meanwhile" if changed else ""

        agreed = await confirm_abort(self._screen.app, second=second, who=who, is_over=is_over)
        if agreed and not is_over():
            await self.request("abort")

    async def cut_wait(self) -> None:
        """Ask which wait is to be cut short, and do that."""
        from widgets.dialogs.modal import Confirm

        if (running := self.running) is None:
            return
        state = running.state
        waits = list_waits(state)[:MAX_WAITS]
        if not waits:
            self._screen.notify("no drain waits for sessions, and no node is started or verified", timeout=4)
            return
        choices = [("no", "Wait", "default")]
        choices += [(f"{cut} {node}", f"{node}: {LABELS[cut]}", "warning") for node, cut, _ in waits]
        lines = [f"{node}: {reason}" for node, _, reason in waits]
        lines.append("It then goes on as at its deadline; your name is recorded.")

        def is_over() -> str:
            if not running.running or running.state is not state:
                return ENDED_MEANWHILE
            left = {(node, cut) for node, cut, _ in list_waits(state)}
            return "" if any((node, cut) in left for node, cut, _ in waits) else "the wait is over meanwhile"

        dialog = Confirm("Wait no longer?", lines, choices).withdraw_when(is_over)
        answer = await self._screen.app.push_screen_wait(dialog)
        for node, cut, _ in waits:
            if answer == f"{cut} {node}":
                await self.request(cut, node)

    async def request(self, what: ControlAction, subject: str = "") -> bool:
        """Send a request; return whether it was accepted."""
        running = self.running
        return running is not None and await send_request(self._screen, running, what, subject)


async def send_request(
    screen: Screen[str], rollout: ActiveRollout, what: ControlAction, subject: str = "", name: str = ""
) -> bool:
    """Send a request to a rollout, and say what went wrong; return whether it was accepted.

    Args:
        screen: shows notifications.
        rollout: receives it.
        what: see `ActiveRollout.request`.
        subject: likewise.
        name: of the application, where notifications have to name it.
    """
    begin = f"{name}: " if name else ""
    try:
        await rollout.request(what, subject)
    except RolldeckError as error:
        screen.notify(f"{begin}{error}", severity="error", markup=False, timeout=8)
        return False
    if not rollout.is_local:  # what happens here is seen at once
        text = f"{begin}asked {rollout.who} to {what}{ABORT_HINTS.get(what, '')}"
        screen.notify(text, markup=False, timeout=8)
    return True
