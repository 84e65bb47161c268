"""Summaries of the journal's entries, for people and for programs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from backends.name_ranges import fold_names
from backends.text import format_duration
from orchestrator.errors import JournalError
from orchestrator.events.events import AnyEvent, NodeDone, NodeRolledBack, RolloutEnded, RolloutStarted
from orchestrator.events.text import format_worked
from orchestrator.journal.entries import NO_ROLLOUTS, Entry
from orchestrator.journal.entry_status import entry_status
from orchestrator.journal.node_history import FleetHistory
from orchestrator.journal.store import Journal
from orchestrator.planning.findings import Finding, Severity

_NODE_EVENTS = ("rollout_started", "node_upgraded", "node_rolled_back", "rollout_ended")


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """What the list of entries says about one entry.

    Attributes:
        standing: its result, or "running", "interrupted", "no end".
        before: the version that its nodes had; "several", or empty when none was known.
        done: nodes that were completed; None when unknown.
        total: nodes with something to do.
        seconds: its duration; None without an end.
        answer_wait_s: seconds of these, for which it only waited for answers of operators.
        rolled_back: the rollout that has rolled a node back since, by node; only for a single entry.
    """

    entry: Entry
    standing: str
    before: str
    done: int | None
    total: int
    seconds: float | None
    answer_wait_s: float = 0.0
    rolled_back: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, journal: Journal, entry: Entry) -> "EntrySummary":
        """Summarize an entry. Raises JournalError."""
        recorded = [record.event for record in journal.records(entry.id, *_NODE_EVENTS)]
        started = next((event for event in recorded if isinstance(event, RolloutStarted)), None)
        batches = started.batches if started else batches_of(entry)
        names = {name for batch in batches for name in batch}
        had = {version for name, version in (started.before if started else {}).items() if name in names}
        stands = entry_status(entry)
        if entry.kind in NO_ROLLOUTS:
            total = len(nodes_of(entry))
            done = total if stands == "healthy" else None
        else:
            total = len(names)
            done = len(_completed(recorded, is_upgrade=entry.kind == "upgrade"))
        before = had.pop() if len(had) == 1 else "several" if had else ""
        seconds = None if entry.ended is None else entry.ended - entry.began
        ended = next((event for event in recorded if isinstance(event, RolloutEnded)), None)
        answer_wait_s = 0.0 if ended is None else ended.answer_wait_s
        return cls(entry, stands, before, done, total, seconds, answer_wait_s)

    @classmethod
    def whole(cls, journal: Journal, entry: Entry) -> "EntrySummary":
        """Summarize an entry with later rollbacks of it, which reads later entries. Raises JournalError."""
        summary = cls.of(journal, entry)
        if entry.kind in NO_ROLLOUTS or entry.problem:
            return summary
        try:
            way = FleetHistory.read(journal, entry.application, since=entry.id).way_back(entry.id)
        except JournalError:  # of another entry; this one is shown all the same
            return summary
        return summary if way is None else replace(summary, rolled_back=way.returned)

    @property
    def rolled_back_text(self) -> str:
        """Later rollbacks with their nodes, as in `2 (web1, web2)`; empty when there are none."""
        nodes: dict[int, list[str]] = {}
        for name, entry in self.rolled_back.items():
            nodes.setdefault(entry, []).append(name)
        return ", ".join(f"{entry} ({fold_names(names)})" for entry, names in sorted(nodes.items()))

    @property
    def took_text(self) -> str:
        """How long it took, as in `7:12`; empty without an end."""
        return "" if self.seconds is None else format_duration(self.seconds - self.answer_wait_s)

    @property
    def times_text(self) -> str:
        """The same, with the time for answers: `7:12 (plus 3:21 waiting for an answer)`."""
        return "" if self.seconds is None else format_worked(self.seconds, self.answer_wait_s)

    @property
    def what(self) -> str:
        """What was done, as in `upgrade 1.4.2 → 1.5.0`, `weight web1 to 50` or `shell on web1`."""
        if self.entry.problem:
            return "cannot be read"
        if self.entry.kind not in NO_ROLLOUTS:
            before = f"{self.before} " if self.before else ""
            return f"{self.entry.kind} {before}→ {self.entry.version}"
        plan = self.entry.plan if isinstance(self.entry.plan, dict) else {}
        if self.entry.kind == "command":
            return f"{plan.get('title', 'command')} on {fold_names(nodes_of(self.entry))}"
        action = str(plan.get("action", "change"))
        to = f" to {plan.get('weight')}" if action == "weight" else ""
        return f"{action} {fold_names(nodes_of(self.entry))}{to}"

    @property
    def nodes(self) -> str:
        """Nodes that were completed and all nodes, as in `3/4`."""
        return f"{'?' if self.done is None else self.done}/{self.total}"

    def fields(self) -> dict[str, object]:
        """Return the fields of its JSON object."""
        entry = self.entry
        return {
            "kind": "entry",
            "entry": entry.id,
            "what": entry.kind,
            "application": entry.application,
            "version": entry.version,
            "before": self.before,
            "operator": entry.operator,
            "host": entry.host,
            "pid": entry.pid,
            "began": entry.began,
            "ended": entry.ended,
            "duration_s": self.seconds,
            "answer_wait_s": self.answer_wait_s,
            "result": self.standing,
            "reason": entry.reason,
            "follows": entry.follows,
            **({"rolled_back_by": self.rolled_back} if self.rolled_back else {}),
            "nodes_done": self.done,
            "nodes_total": self.total,
            "plan_intact": entry.intact,
            "problem": entry.problem,
        }


def _completed(recorded: Iterable[AnyEvent], *, is_upgrade: bool) -> set[str]:
    """Return the nodes that were completed; in an upgrade, not those that an operator has brought back."""
    found = set[str]()
    for event in recorded:
        if isinstance(event, NodeRolledBack) and is_upgrade:
            found.discard(event.node)
        elif isinstance(event, NodeDone):
            found.add(event.node)
    return found


# A plan that somebody has changed may contain anything: what is no plan is skipped.


def batches_of(entry: Entry) -> list[list[str]]:
    """Return the batches of the entry's plan."""
    found: list[list[str]] = _read(entry, "batches", list[list[str]])
    return found


def nodes_of(entry: Entry) -> list[str]:
    """Return the nodes of a manual change, or of a command."""
    found: list[str] = _read(entry, "nodes", list[str])
    return found


def findings_of(entry: Entry) -> list[Finding]:
    """Return the findings of preflight."""
    return [
        Finding(Severity(found.severity), found.subject, found.text, found.own)
        for found in _read(entry, "findings", list[_Found])
    ]


class _Found(msgspec.Struct):
    severity: Severity
    subject: str
    text: str
    own: tuple[tuple[int, int], ...] = ()


def _read(entry: Entry, key: str, shape: Any) -> Any:
    try:
        return msgspec.convert(entry.plan.get(key, []), shape)
    except (AttributeError, msgspec.ValidationError):
        return []
