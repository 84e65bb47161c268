"""How long the drain of a node will probably take, and where that is known from, for plans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backends.text import counted, format_duration
from orchestrator.planning.application import Policy
from orchestrator.planning.drain_forecast import DrainForecast, Lifetimes
from orchestrator.planning.findings import Finding, Severity

UNLIKELY = 0.5  # probability that sessions remain at the deadline, from which on that is said
CERTAIN = 0.9  # from this one on without "probably"
_DASH = "\u2013"
_SECONDS = 9.95  # seconds below which one decimal is shown


@dataclass(frozen=True, slots=True)
class DrainOutlook:
    """The forecast for one node, as far as there is one.

    Attributes:
        sessions: in flight on its servers, and waiting for them, when the plan was made.
        oldest_s: the age of the oldest of them, in seconds; None when it is not known.
        deadline_s: `drain_timeout`, in seconds.
        forecast: None when nothing is known of how long sessions last, or with `persistent`.
        persistent: whether persistence brings clients back while it drains.
    """

    sessions: int
    oldest_s: int | None
    deadline_s: float
    forecast: DrainForecast | None = None
    persistent: bool = False

    def __str__(self) -> str:
        now = [f"{counted(self.sessions, 'session')} now" if self.sessions else "no sessions now"]
        if self.oldest_s is not None and self.sessions:
            now.append(f"oldest {format_duration(self.oldest_s)}")
        return ", ".join([*self._describe_end(), *now])

    def _describe_end(self) -> list[str]:
        deadline = format_duration(self.deadline_s)
        if self.persistent:
            return [f"up to {deadline}, as persistence brings clients back"]
        if self.forecast is None or not self.sessions:
            return []
        if self.forecast.busy_at_deadline > UNLIKELY:
            return [f"not over within {deadline} ({self.forecast.busy_at_deadline:.0%})"]
        return [f"usually {_format_interval(self.forecast, self.deadline_s)}"]


@dataclass(frozen=True, slots=True)
class DrainBasis:
    """What the forecasts of a plan are based on.

    Attributes:
        lifetimes: how long sessions last.
        unread: why the ages of sessions on a load balancer are not in it, by its name.
        young: how long load balancers have run that are younger than `drain_timeout`, in seconds; older
            sessions are in processes that a reload has replaced.
    """

    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    unread: Mapping[str, str] = field(default_factory=dict)
    young: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where the forecasts come from: `session ages and 3 earlier drains`; empty without any."""
        ages = ["session ages"] if self.lifetimes.ages else []
        drains = [counted(self.lifetimes.drains, "earlier drain")] if self.lifetimes.drains else []
        return " and ".join([*ages, *drains])

    def __str__(self) -> str:
        remarks = [f"{name}: {why}" for name, why in self.unread.items()]
        remarks += [
            f"{name} has run for {format_duration(uptime_s)} only: older sessions are not among them"
            for name, uptime_s in self.young.items()
            if name not in self.unread and self.lifetimes.ages
        ]
        listed = "; ".join(remarks)
        if not self.source:
            return f"no forecast of drains: {listed}" if listed else ""
        return f"drains are forecast from {self.source}" + (f" ({listed})" if listed else "")


def judge_drain(
    node: str, outlook: DrainOutlook, lifetimes: Lifetimes, ages: Sequence[int], policy: Policy
) -> Finding | None:
    """Warn that a drain will not end, because sessions last longer than its deadline.

    Args:
        node: its name.
        outlook: its forecast.
        lifetimes: how long sessions last.
        ages: the ages of all sessions that were read, in seconds.
        policy: the policy of the rollout.
    """
    if outlook.forecast is None or outlook.forecast.busy_at_deadline <= UNLIKELY:
        return None
    deadline_s = policy.drain_timeout
    older = sum(age > deadline_s for age in ages)
    if older:
        are = f"{'session' if len(ages) == 1 else 'sessions'} {'is' if older == 1 else 'are'}"
        oldest = format_duration(max(ages))
        seen = f"{older:,} of {len(ages):,} {are} older than {deadline_s:g} s (oldest {oldest})"
    elif lifetimes.drains:
        share = lifetimes.longer(deadline_s)
        seen = f"in earlier drains {share:.0%} of the sessions lasted longer than {deadline_s:g} s"
    else:
        return None  # the tail alone proves nothing
    likely = "will not end" if outlook.forecast.busy_at_deadline > CERTAIN else "will probably not end"
    text = f"{seen}: the drain {likely} within drain_timeout; {describe_remaining(policy)}"
    return Finding(Severity.WARNING, node, text)


def describe_remaining(policy: Policy) -> str:
    """Describe what becomes of sessions that remain after the deadline."""
    then = {
        "proceed": "lets the stop cut them",
        "shutdown": "cuts them all at once",
        "pace": f"closes them, the oldest first, {policy.pace_per_second} per second",
        "fail": "ends the rollout there",
    }[policy.on_remaining_sessions]
    return f'on_remaining_sessions = "{policy.on_remaining_sessions}" {then}'


def _format_interval(forecast: DrainForecast, deadline_s: float) -> str:
    """Format as `12 s (9-20)`; what is beyond the deadline is not over then."""
    low, median, high = forecast.low_s, forecast.median_s, min(forecast.high_s, deadline_s)
    over = "over " if forecast.high_s > deadline_s else ""
    if max(median, high) >= 59.5:
        return f"{format_duration(median)} ({format_duration(low)}{_DASH}{over}{format_duration(high)})"
    form = ".1f" if max(median, high) < _SECONDS else ".0f"
    return f"{format_duration(median)} ({low:{form}}{_DASH}{over}{high:{form}})"
