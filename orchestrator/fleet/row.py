"""The row of one application: what of it is in rotation, what its clients get, and what is done to it."""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.fleet.rollout_line import RolloutLine
from orchestrator.live.availability import Availability
from orchestrator.live.poller import FleetView
from orchestrator.live.traffic import Traffic
from orchestrator.planning.application import Frozen

NOTABLE_ERRORS = 0.05  # share of requests that end in an error, from which an application comes first


class Attention(enum.IntEnum):
    """How urgently an application needs an operator, the most urgent first."""

    WAITS = 0  # a rollout waits for an answer
    BROKEN = 1  # a node is down, clients get errors, or a load balancer does not answer
    ROLLING = 2
    UNFINISHED = 3  # a rollout was left
    OUT = 4  # nodes were taken out of rotation
    QUIET = 5


@dataclass(frozen=True, slots=True)
class ApplicationRow:
    """One application at one moment.

    Attributes:
        availability: None until a load balancer has answered, and when none does any more.
        versions: on how many nodes each version runs, the most frequent first; of known ones only.
        traffic: what clients get.
        rollout: one that runs or was left unfinished; None without one.
        frozen: the freeze window of now; None without one.
        problem: why something about it is not known, in words; else empty.
    """

    name: str
    availability: Availability | None = None
    versions: tuple[tuple[str, int], ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    rollout: RolloutLine | None = None
    frozen: Frozen | None = None
    problem: str = ""

    @property
    def attention(self) -> Attention:
        """How urgently it needs an operator."""
        rollout = self.rollout
        if rollout is not None and rollout.standing == "waits":
            return Attention.WAITS
        if self.problem or self.unexpected or (self.traffic.errors or 0) >= NOTABLE_ERRORS:
            return Attention.BROKEN
        if rollout is not None:
            return Attention.ROLLING if rollout.standing == "running" else Attention.UNFINISHED
        return Attention.OUT if self.availability is not None and self.availability.out else Attention.QUIET

    @property
    def version_counts(self) -> tuple[tuple[str, int], ...]:
        """Its versions, and `?` for nodes whose version is not known where that of others is."""
        unknown = (
            self.availability.total - sum(count for _, count in self.versions) if self.availability else 0
        )
        return (*self.versions, ("?", unknown)) if self.versions and unknown > 0 else self.versions

    @property
    def unexpected(self) -> tuple[str, ...]:
        """The nodes that are down although no rollout works on them."""
        if self.availability is None:
            return ()
        if self.rollout is None or self.rollout.standing == "unfinished":
            return self.availability.down
        own = {*self.rollout.at_work, *self.rollout.questions}
        return tuple(node for node in self.availability.down if node not in own)


def count_versions(nodes: Availability | None, versions: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return on how many nodes each version runs, the most frequent first.

    Args:
        nodes: those that there are; versions of others, which may be gone, do not count.
        versions: those that are known, by node.
    """
    names = versions.keys() & set(nodes.nodes) if nodes is not None else versions.keys()
    counted = Counter(version for node in names if (version := versions[node]))
    return tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def describe_balancers(view: FleetView) -> str:
    """Return which load balancers are not live, and why; empty when all are, or have just been asked."""
    return "; ".join(
        f"{balancer.name}: {balancer.failing}" for balancer in view.instances if balancer.failing
    )
