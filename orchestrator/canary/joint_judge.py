"""Errors and response times of a new version, judged together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.canary.judge import Judge
from orchestrator.canary.judgement import Judgement
from orchestrator.canary.latency import LatencyJudge
from orchestrator.canary.poll import Lifetime, Poll
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Evidence


@dataclass(frozen=True, slots=True)
class Background:
    """What is known before the first return of a node.

    Attributes:
        version: the version that is judged.
        lifetimes: what the servers did before the rollout.
        is_sticky: clients are tied to servers.
        calibrated_m: the size of bursts of errors that `rolldeck calibrate` has learned.
    """

    version: str
    lifetimes: Sequence[Lifetime] = field(default=())
    is_sticky: bool = False
    calibrated_m: float | None = None


class JointJudge:
    """Judges a new version by the errors and the response times that polls tell of."""

    def __init__(
        self, settings: CanarySettings, background: Background, evidence: Evidence | None = None
    ) -> None:
        """Begin without evidence, or continue from that of a judge before."""
        lifetimes = background.lifetimes
        self._errors = Judge(
            settings,
            lifetimes,
            version=background.version,
            sticky=background.is_sticky,
            calibrated_m=background.calibrated_m,
            evidence=evidence,
        )
        self._latency = LatencyJudge(settings, lifetimes, evidence)

    def add(self, poll: Poll) -> None:
        """Add the next poll of a load balancer. Polls of one load balancer come in order."""
        self._errors.add(poll)
        self._latency.add(poll)

    def leave(self, node: str) -> None:
        """Note that a node is worked on from now on."""
        self._latency.leave(node)

    def judge(self, at: float, *, stale: Sequence[str] = ()) -> Judgement:
        """Return what the polls until now mean.

        Args:
            at: now, in the same monotonic seconds as polls.
            stale: load balancers of which nothing is known now.
        """
        return self._errors.judge(at, slowness=self._latency.slowness, stale=stale)

    def suspicion(self, at: float) -> str:
        """Return why to wait before another node is taken out, although nothing is proven; often empty."""
        return self._errors.suspicion(at) or self._latency.suspicion(at)

    @property
    def evidence(self) -> Evidence:
        """The state, for the journal; `at` is to be set by who writes it."""
        errors, latency = self._errors.evidence, self._latency.evidence
        return Evidence(logs=latency.logs | errors.logs, sums=latency.sums | errors.sums, at=errors.at)
