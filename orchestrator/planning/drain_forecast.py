"""How long a drain will take, from the ages of sessions and from earlier drains. Nothing here reads or waits.

In a steady state, the age of a session that is in flight now and the time that it still needs have the same
distribution. So R(t), the share of sessions that need longer than t, is known before the first drain: it is
the share of all sessions, on all servers of the backends, that are older than t. Earlier drains have shown
directly what remained after t. If n sessions end independently, all of them have ended by t with probability
(1 - R(t))^n.

R(t) itself is only known from N sessions. Those N and the n that drain are alike, so the probability that all
n end before the k-th shortest of the N is k(k + 1)...(k + n - 1) / ((N + 1)...(N + n)), whatever the
distribution. That is the mean of (1 - R)^n for a beta distribution of R, and it is what is used here: with
(1 - R)^n itself, intervals are too narrow. Beyond the longest session that was seen, the tail is exponential.

Little's law is no forecast: it gives the mean of one session, and a drain ends with the longest of many.
"""

import math
import sys
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

MIN_TAIL_S = 5.0  # scale of the exponential tail beyond the longest session that was seen, at least
TAIL_WEIGHT = 1.0  # sessions that may be longer than any of those that were seen
_HALVINGS = 60  # of an interval in which a root is searched
MAX_PIECES = 16  # into which the sessions that ended between two points of a curve are spread
MOST = 0.95  # of the sessions, which are gone long before the last one


