"""The context of a rollout: its entry in the journal, what is known from elsewhere, and what it calls."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.events.events import RolloutKind
from orchestrator.events.judgement import Evidence

Published = Callable[[], Awaitable[None]]
"""Waits until others can see everything that has happened so far; the wait is limited."""


async def already_published() -> None:
    """Return at once: the default of `RolloutCallbacks.published`, where nobody else is to see anything."""


async def no_known_version(node: str) -> str:
    """Return an empty text: the default of `RolloutCallbacks.last_healthy`, where there is no journal."""
    return ""


@dataclass(frozen=True, slots=True)
class RolloutCallbacks:
    """Functions that a rollout calls before it touches a node.

    Attributes:
        published: awaited until other machines have the node's original state, so that they can take over.
        differences: returns what has changed since the plan was made, by node; an operator decides about it
            before the next node.
        last_healthy: returns the last version that was healthy on a node before this rollout; empty when none
            is known.
    """

    published: Published = already_published
    differences: Callable[[], Mapping[str, str]] = dict
    last_healthy: Callable[[str], Awaitable[str]] = no_known_version


@dataclass(frozen=True, slots=True)
class RolloutContext:
    """The surroundings of a rollout.

    Attributes:
        number: its number in the journal; None where it has no journal.
        kind: an upgrade or a rollback.
        other_versions: the versions of nodes that are not in the plan, by name.
        callbacks: functions that are called before a node is touched.
        evidence: of the judgement on the same version in the rollout that this one resumes.
        reason: why it is done, in the operator's words; empty if none was given.
    """

    number: int | None = None
    kind: RolloutKind = "upgrade"
    other_versions: Mapping[str, str] = field(default_factory=dict)
    callbacks: RolloutCallbacks = RolloutCallbacks()
    evidence: Evidence | None = None
    reason: str = ""
