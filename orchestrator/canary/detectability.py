"""What a judgement can find, and how soon: said before a rollout, and while nothing was found. Pure.

These are approximations; `make bench-canary` compares them with simulations.
"""

from dataclasses import dataclass
from math import expm1, inf, lgamma, log, log1p, pi

from orchestrator.canary.bursts import limit_errors
from orchestrator.canary.evidence import PRIOR, RATIOS, EProcess, is_suspicious
from orchestrator.canary.history import LEAST_DF, UNLEARNED_M, UNLEARNED_STICKY_M, limit_m
from orchestrator.canary.normality import LEAST_RATE, NORMAL_RATIO
from orchestrator.canary.poll import FAST_INTERVAL_S
from orchestrator.events.judgement import DetectableRatio

SHOWN_RATIOS = (2.0, 3.0, 5.0)
_TO_90_PERCENT = 1.75  # of simulated medians; 1.6 to 2.1
_EXCLUDED = 20.0  # an e-value that excludes at 95 %
_FAILED_TO_90_PERCENT = 1.3  # likewise of failed requests
_LEAST_SECONDS = 1.25  # errors must be in two different seconds
_MOST_POLLS = 2400
_LEARNING_S = 60.0  # before the first node is back


@dataclass(frozen=True, slots=True)
class Rates:
    """What the judgement has to work with.

    Attributes:
        new: requests per second to the new version.
        old: likewise to the old version.
        base: the error rate of the old version.
        m: the size of bursts that is reckoned with.
        null_ratio: the largest ratio of error rates that is still as good.
        alpha: the probability of stopping a version that is as good.
    """

    new: float
    old: float
    base: float
    m: float
    null_ratio: float = 1.25
    alpha: float = 0.001


def detect_ratio(ratio: float, rates: Rates) -> float:
    """Return in how many seconds a ratio of error rates is found, in half of all cases; infinity: never."""
    if ratio <= rates.null_ratio or not (rates.new > 0 and rates.old > 0 and rates.base > 0):
        return inf
    share = ratio * rates.new / (ratio * rates.new + rates.old)
    null_share = rates.null_ratio * rates.new / (rates.null_ratio * rates.new + rates.old)
    divergence = share * log(share / null_share) + (1 - share) * log((1 - share) / (1 - null_share))
    errors_per_s = rates.base * (ratio * rates.new + rates.old)
    prior = dict(zip(RATIOS, PRIOR, strict=True))[min(RATIOS, key=lambda found: abs(log(found / ratio)))]
    return log(2 / rates.alpha / prior) * rates.m / (errors_per_s * divergence)


def detect_ratios(rates: Rates) -> list[DetectableRatio]:
    """Return in how many seconds ratios are found in nine of ten cases, without those that never are."""
    found = [(ratio, _TO_90_PERCENT * detect_ratio(ratio, rates)) for ratio in SHOWN_RATIOS]
    return [
        DetectableRatio(ratio=ratio, duration_s=round(duration_s, 1))
        for ratio, duration_s in found
        if duration_s < inf
    ]


def count_failed_requests(share: float, rates: Rates, normal_rate: float) -> float:
    """Return how many requests fail until a version is out, in nine of ten cases; infinity: it is not found.

    Args:
        share: the share of requests that fail on it, beside what fails on the old version.
        rates: what the judgement has to work with.
        normal_rate: the error rate of before or, where counters are young, an upper limit of it.
    """
    failed_per_s = (share + rates.base) * rates.new
    expected = rates.null_ratio * rates.base * rates.new
    counted = min(failed_per_s, limit_errors(rates.m, expected)) * FAST_INTERVAL_S  # in a poll
    weights = (rates.new * FAST_INTERVAL_S, rates.old * FAST_INTERVAL_S)
    normal = NORMAL_RATIO * max(normal_rate, LEAST_RATE) * weights[0]
    proof = log(2 / rates.alpha)
    at_the_same_time, than_before = EProcess(), EProcess()
    for number in range(1, _MOST_POLLS + 1):
        at_the_same_time.compare(counted, rates.base * weights[1], weights, rates.null_ratio, rates.m)
        than_before.expect(counted, normal, rates.m)
        value = at_the_same_time.log_value
        suspicious = is_suspicious(value, number * counted, rates.m) and than_before.log_value >= proof
        if (value >= proof or suspicious) and number * FAST_INTERVAL_S >= _LEAST_SECONDS:
            return _FAILED_TO_90_PERCENT * failed_per_s * (number + 1) * FAST_INTERVAL_S
    return inf


def predict_m(requests_per_s: float, base: float, nodes: int, *, sticky: bool) -> float:
    """Return the size of bursts that will be reckoned with if errors come alone.

    Args:
        requests_per_s: requests to all nodes.
        base: their error rate.
        nodes: how many there are.
        sticky: clients are tied to servers.
    """
    seconds_with_errors = _LEARNING_S * -expm1(-requests_per_s * base)
    df = (nodes - 1) * seconds_with_errors
    if df < LEAST_DF:
        return UNLEARNED_STICKY_M if sticky else UNLEARNED_M
    return limit_m(1.0, df)


def exclude_rate(errors: int, requests: int) -> float | None:
    """Return the smallest error rate that is excluded at 95 %, at any time; None: nothing is excluded.

    With Jeffreys' prior: the smallest p with B(x + ½, n - x + ½) / π ≥ 20 · pˣ · (1 - p)ⁿ⁻ˣ, for p > x/n.
    """
    successes = requests - errors
    if requests <= 0 or successes <= 0:
        return None
    mixture = lgamma(errors + 0.5) + lgamma(successes + 0.5) - lgamma(requests + 1.0) - log(pi)
    low, high = errors / requests, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        likelihood = (errors * log(middle) if errors else 0.0) + successes * log1p(-middle)
        if mixture - likelihood >= log(_EXCLUDED):
            high = middle
        else:
            low = middle
    return high
