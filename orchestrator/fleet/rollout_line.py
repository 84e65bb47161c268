"""One line about a rollout: how far it is, what it does, and whether somebody has to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from backends.text import format_clock, format_local_time
from orchestrator.events.state import NodeState, Phase, RolloutState, is_under_way
from orchestrator.events.steps import STEPS
from orchestrator.journal.entry_status import NodeProgress, RolloutStatus, at_work

Standing = Literal["waits", "running", "unfinished"]

_MAX_NAMED = 2  # nodes that are named; of more, the first and the number of the others
_VERBS: Mapping[str, str] = {
    NodeState.BAKING: "watches",
    NodeState.RAMPING: "ramps up",
    NodeState.DRAINED: "has drained",
}


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """A rollout that runs, or that was left unfinished.

    Attributes:
        standing: "waits" for an answer, "running", or "unfinished".
        done: the number of nodes that are done, of `total`.
        at_work: the nodes that it works on.
        nodes: those that an unfinished rollout has left; empty while it runs.
        questions: what it asks about: nodes, and "batch 2".
        action: what it does, such as "verifies web6", or how it ended.
        operator: who has started it, as user@machine.
        host: where it runs.
        since: when it began, seconds since 1970.
        entry: its number in this machine's journal; 0: it is another machine's.
        remaining_s: how long it will take, as estimated; None while that is unknown.
        may_roll_back: an unfinished one is better rolled back than resumed.
    """

    standing: Standing
    kind: str
    version: str
    done: int
    total: int
    action: str
    operator: str
    host: str
    since: float
    entry: int = 0
    phase: Phase = "progressing"
    at_work: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    remaining_s: float | None = None
    may_roll_back: bool = False

    @property
    def target(self) -> str:
        """The version with the direction: forward, or back."""
        return f"{'↩' if self.kind == 'rollback' else '→'} {self.version}"

    @property
    def progress(self) -> str:
        """The target, and how many nodes have reached it: "→ 1.5.0 1/3"."""
        return f"{self.target} {self.done}/{self.total}"

    def text(self, now: float) -> str:
        """Return the line, without the operator.

        Args:
            now: seconds since 1970.
        """
        if self.standing == "unfinished":
            left = name_some(self.nodes) or f"{self.done}/{self.total} to {self.version}"
            return f"left: {left} {format_since(self.since, now)} ({self.way_on})"
        left = f" · {format_clock(self.remaining_s)}" if self.remaining_s else ""
        return f"{self.progress} · {self.action}{left if self.is_moving else ''}"

    @property
    def is_moving(self) -> bool:
        """Whether it runs, and waits for nobody."""
        return self.standing == "running" and self.phase == "progressing"

    @property
    def way_on(self) -> str:
        """What is to be done about an unfinished one first, in words."""
        return "roll back" if self.may_roll_back else "resume"


def line_of_status(status: RolloutStatus) -> RolloutLine:
    """Return the line of a rollout as the journal or Consul has it."""
    running = status.standing == "running"
    questions = tuple(question.subject for question in status.questions)
    working = at_work(status)
    return RolloutLine(
        standing="waits" if questions else status.standing,
        kind=status.kind,
        version=status.version,
        done=status.done,
        total=status.total,
        action=_describe_action(status.phase, status.phase_by, questions, working) if running else status.why,
        operator=status.operator,
        host=status.host,
        since=status.since,
        entry=status.entry,
        phase=status.phase,
        at_work=tuple(node.node for node in working),
        nodes=() if running else tuple(node.node for node in status.nodes),
        questions=questions,
        may_roll_back=bool(status.ways_on) and status.ways_on[0].purpose == "rollback",
    )


def line_of_state(state: RolloutState, operator: str, host: str, entry: int = 0) -> RolloutLine:
    """Return the line of a rollout that runs, from its events so far.

    Args:
        state: of the rollout.
        operator: who has started it.
        host: where it runs.
        entry: its number in this machine's journal; 0: it is another machine's.
    """
    questions = tuple(question.subject for question in state.questions.values())
    working = [
        NodeProgress(node.name, str(node.state), node.step or "", node.reason)
        for node in state.nodes.values()
        if is_under_way(node.state)
    ]
    times = state.eta()
    return RolloutLine(
        standing="waits" if questions else "running",
        kind=state.kind,
        version=state.version,
        done=state.done,
        total=state.total,
        action=_describe_action(state.phase, state.phase_by, questions, working),
        operator=operator,
        host=host,
        since=state.began,
        entry=entry,
        phase=state.phase,
        at_work=tuple(node.node for node in working),
        questions=questions,
        remaining_s=None if times is None else times.working + times.waiting,
    )


def _describe_action(phase: Phase, by: str, questions: Sequence[str], working: Sequence[NodeProgress]) -> str:
    if questions:
        return f"waits for you: {name_some(questions)}{' (paused)' if phase == 'paused' else ''}"
    if phase == "paused":
        return f"paused by {by}"
    if phase == "aborting":
        return "is being aborted"
    if not working:
        return "goes on" if phase == "progressing" else "begins"
    first = working[0]
    verb = _VERBS.get(first.state) or (STEPS.spec(first.step).verb if first.step in STEPS else "works on")
    more = f" and {len(working) - 1} more" if len(working) > 1 else ""
    return f"{verb} {first.node}{more}"


def name_some(names: Sequence[str]) -> str:
    """Return the names, or the first one and how many others there are."""
    if len(names) <= _MAX_NAMED:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} more"


def format_since(at: float, now: float) -> str:
    """Return "since 14:05", "since yesterday" or "since 26 Nov"; the year is named if it is another one.

    Args:
        at: seconds since 1970; 0 if it is unknown.
        now: likewise.
    """
    if not at:
        return ""
    day, today = datetime.fromtimestamp(at).date(), datetime.fromtimestamp(now).date()  # noqa: DTZ006 - local days
    if day == today:
        return f"since {format_local_time(at, '%H:%M')}"
    if day == today - timedelta(days=1):
        return "since yesterday"
    return f"since {format_local_time(at, '%-d %b' if day.year == today.year else '%-d %b %Y')}"
