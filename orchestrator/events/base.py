"""The bases of all events."""

import msgspec

from orchestrator.events.actor import Origin, Via
from orchestrator.events.steps import Step, check_step


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all events."""


class Timed(Event, frozen=True, kw_only=True):
    """Base of the events with which the work on a node, or a rollout, is over."""

    duration_s: float
    answer_wait_s: float = 0.0  # of these, for which nothing was done but to wait for an operator's answer


class ByActor(Event, frozen=True, kw_only=True):
    """Base of what an actor did, named in `who` or `operator`. See `orchestrator.events.actor.Actor`."""

    via: Via = ""  # from where; empty if unknown
    uid: int = -1  # of the actor's process; -1 if unknown
    credential: str = ""  # type and fingerprint of an SSH key or certificate; empty if unknown

    @property
    def origin(self) -> Origin:
        return Origin(via=self.via, uid=self.uid, credential=self.credential)


class OfStep(Event, frozen=True, kw_only=True):
    """Base of what happens in a step, or because one has failed; other steps than `STEPS` are refused."""

    node: str
    step: Step

    def __post_init__(self) -> None:
        check_step(self.step)
