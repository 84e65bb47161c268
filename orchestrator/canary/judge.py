"""The judge of a new version: it is fed with polls, and says at any time what they mean. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.canary.judgement import Judgement, Slowness
from orchestrator.canary.poll import Lifetime, Poll
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Evidence


class Judge:
    """Judges a new version by what load balancers count. One for each application and rollout.

    It has no clock and does no I/O: polls say when they were made.
    """

    def __init__(
        self,
        settings: CanarySettings,
        lifetimes: Iterable[Lifetime],
        *,
        version: str = "the new version",
        sticky: bool = False,
        calibrated_m: float | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """Begin without evidence, or continue.

        Args:
            settings: thresholds.
            lifetimes: what the servers did before the rollout; those that are in `evidence` come first.
            version: how the new version is called in reasons.
            sticky: clients are tied to servers, so that errors come in larger bursts.
            calibrated_m: how strongly errors come in bursts, as `rolldeck calibrate` has learned it.
            evidence: the state of a judge before, which this one continues.
        """
        self._settings = settings
        self._lifetimes = tuple(lifetimes)
        self._version = version
        self._sticky = sticky
        self._calibrated_m = calibrated_m
        self._sums = Counter[str](evidence.sums if evidence else {})
        self._at = evidence.at if evidence else 0.0

    def add(self, poll: Poll) -> None:
        """Add the next poll of a load balancer. Polls of one load balancer come in order."""
        for stratum in poll.strata:
            for cell in stratum.cells:
                self._sums[f"{cell.group}:requests"] += cell.requests
                self._sums[f"{cell.group}:errors"] += cell.errors or 0

    def judge(self, at: float, *, slowness: Slowness | None = None, stale: Sequence[str] = ()) -> Judgement:
        """Return what the polls until now mean.

        Args:
            at: now, in the same monotonic seconds as polls.
            slowness: what is known about response times.
            stale: load balancers of which nothing is known now.
        """
        requests = int(self._sums["new:requests"])
        blind = requests < self._settings.min_requests
        return Judgement(
            "blind" if blind else "good",
            reason=f"{self._version} got {requests:,} requests; too few to judge it" if blind else "",
            errors=int(self._sums["new:errors"]),
            requests=requests,
            other_errors=int(self._sums["old:errors"]),
            other_requests=int(self._sums["old:requests"]),
        )

    @property
    def evidence(self) -> Evidence:
        """The state, for the journal; `at` is to be set by who writes it."""
        return Evidence(sums=dict(self._sums), at=self._at)
