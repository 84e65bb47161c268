"""The errors of the engine. All of their texts are for operators, and none of them is a bug in Rolldeck.

RolldeckError (backends.errors)
├── Refusal                         no changes made
│   ├── CapacityViolation           a drain would leave too little in rotation
│   ├── PreflightFailed             because of the findings that it carries
│   ├── PlanChanged                 the state is not as in the plan any more
│   ├── Locked                      somebody else works on this application
│   └── Unauthenticated             published data are not verified, and no operator has said to trust them
├── AlreadyRolledBack               no changes made, because the rollback was done already
├── StepFailed                      one step of one node failed
│   ├── Overloaded                  the others cannot carry the load of a node that was drained
│   ├── StepTimeout                 a step did not complete in time
│   ├── CutShort                    an operator did not let it wait any longer
│   ├── BadVersion                  clients of the new version see more errors than those of the old one
│   └── ServiceDiscoveryMaintenance the node is back in HAProxy, but maybe not in service discovery
├── JournalError                    the journal cannot be read or written, and nothing is done without it
├── Fenced                          the lock was lost meanwhile, and nothing may be sent any more
├── Skipped                         an operator chose to leave this node out
└── Aborted                         an operator chose to end the rollout
"""

from pathlib import Path
from typing import TYPE_CHECKING

from backends.errors import RolldeckError

if TYPE_CHECKING:
    from orchestrator.events.actor import Actor


class Refusal(RolldeckError):
    """Something was refused before any change was made; the subclass says why."""


class PlanChanged(Refusal):
    """The state is not the one for which the plan was made; no changes made."""


class AlreadyRolledBack(RolldeckError):
    """The rollback was done already; the text says by which rollout. No changes made."""


class StepFailed(RolldeckError):
    """A step of a node could not be completed; the node stays as it is now."""


class Overloaded(StepFailed):
    """The others cannot carry the load of a node that was drained; the text has the numbers."""


class StepTimeout(StepFailed):
    """A step did not complete in time; the text says what it waited for, and what was seen last."""


class CutShort(StepFailed):
    """An operator did not let a step wait any longer; the text says who, and what was seen last."""


class BadVersion(StepFailed):
    """The judgement on the new version is "bad"; the text says why."""


class ServiceDiscoveryMaintenance(StepFailed):
    """In HAProxy all is well; in service discovery the node may still be in maintenance."""


class JournalError(RolldeckError):
    """The journal cannot be read or written; without it nothing is done, since it could not be resumed.

    Attributes:
        path: of its file.
        problem: why it cannot be read or written.
    """

    def __init__(self, path: Path, problem: str, *, damaged: bool = False) -> None:
        """Keep what is wrong; if `damaged`, the file is corrupt, and the text says how to begin a new one."""
        self.path = path
        self.problem = problem
        hint = f"; it is damaged: mv {path} {path}.damaged, and a new one is begun" if damaged else ""
        super().__init__(f"journal {path}: {problem}{hint}")


class Locked(Refusal):
    """Somebody else works on this application; the text says who, where, since when and on what."""


class ReasonRequired(Refusal):
    """An operator must say why, and has not (`require_reason`)."""


class Unauthenticated(Refusal):
    """Published data would decide, and they are not verified; the text says how to trust them."""


class Fenced(RolldeckError):
    """Somebody else holds the lock now, or may hold it; their work must not be disturbed."""


class Skipped(RolldeckError):
    """An operator chose to leave this node as it is and continue without it.

    Attributes:
        by: the operator.
    """

    def __init__(self, by: "Actor") -> None:
        self.by = by
        super().__init__(by.name)


class Aborted(RolldeckError):
    """An operator chose to end the rollout."""