@dataclass(frozen=True, slots=True)
class ResidualCurve:
    """How many sessions an earlier drain had left, without any that came meanwhile.

    Attributes:
        seconds: since the drain began, ascending from 0.
        left: the sessions at each of these times.
    """

    seconds: tuple[float, ...]
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DrainForecast:
    """When a drain will be over, in seconds from now.

    Attributes:
        low_s: it is over by then with a probability of 10 %.
        median_s: likewise with 50 %.
        high_s: likewise with 90 %.
        most_gone_s: by then, 95 % of its sessions have ended.
        busy_at_deadline: the probability that sessions remain at the deadline.
    """

    low_s: float
    median_s: float
    high_s: float
    most_gone_s: float
    busy_at_deadline: float


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The distribution R(t) of the time that a session still needs.

    It is a product-limit estimate (Kaplan and Meier): sessions that remained at the end of an earlier drain
    count as far as they were seen.

    Attributes:
        ages: how many sessions were in flight whose age was read.
        drains: how many earlier drains are in it.
    """

    ages: int = 0
    drains: int = 0
    _times: Sequence[float] = field(default=(), repr=False)  # ascending
    _weights: Sequence[float] = field(default=(), repr=False)  # longer sessions, at and after each time
    _total: float = TAIL_WEIGHT  # all sessions, the tail included

    @classmethod
    def estimate(cls, ages: Sequence[int], curves: Sequence[ResidualCurve] = ()) -> "Lifetimes":
        """Estimate R(t).

        Args:
            ages: the ages of all sessions in flight, in whole seconds as HAProxy rounds them down.
            curves: earlier drains.
        """
        ended: defaultdict[float, float] = defaultdict(float)
        unseen: defaultdict[float, float] = defaultdict(float)  # not followed to their end
        for age, count in Counter(ages).items():
            _spread(ended, age, age + 1, count)
        for curve in curves:
            _add_curve(ended, unseen, curve)
        at_risk = total = sum(ended.values()) + sum(unseen.values())
        if not total:
            return cls()
        times, weights, share = [], [], 1.0
        for time in sorted({*ended, *unseen}):
            share *= 1 - min(1.0, ended[time] / at_risk) if at_risk > 0 else 1.0
            at_risk -= ended[time] + unseen[time]
            times.append(time)
            weights.append(total * share + TAIL_WEIGHT)
        return cls(len(ages), len(curves), times, weights, total + TAIL_WEIGHT)

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return bool(self._times)

    def longer(self, seconds: float) -> float:
        """Return R(t): the share of sessions that need longer than that."""
        return self._weight(seconds) / self._total

    def forecast(self, sessions: int, *, deadline_s: float, elapsed_s: float = 0.0) -> DrainForecast:
        """Forecast a drain from now on.

        Args:
            sessions: how many are in flight now.
            deadline_s: when the drain is given up, in seconds from now.
            elapsed_s: for how long it has been draining.
        """
        low, median, high = (
            self.over_by(probability, sessions, elapsed_s=elapsed_s) - elapsed_s
            for probability in (0.1, 0.5, 0.9)
        )
        most_gone = self.over_by(MOST, 1, elapsed_s=elapsed_s) - elapsed_s if sessions else 0.0
        busy = self.busy(sessions, elapsed_s + max(0.0, deadline_s), elapsed_s=elapsed_s)
        return DrainForecast(low, median, high, min(most_gone, high), busy)

    def busy(self, sessions: int, at_s: float, *, elapsed_s: float = 0.0) -> float:
        """Return the probability that sessions remain so many seconds after the drain began.

        Args:
            sessions: how many there were after `elapsed_s`.
            at_s: the time.
            elapsed_s: a time before that.
        """
        return 1 - _all_ended(sessions, self._weight(max(at_s, elapsed_s)), self._weight(elapsed_s))

    def over_by(self, probability: float, sessions: int, *, elapsed_s: float = 0.0) -> float:
        """Return the seconds after the drain began by which it is over with this probability.

        Args:
            probability: above 0 and below 1.
            sessions: how many there were after `elapsed_s`.
            elapsed_s: the time at which they were counted; the result is never before.
        """
        if sessions <= 0:
            return elapsed_s
        total = self._weight(elapsed_s)
        at = bisect_left(
            self._weights, probability, key=lambda weight: _all_ended(sessions, min(weight, total), total)
        )
        if at < len(self._times):
            return max(elapsed_s, self._times[at])
        low, high = 0.0, min(self._tail, total)  # of the weight of the tail at that time
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if _all_ended(sessions, middle, total) >= probability:
                low = middle
            else:
                high = middle
        return max(
            elapsed_s, self._end + self._tail_scale * math.log(self._tail / max(low, sys.float_info.min))
        )

    def _weight(self, seconds: float) -> float:
        """Return how many of all sessions need longer than that."""
        if seconds >= self._end:
            return self._tail * math.exp((self._end - seconds) / self._tail_scale)
        place = bisect_right(self._times, seconds)
        return self._weights[place - 1] if place else self._total

    @property
    def _end(self) -> float:
        return self._times[-1] if self._times else 0.0

    @property
    def _tail(self) -> float:
        """The weight of what is longer than everything that was followed to its end."""
        return self._weights[-1] if self._weights else TAIL_WEIGHT

    @property
    def _tail_scale(self) -> float:
        return max(MIN_TAIL_S, self._end / 2)


def _all_ended(sessions: int, longer: float, total: float) -> float:
    """Return the probability that all sessions have ended, when so many of a total need longer."""
    if sessions <= 0:
        return 1.0
    shorter = total - longer
    if shorter <= 0:
        return 0.0
    logs = math.lgamma(shorter + sessions) - math.lgamma(shorter)
    return min(1.0, math.exp(logs + math.lgamma(total) - math.lgamma(total + sessions)))


def _spread(ended: defaultdict[float, float], begin: float, end: float, count: int) -> None:
    """Spread sessions that ended between two times evenly over that time."""
    pieces = min(count, MAX_PIECES)
    for piece in range(pieces):
        ended[begin + (end - begin) * (piece + 0.5) / pieces] += count / pieces


def _add_curve(
    ended: defaultdict[float, float], unseen: defaultdict[float, float], curve: ResidualCurve
) -> None:
    """Add the sessions of an earlier drain; where it had more than before, some had come meanwhile."""
    before_s, before = 0.0, curve.left[0] if curve.left else 0
    for seconds, left in zip(curve.seconds, curve.left, strict=True):
        if left > before:
            break
        if left < before:
            _spread(ended, before_s, seconds, before - left)
        before_s, before = seconds, left
    if before:
        unseen[before_s] += before
