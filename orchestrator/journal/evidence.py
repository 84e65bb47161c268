"""The evidence about a version in earlier rollouts, from which one that resumes them continues."""

from orchestrator.events import events
from orchestrator.events.judgement import Evidence, Measured, VerdictChanged
from orchestrator.journal.node_history import is_resumption
from orchestrator.journal.store import Journal
from orchestrator.journal.unfinished import MAX_ENTRIES


def last_evidence(journal: Journal, entry: int | None, version: str) -> Evidence | None:
    """Return the newest evidence about a version in a rollout, or else in those that it has resumed.

    A rollout that has ended with the verdict "bad" has no evidence to continue from: that an operator resumes
    it is a decision to go on.

    Args:
        journal: is read.
        entry: the rollout that is resumed.
        version: the version that is judged.

    Raises:
        JournalError: it cannot be read.
    """
    for _ in range(MAX_ENTRIES):
        found = journal.entry(entry) if entry is not None else None
        if found is None or found.problem or found.version != version:
            return None
        evidence, is_bad, has_ended = None, False, False
        for record in journal.records(found.id, "measured", "verdict", "rollout_ended"):
            match record.event:
                case Measured(evidence=Evidence() as newest):
                    evidence = newest
                case VerdictChanged(state=state):
                    is_bad = state == "bad"
                case events.RolloutEnded():
                    has_ended = True
                case _:
                    pass
        if has_ended and is_bad:
            return None
        if evidence is not None:
            return evidence
        entry = found.follows if is_resumption(found) else None
    return None
