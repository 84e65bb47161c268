"""The timeline of one entry, computed from its events: the steps with their times, and all other events."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from backends.text import format_duration
from orchestrator.events import events
from orchestrator.events.base import ByActor
from orchestrator.events.drains import Drained
from orchestrator.events.events import Record
from orchestrator.events.judgement import Measured
from orchestrator.events.operator_commands import OperatorCommandStarted
from orchestrator.events.spans import Pause, StepSpan, StepSpans, StepTimes
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.events.text import MIN_ANSWER_WAIT_S
from orchestrator.events.verdict_text import RepeatedVerdicts

_FIRST_EVENTS = (events.RolloutStarted, events.ManualChangeStarted, OperatorCommandStarted)


@dataclass(slots=True)
class Timeline:
    """The timeline of an entry; `of` makes it.

    Attributes:
        state: of the rollout; without nodes for a manual change.
        steps: of the nodes, also those of a manual change.
        notes: all other events: questions, failures, notes, pauses, changes of the verdict, ...
        logs: the last lines of the service of each node that has failed, as they were when it failed last.
        missing: number of records that are missing before the last one.
    """

    state: RolloutState = field(default_factory=RolloutState)
    steps: StepSpans = field(default_factory=StepSpans)
    notes: list[Record] = field(default_factory=list)
    logs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    traffic: events.Traffic | None = None
    missing: int = 0
    _repeats: RepeatedVerdicts = field(default_factory=RepeatedVerdicts)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Timeline":
        timeline = cls()
        last_seq = 0
        for record in records:
            if last_seq and record.seq > last_seq + 1:
                timeline.missing += record.seq - last_seq - 1
            last_seq = record.seq
            timeline._apply(record)
        timeline.steps.measure_open()
        return timeline

    def _apply(self, record: Record) -> None:
        with contextlib.suppress(KeyError):  # where records are missing, it goes as far as it can
            self.state.apply(record)
        self.steps.apply(record)
        match record.event:
            case (
                events.StepStarted()
                | events.Waiting()
                | events.StepDone()
                | events.CommandSending()
                | events.CommandFinished()
                | events.BatchStarted()
                | events.NodeStarted()
                | events.LockTaken()
                | Drained()
                | Measured()
            ):
                pass
            case event if self._repeats.has(event):
                pass
            case events.ServiceLog(node=node, lines=lines):
                self.logs[node] = tuple(lines)
            case events.Traffic() as event:
                self.traffic = event
            case event:
                if isinstance(event, events.NodeFailed):
                    self.logs.pop(event.node, None)  # of an earlier failure
                self.notes.append(record)

    @property
    def spans(self) -> list[StepSpan]:
        return self.steps.spans

    @property
    def pauses(self) -> list[Pause]:
        return self.steps.pauses

    @property
    def last_at(self) -> float:
        """Seconds since 1970 of the newest record."""
        return self.steps.last_at

    def duration_of(self, step: str, node: str = "") -> float:
        """Return the seconds of one step, without pauses: of all nodes together, or of one."""
        return sum(span.seconds for span in self.spans if span.step == step and node in ("", span.node))

    @property
    def times(self) -> StepTimes:
        """The times of all steps together."""
        return StepTimes.of(self.spans)

    @property
    def times_text(self) -> str:
        """How much of that time was work, how much was waiting, and for how long nothing was done at all."""
        times, ended = self.times, self.state.ended
        answers = 0.0 if ended is None else ended.answer_wait_s
        others = (
            f", {format_duration(answers)} for answers" if answers >= MIN_ANSWER_WAIT_S else "",
            f", paused {format_duration(self.paused)}" if self.pauses else "",
        )
        waiting = format_duration(times.waiting)
        return f"working {format_duration(times.working)}, waiting {waiting}{''.join(others)}"

    @property
    def paused(self) -> float:
        """The seconds of all pauses."""
        return sum((pause.ended or self.last_at) - pause.began for pause in self.pauses)

    @property
    def nodes(self) -> list[str]:
        """The nodes in the order in which they were begun; untouched ones come last."""
        named = [span.node for span in self.spans]
        planned = [name for batch in self.state.batches for name in batch]
        return list(dict.fromkeys([*named, *planned, *self.state.nodes]))

    @property
    def began(self) -> ByActor | None:
        """The event with which the entry begins, with its actor; None when it is cut off."""
        for record in self.notes:
            if isinstance(record.event, _FIRST_EVENTS):
                return record.event
        return None

    @property
    def reason(self) -> str:
        """Why it was done, in the operator's words; empty if none was given."""
        began = self.began
        return began.reason if isinstance(began, events.RolloutStarted | events.ManualChangeStarted) else ""

    def node_result(self, node: str) -> str:
        """Return the last state of a node, in one word."""
        status = self.state.nodes.get(node)
        return str(status.state if status is not None else NodeState.UNKNOWN)


def find_unanswered(records: Iterable[Record]) -> set[int]:
    """Return the numbers of each `CommandSending` without a reply: its sender was killed meanwhile."""
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
