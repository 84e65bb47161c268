"""The judgement on a new version, and what is known about its response times. Values."""

from dataclasses import dataclass
from typing import Literal

from orchestrator.events.judgement import VerdictFields

HoldCause = Literal["", "old version", "no comparison", "retries", "checks", "unanswered", "slow", "stale"]
"""What a "hold" comes from: errors of the old version, errors that cannot be compared with those of an old
version, retries, failed checks, requests without an answer, response times, or a load balancer of which
nothing is known."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """What is known about the response times of the new version.

    Attributes:
        state: "hold" when it is slower than its peers, "bad" when that is to end the rollout, else empty.
        reason: why, as a sentence without a full stop; empty without a state.
        node: the slowest node, when it is slower; empty otherwise.
        slower: the response time as a multiple of that of its peers; None: not known.
        response_ms: the mean response time now, of that node or else of the new version; None: not known.
        other_response_ms: what it would be if it compared with the old version as before its upgrade.
        e_value: the evidence; 1,000 is proof.
        certain: it is slower, and no warm-up explains it any more.
    """

    state: Literal["", "hold", "bad"] = ""
    reason: str = ""
    node: str = ""
    slower: float | None = None
    response_ms: float | None = None
    other_response_ms: float | None = None
    e_value: float = 1.0
    certain: bool = False


class Judgement(VerdictFields, frozen=True, kw_only=True):
    """The judgement on a new version at one moment, without the version.

    Attributes:
        cause: what a "hold" comes from; an operator decides once about each.
    """

    cause: HoldCause = ""
