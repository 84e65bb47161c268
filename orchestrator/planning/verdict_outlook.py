"""What the judgement on a new version will be able to find, said in the plan. No clock, no I/O."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite

from backends.haproxy.columns import columns_of
from backends.model import ServerRef, Snapshot
from orchestrator.balancers.request_errors import Sample, compute_all_signals
from orchestrator.canary.detectability import Rates, count_failed_requests, detect_ratios, predict_m
from orchestrator.canary.history import LONG_S, estimate_rate, limit_rate
from orchestrator.canary.judge import NULL_RATIO, NULL_RATIO_UNKNOWN
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import DetectableRatio
from orchestrator.events.verdict_text import format_time_span

BAD_SHARE = 0.2
"""Of the requests to a version that is clearly bad: the plan says how many fail until it is found."""

MIN_RATE = 10.0  # per second, of all servers: with less, HAProxy's rate of one second says little
MIN_JUDGED_RATE = 0.1
LONG_DETECTION_S = 1800.0  # what takes longer is found in few rollouts
LONGEST_S = 86_400.0  # what takes longer is found in none


@dataclass(frozen=True, slots=True)
class VerdictOutlook:
    """What the judgement will be able to find, in nine of ten cases.

    Attributes:
        requests_per_s: requests to each node now.
        base: the error rate of the old version; None when it is not known.
        m: the size of bursts of errors that is reckoned with.
        ratios: within how many seconds ratios of error rates are found.
        failed_requests: how many requests fail until a version on which 20 % fail is out; None: not found.
        least_ratio: smaller ratios are not looked for.
        watch: the verdict will only be shown.
        blind: why the new version will not be judged; empty if it will.
    """

    requests_per_s: float = 0.0
    base: float | None = None
    m: float = 0.0
    ratios: tuple[DetectableRatio, ...] = ()
    failed_requests: int | None = None
    least_ratio: float = 1.5
    watch: bool = False
    blind: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        if self.blind:
            return f"canary: {self.blind}"
        found = [_describe_ratio(found) for found in self._shown_ratios()]
        if self.failed_requests is not None:
            found.append(f"{100 * BAD_SHARE:.0f} % errors within {self.failed_requests:,} failed requests")
        if not found:
            return f"canary: at {_format_rate(self.requests_per_s)} hardly anything will be found"
        ending = f"; below {self.least_ratio:g}× it is not looked for" if self.least_ratio > 1 else ""
        shown = "canary (only shown)" if self.watch else "canary"
        return f"{shown}: at {_format_rate(self.requests_per_s)} per node, {', '.join(found)} (90 %){ending}"

    def _shown_ratios(self) -> list[DetectableRatio]:
        """Return the smallest ratio that can be found at all, and the next one that is found in time."""
        found = [ratio for ratio in self.ratios if ratio.duration_s <= LONGEST_S]
        return found[:1] + [ratio for ratio in found[1:] if ratio.duration_s <= LONG_DETECTION_S][:1]


def _describe_ratio(found: DetectableRatio) -> str:
    time = format_time_span(found.duration_s)
    rate = f"{found.ratio:g}× the errors"
    return f"{rate} within {time}" if found.duration_s <= LONG_DETECTION_S else f"{rate} would take {time}"


def _format_rate(requests_per_s: float) -> str:
    return f"{requests_per_s:.0f} rps" if requests_per_s >= 9.95 else f"{requests_per_s:.1f} rps"


@dataclass(slots=True)
class _Traffic:
    """What servers get, and have got since HAProxy began to count.

    Attributes:
        servers: how many get traffic.
        first: of these, those that get the new version first.
        sessions_per_s: sessions in the last second.
        mean_per_s: requests per second since HAProxy began to count.
        requests: requests since HAProxy began to count.
        errors: those that failed.
        long: whether any of them was counted for long enough to say what is normal.
        http: whether the errors of any are known.
    """

    servers: int = 0
    first: int = 0
    sessions_per_s: float = 0.0
    mean_per_s: float = 0.0
    requests: int = 0
    errors: int = 0
    long: bool = False
    http: bool = False

    @property
    def rate(self) -> float:
        """Requests per second now; at night the mean of the day says too much."""
        if self.sessions_per_s >= MIN_RATE:
            return self.sessions_per_s
        return min(self.mean_per_s, MIN_RATE)

    @property
    def base(self) -> float:
        """The error rate."""
        return estimate_rate(self.errors, self.requests)

    @property
    def normal_rate(self) -> float:
        """The error rate of before; where counters are young, an upper limit of it."""
        if self.long:
            return self.base
        return limit_rate(self.errors, self.requests)


def forecast_verdict(
    settings: CanarySettings,
    snapshots: Mapping[str, Snapshot],
    refs: Mapping[str, Collection[ServerRef]],
    first_batch: Collection[str],
    *,
    sticky: bool,
    calibrated_m: float | None = None,
) -> VerdictOutlook | None:
    """Return what the judgement will be able to find; None when there will be none.

    Args:
        settings: of the judgement.
        snapshots: the load balancers.
        refs: the servers of each node of the rollout.
        first_batch: the nodes that get the new version first.
        sticky: whether clients are tied to servers.
        calibrated_m: the size of bursts of errors that `rolldeck calibrate` has learned.
    """
    if settings.verdict == "off" or not first_batch:
        return None
    own = {ref for node in refs.values() for ref in node}
    first = {ref for name in first_batch for ref in refs.get(name, ())}
    traffic = _Traffic()
    for snapshot in snapshots.values():
        _add_traffic(traffic, snapshot, own, first)
    blind = _find_blindness(traffic)
    if blind:
        return VerdictOutlook(watch=settings.verdict == "watch", blind=blind)
    base = traffic.base if traffic.requests else None
    share = traffic.first / traffic.servers
    nodes = len(refs)
    m = settings.m or calibrated_m or predict_m(traffic.rate, base or 0.0, nodes, sticky=sticky)
    rates = Rates(
        new=traffic.rate * share,
        old=traffic.rate * (1 - share),
        base=base or 0.0,
        m=m,
        null_ratio=NULL_RATIO if traffic.long else NULL_RATIO_UNKNOWN,
        alpha=settings.alpha,
    )
    failed = count_failed_requests(BAD_SHARE, rates, traffic.normal_rate)
    return VerdictOutlook(
        requests_per_s=round(traffic.rate * share / len(first_batch), 1),
        base=base,
        m=round(m, 2),
        ratios=tuple(detect_ratios(rates)),
        failed_requests=round(failed) if isfinite(failed) else None,
        least_ratio=settings.ratio,
        watch=settings.verdict == "watch",
    )


def _find_blindness(traffic: _Traffic) -> str:
    """Return why the new version cannot be judged; empty if it can."""
    if not traffic.servers:
        return "no server gets requests, so that no version can be judged"
    if not traffic.http:
        return "in TCP mode, HAProxy does not count the errors that clients see: no version is judged by them"
    if traffic.rate < MIN_JUDGED_RATE:
        return "there are hardly any requests, so that no version can be judged"
    if traffic.first == traffic.servers:
        return "no server keeps the old version meanwhile, so that only the time before can be compared"
    return ""


def _add_traffic(
    traffic: _Traffic, snapshot: Snapshot, own: Collection[ServerRef], first: Collection[ServerRef]
) -> None:
    """Add the servers of the backends in which nodes of the rollout are."""
    backends = {(ref.instance, ref.backend) for ref in own}
    rows = {backend.name: backend.counters for backend in snapshot.backends}
    uptime_s = max(1.0, float(snapshot.info.uptime))
    columns = columns_of(snapshot.servers)
    for index, (backend, _) in enumerate(columns.names):
        if (snapshot.info.instance, backend) not in backends:
            continue
        server = snapshot.servers[index]
        if server.backup or not server.receives_traffic:
            continue
        signals = compute_all_signals(Sample(columns.counters[index], rows.get(backend)))
        traffic.servers += 1
        traffic.first += server.ref in first
        if signals.hard is None:
            continue
        traffic.http = True
        traffic.sessions_per_s += server.load.rate
        traffic.mean_per_s += signals.started / uptime_s
        traffic.requests += signals.started
        traffic.errors += signals.hard
        traffic.long |= uptime_s >= LONG_S
