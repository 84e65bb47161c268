"""The moments of a rollout at which hooks are called: the event that triggers each, and the fields hooks get.

A new moment is a row of `MOMENTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from orchestrator.events.actor import Via
from orchestrator.events.base import Event
from orchestrator.events.events import NodeDone, NodeFailed, Paused, RolloutEnded
from orchestrator.events.json import SCHEMA
from orchestrator.events.ways_back import OutOfRotation


@dataclass(frozen=True, slots=True)
class MomentSpec:
    """A moment of a rollout.

    Attributes:
        event: the event that brings the moment, and has the fields. The start has none: the rollout calls
            its hooks before the work, and those of the end after the work, when the event was emitted.
        fields: the fields of `HookPayload` that it fills, each with the attribute of the event that has the
            value.
        holds_drains: no other node is taken out of rotation before the hook has answered.
    """

    event: type[Event] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    holds_drains: bool = True

    def payload_fields(self, event: Event) -> dict[str, Any]:
        """Return the fields of the payload that this event fills."""
        return {name: getattr(event, attribute) for name, attribute in self.fields.items()}


def _same(*names: str) -> dict[str, str]:
    """Return fields of the payload that are called as in the event."""
    return dict(zip(names, names, strict=True))


MOMENTS: dict[str, MomentSpec] = {
    "start": MomentSpec(),  # before a node is touched
    "node": MomentSpec(NodeDone, _same("node")),  # after each node
    "pause": MomentSpec(Paused, {**_same("who", "via"), "reason": "why"}, holds_drains=False),
    "failure": MomentSpec(NodeFailed, _same("node", "step", "error")),
    "end": MomentSpec(
        RolloutEnded,
        _same("result", "reason", "upgraded", "rolled_back", "failed", "put_back", "out_of_rotation"),
    ),
}

if TYPE_CHECKING:
    Moment = str
else:
    Moment = Literal[tuple(MOMENTS)]  # so that a configuration is checked against the table
"""The name of a row of `MOMENTS`."""


class HookPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON that a hook receives. Fields without a meaning at a moment are empty; none is ever removed."""

    schema: int = SCHEMA
    moment: Moment
    time: str  # as RFC 3339 has it, in UTC
    application: str
    version: str  # that the nodes are to have
    before: dict[str, str]  # the version that each node had, as far as it was known
    operator: str  # who began the rollout
    rollout: int | None  # its number in the journal
    journal_head: str = ""  # for `rolldeck history verify --head`: covers all that is written until now
    node: str = ""  # of the moments "node" and "failure"
    step: str = ""  # at which it failed
    error: str = ""
    who: str = ""  # paused it
    via: Via = ""  # from where they did
    reason: str = ""  # of a pause, or of a result other than "healthy"
    result: str = ""  # at the end: healthy, degraded, aborted
    upgraded: list[str] = []
    rolled_back: list[str] = []
    failed: list[str] = []
    put_back: list[str] = []  # failed before their service was asked to stop, and are as they were
    out_of_rotation: list[OutOfRotation] = []
