"""The events of the judgement on a new version: what was measured, and the verdict."""

from typing import Literal

import msgspec

from orchestrator.events.base import Event

Verdict = Literal["good", "hold", "bad", "blind"]
"""The judgement on the new version.

good: no sign that it is worse, with enough requests to have seen one;
hold: no further node is to be drained until an operator has decided;
bad: it fails clients, and its node leaves rotation;
blind: too little is known to judge, or errors are a sign and no proof; never to be read as "good".
"""

Group = Literal["new", "old", ""]
"""Which version a server runs: the new one, the old one, or neither is known."""


class ServerMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """What one server got and did since the `measured` before."""

    balancer: str
    backend: str
    server: str
    group: Group
    requests: int
    errors: int | None  # that clients saw; None in TCP mode, where they are not known
    soft: int = 0  # retries and redispatches, which no client noticed
    response_ms: float | None = None  # mean of these requests; None when it cannot be recovered
    sessions: int = 0  # in flight at the end


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the evidence, from which a resumed rollout continues. See `orchestrator.canary`.

    Attributes:
        logs: natural logarithms of the likelihood ratios, by name of the process and in the order of its
            alternatives.
        sums: totals by name, such as errors and requests of each group.
        at: seconds since 1970 when the evidence was complete.
    """

    logs: dict[str, list[float]] = {}
    sums: dict[str, float] = {}
    at: float = 0.0


class Measured(Event, frozen=True, kw_only=True, tag="measured"):
    """What the servers of an application got and did; each minute, and at each change of the verdict."""

    duration_s: float  # since the one before
    servers: list[ServerMeasured]
    evidence: Evidence | None = None  # None: there is no judgement


class DetectableRatio(msgspec.Struct, frozen=True, kw_only=True):
    """How soon an error rate that is this many times that of the old version would show."""

    ratio: float
    duration_s: float  # in nine of ten cases


class VerdictFields(Event, frozen=True, kw_only=True):
    """Base of a judgement on the new version at one moment.

    Attributes:
        state: the judgement.
        reason: why, as a sentence without a full stop; empty for "good".
        node: the node that is concerned, of "bad"; empty otherwise.
        errors: errors that clients of the new version saw since the rollout began.
        requests: requests that the new version got.
        other_errors: likewise of the old version, at the same time.
        other_requests: likewise of the old version.
        ratio: the ratio of both error rates; None when it cannot be computed.
        evidence: the e-value: at least 2,000 is proof.
        excluded_rate: an error rate that is excluded at 95 %, at any time; None without requests.
        slower: the response time as a multiple of that of its peers; None when nothing is known.
        response_ms: the mean response time of the new version now; None when it is not known.
        other_response_ms: likewise of the old version.
        detectable: which ratios would have shown by now, or when they would.
        compared_s: for how many seconds both versions have been compared so far.
    """

    state: Verdict
    reason: str = ""
    node: str = ""
    errors: int = 0
    requests: int = 0
    other_errors: int = 0
    other_requests: int = 0
    ratio: float | None = None
    evidence: float = 1.0
    excluded_rate: float | None = None
    slower: float | None = None
    response_ms: float | None = None
    other_response_ms: float | None = None
    detectable: list[DetectableRatio] = []
    compared_s: float = 0.0


class VerdictChanged(VerdictFields, frozen=True, kw_only=True, tag="verdict"):
    """The judgement on the new version; when it changes, and every ten seconds."""

    version: str  # that is judged
