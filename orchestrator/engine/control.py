"""Operator controls of a running rollout: pause, resume, answer, abort, from any front end."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backends.protocols import Clock
from orchestrator.engine.answer_waits import AnswerWaits
from orchestrator.engine.wait_cuts import WaitCuts
from orchestrator.errors import Aborted, Locked
from orchestrator.events.actor import Actor, describe_requester
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import (
    AbortRequested,
    AnyEvent,
    DecisionKind,
    DecisionMade,
    DecisionRequested,
    Paused,
    Resumed,
)
from orchestrator.events.steps import Step

CONTINUE, RETRY, BACK, SKIP, ABORT = "continue", "retry", "back", "skip", "abort"


@dataclass(frozen=True, slots=True)
class Question:
    """An open question to the operators; `version` is the one that the choice `BACK` leads to."""

    id: str
    subject: str
    text: str
    choices: tuple[str, ...]
    version: str = ""


class RolloutControl:
    """Operator controls of a running rollout.

    `interactive` says whether an operator is there to answer: only then does a failure wait for a decision.
    An abort is accepted at any time, also while paused or while a question is open. What operators do takes
    effect even if the journal cannot be written; the rollout then ends, as with any event.

    Attributes:
        unrecorded: why what operators did could not be written or shown, or nothing can be; else None.
    """

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        *,
        interactive: bool = False,
        forbidden: Callable[[], str] = lambda: "",
    ) -> None:
        """Create the controls of work that is neither paused nor aborted.

        Args:
            clock: the time.
            bus: gets an event for everything that operators do.
            interactive: whether an operator is there to answer.
            forbidden: returns why no node may be taken out now, such as a lost lock; empty while one may.
        """
        self.interactive = interactive
        self.overloaded = False  # a drain was undone because the others could not carry the load
        self._forbidden = forbidden
        self._end_reason = ""  # why the rollout was ended immediately
        self._clock = clock
        self._bus = bus
        self._changed = asyncio.Event()
        self._ids = itertools.count(1)
        self.paused_by: Actor | None = None  # who asked for it last; without meaning while it is not paused
        self._paused_since: float | None = None
        self._paused_before = 0.0
        self._questions: dict[str, Question] = {}
        self._answers: dict[str, tuple[str, Actor]] = {}
        self._abort: tuple[Actor, str] | None = None
        self._cancel: Callable[[], object] | None = None
        self._nothing_runs = False  # so that an abort has no step to wait for
        self._stop_reason = ""
        self._open_failures: set[str] = set()
        self.unrecorded: Exception | None = None
        self.wait_cuts = WaitCuts(self.record)
        self.answer_waits = AnswerWaits(self.elapsed_excluding_pauses)

    # -- for front ends -----------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self._paused_since is not None

    @property
    def aborting(self) -> bool:
        return self._abort is not None

    @property
    def stop_reason(self) -> str:
        """Why no further node is drained; empty while draining is allowed."""
        return self._stop_reason

    @property
    def forbidden(self) -> str:
        """Why no node may be taken out now; empty while one may."""
        return self._end_reason or self._forbidden()

    @property
    def has_open_failure(self) -> bool:
        """Whether a failed node waits for a decision."""
        return bool(self._open_failures)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Open questions, oldest first."""
        return tuple(self._questions.values())

    def pause(self, who: Actor, why: str = "") -> None:
        """Start nothing new, and stop all deadlines; a running command continues."""
        self.paused_by = who
        if self._paused_since is None and not self.aborting:
            self._paused_since = self._clock.monotonic()
            self.record(Paused(who=who.name, why=why, **who.origin))

    def resume(self, who: Actor) -> None:
        if self._paused_since is not None:
            seconds = self._clock.monotonic() - self._paused_since
            self._paused_before += seconds
            self._paused_since = None
            self.record(Resumed(who=who.name, duration_s=round(seconds, 3), **who.origin))

    def answer(self, question: str, choice: str, who: Actor) -> None:
        """Answer an open question.

        Raises:
            ValueError: there is no such open question, or it has no such choice.
        """
        open_question = self._questions.get(question)
        if open_question is None:
            raise ValueError(f"no open question {question!r}")
        if choice not in open_question.choices:
            raise ValueError(f"{choice!r} is not one of {', '.join(open_question.choices)}")
        del self._questions[question]
        self._answers[question] = (choice, who)
        subject = open_question.subject
        self.record(
            DecisionMade(question=question, subject=subject, choice=choice, who=who.name, **who.origin)
        )

    def abort(self, who: Actor, why: str = "", *, immediate: bool = False) -> None:
        """End the rollout after the running steps, or immediately; a second request is always immediate."""
        immediate = immediate or self.aborting
        self._abort = self._abort or (who, why)
        self.resume(who)
        self._questions.clear()
        self.record(AbortRequested(who=who.name, why=why, immediate=immediate, **who.origin))
        if (immediate or self._nothing_runs) and self._cancel is not None:
            self._cancel()

    def record(self, event: AnyEvent) -> None:
        """Emit what an operator did, and wake the rollout.

        The caller may be a signal or a request: what goes wrong with the journal or another reader is for the
        rollout.
        """
        try:
            self._bus.emit(event)
        except Exception as error:
            self.unrecorded = self.unrecorded or error
        self._wake()

    def fail(self, error: Exception) -> None:
        """End every wait for operators with this error: nobody can see or answer what it waits for."""
        self.unrecorded = self.unrecorded or error
        self._wake()

    # -- for the rollout ----------------------------------------------------------------------

    def on_immediate_abort(self, cancel: Callable[[], object]) -> None:
        """Register what ends the work when there is no time to finish the running steps."""
        self._cancel = cancel

    @contextlib.contextmanager
    def before_first_change(self) -> Iterator[None]:
        """Let an abort or a lost lock end the wait of the current task immediately: nothing was touched yet.

        Raises:
            Aborted: an operator has aborted it.
            Locked: another operator holds the lock.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("nothing waits outside a task")
        ended = False

        def end() -> None:
            nonlocal ended
            ended = ended or task.cancel()

        self._cancel, self._nothing_runs = end, True
        try:
            self.raise_if_aborting()
            yield
        except asyncio.CancelledError:
            if not ended or task.uncancel():
                raise
            self.raise_if_aborting()
            raise Locked(self._stop_reason) from None
        finally:
            self._cancel, self._nothing_runs = None, False

    def end_immediately(self, why: str) -> None:
        """End the rollout now, whatever is running: it must not send anything any more."""
        self._end_reason = why
        self.stop_new_drains(why)
        if self._cancel is not None:
            self._cancel()

    def elapsed_excluding_pauses(self) -> float:
        """Return monotonic seconds without pauses, by which deadlines are measured."""
        now = self._clock.monotonic() if self._paused_since is None else self._paused_since
        return now - self._paused_before

    def stop_new_drains(self, why: str) -> None:
        """Drain no further node; nodes that are out of rotation are still completed."""
        self._stop_reason = self._stop_reason or why
        self._wake()

    @contextlib.contextmanager
    def hold_new_drains(self, name: str) -> Iterator[None]:
        """Hold new drains from the moment a node fails until an operator has decided."""
        self._open_failures.add(name)
        try:
            yield
        finally:
            self._open_failures.discard(name)
            self._wake()

    def raise_if_drains_stopped(self) -> None:
        """Check before a node is touched; raise Aborted when the rollout ends or another node has failed."""
        self.raise_if_aborting()
        if self._stop_reason:
            raise Aborted(self._stop_reason)
        if why := self.forbidden:
            self.stop_new_drains(why)
            raise Aborted(why)

    def raise_if_aborting(self) -> None:
        if self._abort is not None:
            who, why = self._abort
            raise Aborted(f"aborted by {describe_requester(who.name, who.via)}" + (f": {why}" if why else ""))

    async def checkpoint(self) -> None:
        """Wait while the rollout is paused; called between two steps. Raises as `wait_until`."""
        await self.wait_until(lambda: not self.paused)

    async def await_decisions(self, node: str) -> None:
        """Wait while work is paused, or a failed node waits for a decision. Raises as `wait_until`."""
        with self.answer_waits.wait(node):
            await self.wait_until(lambda: not self.paused and not self.has_open_failure)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a change that makes `condition` true.

        Raises:
            Aborted: an abort ends any wait.
            JournalError: what an operator did could not be written, or nothing can be any more.
            Exception: a defect of a reader of the event.
        """
        while True:
            self.raise_if_aborting()
            if self.unrecorded is not None:
                raise self.unrecorded
            if condition():
                return
            await self._changed.wait()

    async def request_decision(
        self,
        subject: str,
        text: str,
        choices: tuple[str, ...],
        kind: DecisionKind = "node",
        step: Step | None = None,
        version: str = "",
    ) -> tuple[str, Actor]:
        """Ask the operators and wait for a decision; return the choice and who made it.

        Args:
            subject: the node or batch concerned.
            text: the question.
            choices: the possible answers.
            kind: what the question is about.
            step: of the kind "step".
            version: where `BACK` is a choice, the version that it leads to.

        Raises:
            Aborted, JournalError: see `wait_until`.
        """
        question = Question(f"q{next(self._ids)}", subject, text, choices, version)
        self._questions[question.id] = question
        self._bus.emit(
            DecisionRequested(
                question=question.id,
                subject=subject,
                text=text,
                choices=list(choices),
                kind=kind,
                step=step,
                version=version,
            )
        )
        try:
            with self.answer_waits.wait(subject):
                await self.wait_until(lambda: question.id in self._answers)
        finally:
            self._questions.pop(question.id, None)
        choice, who = self._answers.pop(question.id)
        if choice == ABORT:
            self.abort(who, f"at {subject}")
            self.raise_if_aborting()
        return choice, who

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
