"""Why the orchestrator did not go on. All of these are texts for an operator, none is a bug.

RolldeckError (backends.errors)
├── CapacityViolation               a drain would leave too little in rotation
├── PreflightFailed                 no changes made, because of the findings it carries
├── PlanChanged                     no changes made, because what is there is not as in the plan any more
├── AlreadyRolledBack               no changes made, because a rollback is there already
├── StepFailed                      one step of one node failed, and why
│   ├── StepTimeout                 what was waited for did not come in time
│   └── ServiceDiscoveryMaintenance it is back in HAProxy, but it is unknown whether it is back in a registry
├── JournalError                    the journal cannot be read or written: nothing is done without it
├── Locked                          somebody else works on this application
├── Unauthenticated                 nobody vouches for it, and nobody has said that it is to be believed
├── Fenced                          the lock is gone in the middle: nothing may be sent any more
├── Skipped                         somebody chose to leave this node out
└── Aborted                         somebody chose to end the rollout
"""

from pathlib import Path
from typing import TYPE_CHECKING

from backends.errors import RolldeckError

if TYPE_CHECKING:
    from orchestrator.events.actor import Actor


class PlanChanged(RolldeckError):
    """What is there is not as it was when the plan was made; no changes made."""


class AlreadyRolledBack(RolldeckError):
    """What was to be rolled back has been; the text says by which rollout. Nothing was touched."""


class StepFailed(RolldeckError):
    """A step of a node could not be completed; the node stays as it is now."""


class StepTimeout(StepFailed):
    """Waited the configured time; the text says for what and what was seen last."""


class ServiceDiscoveryMaintenance(StepFailed):
    """In HAProxy all is well; in the registry it is still in maintenance, or that is not known."""


class JournalError(RolldeckError):
    """Without a journal nothing is done: what is not written down cannot be resumed.

    Attributes:
        path: of its file.
        problem: why it cannot be read or written.
        damaged: the file itself is not what SQLite writes, and no entry of it can be trusted.
    """

    def __init__(self, path: Path, problem: str, *, damaged: bool = False) -> None:
        self.path = path
        self.problem = problem
        hint = f"; it is damaged: mv {path} {path}.damaged, and a new one is begun" if damaged else ""
        super().__init__(f"journal {path}: {problem}{hint}")


class Locked(RolldeckError):
    """Somebody else works on this application; the text says who, where, since when and at what."""


class Unauthenticated(RolldeckError):
    """Somebody else's word would decide, and nobody vouches for it; the text says how to believe it."""


class Fenced(RolldeckError):
    """Somebody else has the application now, or may have it; what they do must not be disturbed."""


class Skipped(RolldeckError):
    """Somebody chose to leave this node as it is and go on without it.

    Attributes:
        by: who did.
    """

    def __init__(self, by: "Actor") -> None:
        self.by = by
        super().__init__(by.name)


class Aborted(RolldeckError):
    """Somebody chose to end the rollout."""
