"""What operators request of a running rollout from other processes: it is carried out here, or refused."""

import asyncio
from collections.abc import Callable, Collection
from typing import Literal

from orchestrator.engine.control import RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.events import AbortRequested, NodeNote, Record

ControlAction = Literal["pause", "resume", "abort", "continue", "retry", "back", "skip", "enough", "fail-now"]
ANSWERS: Collection[ControlAction] = ("continue", "retry", "back", "skip")

SECOND_ABORT_DELAY_S = 2.0  # seconds after an abort in which another one does not yet mean "at once"


class OperatorRequests:
    """Carries out requests to the current rollout of one session.

    Args:
        control: returns the controls of the rollout.
        origin: from where the requests come, such as "requested from another machine"; it is recorded.
    """

    def __init__(self, control: Callable[[], RolloutControl], origin: str) -> None:
        self._control = control
        self._origin = origin
        self._aborted = -SECOND_ABORT_DELAY_S  # when anybody requested an abort last; seconds of the loop

    def watch(self, record: Record) -> None:
        """Note an abort, which may also come from elsewhere; this is a reader of the bus."""
        if isinstance(record.event, AbortRequested):
            self._aborted = asyncio.get_running_loop().time()

    def carry_out(self, what: ControlAction, actor: Actor, subject: str = "", question: str = "") -> str:
        """Carry out a request, or say why not.

        Args:
            what: is requested.
            actor: who requests it.
            subject: of the question that is answered: a node or a batch; or the node whose wait is cut
                short. Empty for the only one.
            question: id of the question that is answered; empty if the one who answers does not know it.

        Returns:
            Why nothing was done; empty when it was.
        """
        control = self._control()
        match what:
            case "pause":
                if control.aborting:
                    return "it is being aborted"
                control.pause(actor, self._origin)
            case "resume":
                control.resume(actor)
            case "abort":
                return self._abort(control, actor)
            case "continue" | "retry" | "back" | "skip":
                return _answer(control, what, actor, subject, question)
            case "enough" | "fail-now":
                try:
                    control.wait_cuts.request(what, actor, subject)
                except ValueError as error:
                    return str(error)
        return ""

    def _abort(self, control: RolloutControl, actor: Actor) -> str:
        """Abort; a second request ends the rollout at once, unless two people did not know of each other."""
        if control.aborting and asyncio.get_running_loop().time() - self._aborted < SECOND_ABORT_DELAY_S:
            text = "requested an abort just after another request; one more ends the rollout at once"
            control.record(NodeNote(node="", text=f"{actor} {text}"))
            return ""
        control.abort(actor, self._origin)
        return ""


def _answer(control: RolloutControl, choice: str, actor: Actor, subject: str, question: str) -> str:
    open_ = [
        asked for asked in control.questions if subject in ("", asked.subject) and question in ("", asked.id)
    ]
    if len(open_) != 1 or choice not in open_[0].choices:
        return f"open: {', '.join(asked.subject for asked in open_)}" if open_ else "no such question is open"
    control.answer(open_[0].id, choice, actor)
    return ""
