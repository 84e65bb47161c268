"""What happened in one entry, told from its events: the steps with their times, and all that came between."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.events import events
from orchestrator.events.events import STEPS, Record
from orchestrator.events.state import NodeState, RolloutState

How = Literal["done", "same", "failed", "interrupted", "open"]

_NUMBERS = re.compile(r"\d+")


@dataclass(slots=True)
class Wait:
    """One thing that a step waited for; its numbers change while it does."""

    first: str  # the reason as it was given first
    last: str
    seconds: float = 0.0


@dataclass(slots=True)
class Span:
    """One step of one node, each time that it was tried.

    Attributes:
        seq: number of the record with which it began; `began` is its time, seconds since 1970.
        ended: seconds since 1970; None while it is open.
        seconds: that it took, without pauses.
        waited: of these, without anything to do: for sessions to end, or while it baked.
        baked: since when it only baked, seconds since 1970.
        detail: what was done, or why it failed.
        waits: by the reason, numbers left out.
        log: the last lines that the service had written when it failed.
    """

    node: str
    step: str
    seq: int
    began: float
    ended: float | None = None
    how: How = "open"
    seconds: float = 0.0
    waited: float = 0.0
    baked: float | None = None
    detail: str = ""
    waits: dict[str, Wait] = field(default_factory=dict)
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """All work stood still."""

    began: float
    ended: float | None


@dataclass(slots=True)
class Story:
    """Made by `of`.

    Attributes:
        state: of the rollout; without nodes for a change by hand.
        told: what is neither a step nor a wait nor a command: questions, failures, notes, pauses, ...
        seen: seconds since 1970 of the newest record.
        missing: how many records are not there although later ones are.
    """

    state: RolloutState = field(default_factory=RolloutState)
    spans: list[Span] = field(default_factory=list)
    told: list[Record] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    traffic: events.Traffic | None = None
    seen: float = 0.0
    missing: int = 0
    _last: int = 0
    _open: dict[str, Span] = field(default_factory=dict)
    _waiting: dict[str, tuple[Wait, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Story":
        story = cls()
        for record in records:
            story._take(record)
        story._count()
        return story

    def _count(self) -> None:
        """What is still open has taken so long up to now."""
        for node, span in self._open.items():
            self._waited(node, self.seen)
            self._measure(span, self._worked(span.began, self.seen), self.seen)

    def _take(self, record: Record) -> None:
        if self._last and record.seq > self._last + 1:
            self.missing += record.seq - self._last - 1
        self._last, self.seen = record.seq, record.at
        with contextlib.suppress(KeyError):  # where records are missing, it is told as far as it goes
            self.state.apply(record)
        match record.event:
            case events.StepStarted(node=node, step=step):
                self._close(node, record.at, "interrupted")
                self._begin(node, step, record.at)
            case events.Waiting() as event:
                self._wait(event, record.at)
            case events.StepDone(node=node, detail=detail, changed=changed, duration_s=seconds):
                self._close(node, record.at, "done" if changed else "same", detail, seconds)
            case (
                events.CommandSending()
                | events.CommandFinished()
                | events.BatchStarted()
                | events.NodeStarted()
                | events.LockTaken()
            ):
                pass
            case events.Traffic() as event:
                self.traffic = event
            case events.ServiceLog(node=node, step=step, lines=lines):
                own = (span for span in reversed(self.spans) if (span.node, span.step) == (node, step))
                if (failed := next(own, None)) is not None:
                    failed.log = tuple(lines)
            case _:
                self._tell(record)

    def _tell(self, record: Record) -> None:
        self.told.append(record)
        match record.event:
            case events.NodeFailed(node=node, error=error):
                self._close(node, record.at, "failed", error)
            case events.Paused():
                self.pauses.append(Pause(record.at, None))
            case events.Resumed():
                if self.pauses and self.pauses[-1].ended is None:
                    self.pauses[-1] = Pause(self.pauses[-1].began, record.at)
            case events.ManualChangeFinished(nodes=nodes, error=error):
                for node in nodes:
                    self._close(node, record.at, "failed" if error else "done", error)
            case events.RolloutEnded():
                if self.pauses and self.pauses[-1].ended is None:
                    self.pauses[-1] = Pause(self.pauses[-1].began, record.at)
                for node in list(self._open):
                    self._close(node, record.at, "interrupted")
            case _:
                pass

    # -- spans --------------------------------------------------------------------------------

    def _begin(self, node: str, step: str, at: float) -> Span:
        span = self._open[node] = Span(node, step, self._last, at)
        self.spans.append(span)
        return span

    def _wait(self, event: events.Waiting, at: float) -> None:
        # `ready` by hand proves a node like a rollout does, but has no steps.
        span = self._open.get(event.node) or self._begin(event.node, event.step, at)
        if event.baking and span.baked is None:
            span.baked = at
        self._waited(event.node, at)
        wait = span.waits.setdefault(_NUMBERS.sub("#", event.reason), Wait(event.reason, event.reason))
        wait.last = event.reason
        self._waiting[event.node] = (wait, at)

    def _waited(self, node: str, at: float) -> None:
        if node in self._waiting:
            wait, since = self._waiting.pop(node)
            wait.seconds += self._worked(since, at)

    def _close(self, node: str, at: float, how: How, detail: str = "", seconds: float | None = None) -> None:
        span = self._open.pop(node, None)
        self._waited(node, at)
        if span is None:
            return
        span.ended, span.how, span.detail = at, how, detail
        self._measure(span, self._worked(span.began, at) if seconds is None else seconds, at)

    def _measure(self, span: Span, seconds: float, until: float) -> None:
        span.seconds = seconds
        if span.step == STEPS[0]:
            span.waited = seconds
        elif span.baked is not None:
            span.waited = min(seconds, self._worked(span.baked, until))

    def _worked(self, since: float, until: float) -> float:
        """Seconds between two moments, without pauses."""
        paused = sum(
            max(0.0, min(until, each.ended or until) - max(since, each.began)) for each in self.pauses
        )
        return max(0.0, until - since - paused)

    # -- reading ------------------------------------------------------------------------------

    def spent(self, step: str, node: str = "") -> float:
        """Seconds of one step, without pauses: of all nodes together, or of one."""
        chosen = (each for each in self.spans if each.step == step and node in ("", each.node))
        return sum(each.seconds for each in chosen)

    @property
    def waited(self) -> float:
        """Seconds of all steps in which there was nothing to do."""
        return sum(each.waited for each in self.spans)

    @property
    def worked(self) -> float:
        """Seconds of all steps in which something was done."""
        return sum(each.seconds for each in self.spans) - self.waited

    @property
    def paused(self) -> float:
        """Seconds."""
        return sum((each.ended or self.seen) - each.began for each in self.pauses)

    @property
    def nodes(self) -> list[str]:
        """In the order in which their turn came; those that were never touched come last."""
        named = [each.node for each in self.spans]
        planned = [name for batch in self.state.batches for name in batch]
        return list(dict.fromkeys([*named, *planned, *self.state.nodes]))

    @property
    def began(self) -> events.ByActor | None:
        """What it began with, which says who did that and from where; None in one that is cut off."""
        first = (each.event for each in self.told)
        return next(
            (e for e in first if isinstance(e, events.RolloutStarted | events.ManualChangeStarted)), None
        )

    def outcome(self, node: str) -> str:
        """What has become of it, in one word."""
        status = self.state.nodes.get(node)
        return status.state.value if status is not None else NodeState.UNKNOWN.value


def unanswered(records: Iterable[Record]) -> set[int]:
    """Numbers of the `Sending` of which no reply is written down: whoever sent it was killed meanwhile."""
    sending: dict[tuple[str, str, str, str], list[int]] = {}
    for record in records:
        event = record.event
        if isinstance(event, events.CommandSending | events.CommandFinished):
            key = (event.node, event.step, event.target, event.command)
            if isinstance(event, events.CommandSending):
                sending.setdefault(key, []).append(record.seq)
            elif sending.get(key):
                sending[key].pop(0)
    return {number for numbers in sending.values() for number in numbers}
