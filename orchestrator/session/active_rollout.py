"""The rollout that a front end shows and controls, wherever it runs: one interface for all of them."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.engine.facts import ImpactFacts
from orchestrator.engine.manual_change import Change
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.events import Record
from orchestrator.events.state import RolloutState
from orchestrator.planning.plan import Plan


class ActiveRollout(Protocol):
    """A rollout that another process carries out, on this machine or on another one.

    Attributes:
        state: computed from its events so far; each rollout has one of its own.
        records: its last events, oldest first. Another machine publishes no commands and no replies.
    """

    state: RolloutState

    @property
    def records(self) -> Sequence[Record]: ...

    @property
    def running(self) -> bool:
        """Whether its process works on it, and it has not ended."""

    @property
    def interrupted(self) -> bool:
        """Whether its process is gone before it has ended: somebody has to resume it or roll it back."""

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""

    @property
    def plan(self) -> Plan | None:
        """Its plan, as far as it was written down; None where it is not known."""

    @property
    def who(self) -> str:
        """The operator, process and machine, in words."""

    @property
    def paused(self) -> bool: ...

    @property
    def words(self) -> str:
        """A note for the board: who runs it, or that it was interrupted."""

    @property
    def problem(self) -> str:
        """Why it cannot be followed, in words; empty while it can."""

    async def request(self, what: ControlAction, subject: str = "") -> None:
        """Request something of it; an answer is one to its oldest question with that subject.

        Args:
            what: pause, resume, abort, or an answer.
            subject: the node or batch whose question is answered; empty for the oldest question.

        Raises:
            RolldeckError: it was not accepted; the text says why.
        """

    async def change(self, change: Change, shown: ImpactFacts) -> Sequence[str]:
        """Make a manual change within it, as `make_manual_change` does.

        Args:
            change: the change.
            shown: its impact as the operator has seen it.

        Returns:
            The servers as they were read back, in words.

        Raises:
            PlanChanged: the impact is another one now; no changes made.
            RolldeckError: it was not accepted, or it failed; the text says why.
        """
