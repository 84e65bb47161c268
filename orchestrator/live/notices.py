"""Notices: what happened to an application lately, in one line each, whoever or whatever caused it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from backends.name_ranges import fold_names
from orchestrator.events import events
from orchestrator.events.events import Record
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.text import RepeatedEvents, describe
from orchestrator.journal.entries import Entry
from orchestrator.journal.unfinished import read_change

MAX_NOTICES = 500
_SAME_WITHIN_S = 5.0  # seconds between two load balancers that notice the same
_LOOK_BACK = 20  # notices that may be the same as a new one

Weight = Literal["good", "change", "bad", "info"]
"""What a notice means to the operator: something is well again, changes, is broken, or is for the record."""

_WEIGHTS: dict[type[events.AnyEvent], Weight] = {
    events.RolloutStarted: "change",
    events.FreezeOverridden: "change",
    events.BatchStarted: "info",
    events.StepDone: "info",
    events.NodeUpgraded: "good",
    events.NodeRolledBack: "good",
    events.NodeSkipped: "change",
    events.NodeFailed: "bad",
    events.NodePutBack: "change",
    events.NodeNote: "info",
    events.DecisionRequested: "change",
    events.DecisionMade: "info",
    events.Paused: "change",
    events.Resumed: "info",
    events.AbortRequested: "bad",
    events.ManualChangeStarted: "info",
    events.ManualChangeFinished: "change",
    events.RollbackStarted: "change",
    events.RollbackRefused: "bad",
    events.RolloutEnded: "change",
    VerdictChanged: "change",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of what happened.

    Attributes:
        at: seconds since 1970.
        subject: the node, load balancer or operator that it is about; empty for the whole application.
        text: what happened, not cleaned.
        weight: what it means.
        places: the load balancers that noticed it; empty where that says nothing.
    """

    at: float
    subject: str
    text: str
    weight: Weight
    places: tuple[str, ...] = ()


class NoticeLog:
    """The last notices, oldest first. What several load balancers notice together is one of them."""

    def __init__(self) -> None:
        self._notices: deque[Notice] = deque(maxlen=MAX_NOTICES)
        self._repeated = RepeatedEvents()
        self.version = 0  # grows with each change

    @property
    def notices(self) -> Sequence[Notice]:
        """All that are kept, oldest first."""
        return self._notices

    def add(self, notice: Notice) -> None:
        """Add a notice at the end, or its place to an earlier one that says the same."""
        self.version += 1
        for index in range(1, min(_LOOK_BACK, len(self._notices)) + 1):
            other = self._notices[-index]
            if (other.subject, other.text) == (notice.subject, notice.text) and _are_one(other, notice):
                places = tuple(dict.fromkeys((*other.places, *notice.places)))
                self._notices[-index] = replace(other, places=places)
                return
        self._notices.append(notice)

    def add_record(self, record: Record) -> None:
        """Add an event of a rollout or a manual change, if operators want to know of it."""
        repeated = self._repeated.has(record.event)
        weight = _WEIGHTS.get(type(record.event))
        if weight is None or repeated:
            return
        event, step = record.event, getattr(record.event, "step", "")
        subject = getattr(event, "node", "") or getattr(event, "subject", "")
        if isinstance(event, events.RolloutEnded):
            weight = "good" if event.result == "healthy" else "bad"
        elif isinstance(event, events.ManualChangeFinished):
            if not event.error:
                return  # its effect is a notice
            weight = "bad"
        elif isinstance(event, VerdictChanged):
            weight = "bad" if event.state == "bad" else "good" if event.state == "good" else "change"
        if isinstance(event, events.DecisionRequested):
            words = f"asks: {event.text}"  # the choices are at the question itself
        else:
            words = f"{step}: {describe(event)}" if step else describe(event)
        self.add(Notice(record.at, subject, words, weight))

    def add_history(self, entries: Sequence[Entry]) -> None:
        """Add what the journal knows of earlier work, before everything else.

        Args:
            entries: of the journal, in any order.
        """
        found = sorted((notice_of_entry(entry) for entry in entries), key=lambda notice: notice.at)
        self._notices = deque([*found, *self._notices], MAX_NOTICES)
        self.version += 1


def _are_one(first: Notice, second: Notice) -> bool:
    """Return whether two load balancers have noticed the same."""
    new = bool(second.places) and not set(second.places) & set(first.places)
    return new and abs(second.at - first.at) <= _SAME_WITHIN_S


def notice_of_entry(entry: Entry) -> Notice:
    """Return an entry of the journal as a notice: who did what, and how it ended."""
    change = read_change(entry) if entry.kind == "change" else None
    what = f"{change.action} {fold_names(change.nodes)}" if change else f"{entry.kind} to {entry.version}"
    ended = f": {entry.result}" if entry.result else ", which has not ended"
    weight: Weight = "info" if entry.result == "healthy" else "change"
    at = entry.began if entry.ended is None else entry.ended
    return Notice(at, "", f"{what} by {entry.operator}{ended}", weight)


def last_changes(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return the last entry that concerned each node.

    Args:
        entries: of the journal, newest first.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        nodes = read_change(entry).nodes if entry.kind == "change" else _planned_nodes(entry)
        for node in nodes:
            found.setdefault(node, entry)
    return found


def _planned_nodes(entry: Entry) -> list[str]:
    batches = entry.plan.get("batches")
    if not isinstance(batches, list):
        return []
    return [node for batch in batches if isinstance(batch, list) for node in batch if isinstance(node, str)]
