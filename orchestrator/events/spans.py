"""The time spans of a node's steps: how long they took, what they waited for, and when work was paused.

The state of a rollout and the timeline of an entry are both computed from them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.steps import STEPS

SpanResult = Literal["done", "same", "failed", "interrupted", "open"]
"""How a step ended; "same" if there was nothing to do."""

_NUMBERS = re.compile(r"\d+")


@dataclass(slots=True)
class WaitSpan:
    """One reason for which a step waited; the numbers in it change meanwhile."""

    first: str  # the reason as it was given first
    last: str
    seconds: float = 0.0


@dataclass(slots=True)
class StepSpan:
    """One step of one node, in one attempt.

    Attributes:
        seq: number of the record with which it began; `began` is its time, seconds since 1970.
        ended: seconds since 1970; None while it is open.
        seconds: its duration, without pauses and, once it is done, without waits for answers.
        waited: of these, without anything to do: for sessions to end, or while it baked.
        baked: since when it only baked, seconds since 1970.
        detail: what was done, or why it failed.
        waits: by the reason without its numbers, so that a wait is one line. Nothing is decided by it.
        log: the last lines that the service had written when it failed.
    """

    node: str
    step: str
    seq: int
    began: float
    ended: float | None = None
    result: SpanResult = "open"
    seconds: float = 0.0
    waited: float = 0.0
    baked: float | None = None
    detail: str = ""
    waits: dict[str, WaitSpan] = field(default_factory=dict)
    log: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        return self.result in ("done", "same")


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which all work was paused."""

    began: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds that steps took, without the time for decisions."""

    working: float  # stop, install, start, verify
    waiting: float  # for sessions to end, and while a node bakes

    @classmethod
    def of(cls, spans: Iterable[StepSpan]) -> "StepTimes":
        working = waiting = 0.0
        for span in spans:
            working += span.seconds - span.waited
            waiting += span.waited
        return cls(working, waiting)

    @property
    def seconds(self) -> float:
        return self.working + self.waiting


@dataclass(slots=True)
class StepSpans:
    """All spans of a rollout so far: give it every record, in order, and read it at any moment.

    Attributes:
        spans: in the order in which they began.
        last_at: seconds since 1970 of the newest record.
    """

    spans: list[StepSpan] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    last_at: float = 0.0
    _open: dict[str, StepSpan] = field(default_factory=dict)
    _waiting: dict[str, tuple[WaitSpan, float]] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        at = self.last_at = record.at
        match record.event:
            case events.StepStarted(node=node, step=step):
                self._close(node, at, "interrupted")
                self._begin(node, step, record)
            case events.Waiting() as event:
                self._wait(event, record)
            case events.StepDone(node=node, detail=detail, changed=changed) as event:
                worked_s = event.duration_s - event.answer_wait_s
                self._close(node, at, "done" if changed else "same", detail, worked_s)
            case events.NodeFailed(node=node, error=error):
                self._close(node, at, "failed", error)
            case events.ServiceLog() as event:
                self._add_log(event)
            case events.ManualChangeFinished(nodes=nodes, error=error):
                self._close_all(nodes, at, "failed" if error else "done", error)
            case events.Paused():
                self.pauses.append(Pause(at, None))
            case events.Resumed():
                self._end_pause(at)
            case events.RolloutEnded():
                self._end_pause(at)
                self._close_all(list(self._open), at, "interrupted")
            case _:
                pass

    def open_span(self, node: str) -> StepSpan | None:
        """Return the step of this node that is in progress."""
        return self._open.get(node)

    def measure_open(self) -> None:
        """Measure what is still open, up to the newest record."""
        for node, span in self._open.items():
            self._end_wait(node, self.last_at)
            self._measure(span, self._worked(span.began, self.last_at), self.last_at)

    def _begin(self, node: str, step: str, record: Record) -> StepSpan:
        span = self._open[node] = StepSpan(node, step, record.seq, record.at)
        self.spans.append(span)
        return span

    def _wait(self, event: events.Waiting, record: Record) -> None:
        # A manual `ready` proves a node like a rollout does, but has no steps.
        span = self._open.get(event.node) or self._begin(event.node, event.step, record)
        if event.baking and span.baked is None:
            span.baked = record.at
        self._end_wait(event.node, record.at)
        wait = span.waits.setdefault(_NUMBERS.sub("#", event.reason), WaitSpan(event.reason, event.reason))
        wait.last = event.reason
        self._waiting[event.node] = (wait, record.at)

    def _add_log(self, event: events.ServiceLog) -> None:
        own = (span for span in reversed(self.spans) if (span.node, span.step) == (event.node, event.step))
        if (failed := next(own, None)) is not None:
            failed.log = tuple(event.lines)

    def _end_wait(self, node: str, at: float) -> None:
        if node in self._waiting:
            wait, since = self._waiting.pop(node)
            wait.seconds += self._worked(since, at)

    def _end_pause(self, at: float) -> None:
        if self.pauses and self.pauses[-1].ended is None:
            self.pauses[-1] = Pause(self.pauses[-1].began, at)

    def _close_all(self, nodes: Iterable[str], at: float, result: SpanResult, detail: str = "") -> None:
        for node in nodes:
            self._close(node, at, result, detail)

    def _close(
        self, node: str, at: float, result: SpanResult, detail: str = "", seconds: float | None = None
    ) -> None:
        span = self._open.pop(node, None)
        self._end_wait(node, at)
        if span is None:
            return
        span.ended, span.result, span.detail = at, result, detail
        self._measure(span, self._worked(span.began, at) if seconds is None else seconds, at)

    def _measure(self, span: StepSpan, seconds: float, until: float) -> None:
        span.seconds = seconds
        if span.step in STEPS and STEPS.spec(span.step).waits:
            span.waited = seconds
        elif span.baked is not None:
            span.waited = min(seconds, self._worked(span.baked, until))

    def _worked(self, since: float, until: float) -> float:
        """Return the seconds between two moments, without pauses."""
        paused = sum(
            max(0.0, min(until, pause.ended or until) - max(since, pause.began)) for pause in self.pauses
        )
        return max(0.0, until - since - paused)
