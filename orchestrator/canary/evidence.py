"""Evidence that does not lose its meaning by being looked at: e-processes. Pure.

Under the null hypothesis an e-process reaches 1/p, at any time, with a probability of at most p (Ville's
inequality). So it may be read after each poll, for as long as a rollout takes, without a correction.

This one is a mixture of likelihood ratios over a grid of alternatives, "errors are r times as frequent", each
raised to the power 1/m: where errors come in bursts of at most m, that keeps it an e-process (Jensen's
inequality), and makes m errors speak like one. `docs/canary.md` explains the method.
"""

from collections.abc import Iterable
from math import exp, log

RATIOS = (2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
"""The alternatives."""

PRIOR = (0.25, 0.2, 0.15, 0.15, 0.1, 0.1, 0.05)
"""The share of the mixture that each alternative has at the beginning."""

_SUSPICION, _SUSPICION_OF_MANY = log(20), log(10)
_MANY_BURSTS = 3.0  # of size m

_LOG_PRIOR = tuple(map(log, PRIOR))
_LARGEST_LOG = 690.0  # its exponential is still a finite float


class EProcess:
    """A mixture of likelihood ratios.

    Attributes:
        logs: natural logarithms of the likelihood ratios, in the order of `RATIOS`.
    """

    __slots__ = ("logs",)

    def __init__(self, logs: Iterable[float] = ()) -> None:
        self.logs = list(logs) or [0.0] * len(RATIOS)

    def compare(
        self, errors: float, other_errors: float, weights: tuple[float, float], null_ratio: float, m: float
    ) -> None:
        """Add the errors of both groups in one stratum.

        Given the sum of errors, those of the new version are binomial: what makes errors more frequent for
        all servers at once cancels out. The null hypothesis is that the error rate of the new version is at
        most `null_ratio` times the other one.

        Args:
            errors: errors of the new version; may be capped.
            other_errors: errors of the others.
            weights: what each group got, in requests times the own error rate of their servers.
            null_ratio: the largest ratio of error rates that is still as good.
            m: the size of bursts.
        """
        total = errors + other_errors
        weight, other_weight = weights
        if not (total and weight > 0 and other_weight > 0):
            return
        null_sum = null_ratio * weight + other_weight
        logs = self.logs
        for index, ratio in enumerate(RATIOS):
            gain = errors * log(ratio / null_ratio) + total * log(null_sum / (ratio * weight + other_weight))
            logs[index] += gain / m

    def expect(self, errors: float, expected: float, m: float) -> None:
        """Add errors where a Poisson number with a mean of at most `expected` is the null hypothesis."""
        logs = self.logs
        for index, ratio in enumerate(RATIOS):
            logs[index] += (errors * log(ratio) - expected * (ratio - 1)) / m

    @property
    def log_value(self) -> float:
        """The natural logarithm of the e-value."""
        terms = [value + share for value, share in zip(self.logs, _LOG_PRIOR, strict=True)]
        largest = max(terms)
        return largest + log(sum(exp(term - largest) for term in terms))

    @property
    def value(self) -> float:
        """The e-value, as a finite number."""
        return exp(min(self.log_value, _LARGEST_LOG))


def is_suspicious(log_value: float, errors: float, m: float) -> bool:
    """Return whether evidence is enough where other evidence is proof.

    Args:
        log_value: the logarithm of the e-value.
        errors: how many errors it comes from, as they count.
        m: the size of bursts: where more than two explain the errors, less evidence is enough.
    """
    return log_value >= (_SUSPICION_OF_MANY if errors >= _MANY_BURSTS * m else _SUSPICION)


def average(processes: Iterable[EProcess], count: int) -> float:
    """Return the logarithm of the mean of e-values. It is an e-value too, however they depend on each other.

    Args:
        processes: those that have begun.
        count: how many there are with those that have not begun, whose e-value is 1.
    """
    logs = [process.log_value for process in processes]
    if not logs:
        return 0.0
    largest = max(*logs, 0.0)
    idle = max(0, count - len(logs)) * exp(-largest)
    return largest + log((sum(exp(value - largest) for value in logs) + idle) / max(count, len(logs)))
