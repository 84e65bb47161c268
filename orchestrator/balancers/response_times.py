"""The mean response time between two polls, recovered from HAProxy's average. Pure.

The column `rtime` is a sum divided by a number of responses, in whole milliseconds, rounded up. Until 512
responses the sum is exact; then each response takes 1/512 of it away before its own time is added. So an
average says little of the present: after a change it takes hundreds of responses to follow. But two of them,
and the number of responses between them, determine the mean of those, except for what rounding hides.

These are the responses that began, except informational ones (`req_tot` without `hrsp_1xx`): 5xx, those that
broke off, and those whose client had left are among them. Requests without a response are in no average, so
that a server that resets or times out looks no slower. A time is added when its response ends: very long ones
are missed at first. Measured on 2.2, 2.6, 3.0 and 3.2: `tests/integration/test_response_times.py`.
"""

from typing import NamedTuple

from backends.model import RequestCounters

EXACT_RESPONSES = 512
"""Responses up to which HAProxy's sum is exact, `TIME_STATS_SAMPLES` in its source."""

_DECAY = 1 - 1 / EXACT_RESPONSES
_CROSSING_MS = 10.0  # beyond rounding, when only the sum before was exact
_MAX_ERROR_MS, _MAX_ERROR_RATIO = 2.0, 0.1  # of a mean that is shown


class TimeReading(NamedTuple):
    """What one row of `show stat` says of response times.

    Attributes:
        average_ms: HAProxy's average; None before the first response, and in TCP mode.
        answered: responses that began, without informational ones, since HAProxy began to count.
        informational: informational responses, by which HAProxy divides too.
    """

    average_ms: int | None
    answered: int
    informational: int = 0

    @property
    def counted(self) -> int:
        """All responses that HAProxy has counted."""
        return self.answered + self.informational

    @property
    def is_exact(self) -> bool:
        """Whether the next response is added without taking anything away."""
        return self.counted < EXACT_RESPONSES

    @classmethod
    def of(cls, counters: RequestCounters, average_ms: int | None) -> "TimeReading":
        """Return the reading of a server: its counters, and its average in milliseconds."""
        return cls(average_ms if counters.http else None, counters.answered, counters.informational)


class RecoveredMean(NamedTuple):
    """The mean response time of some requests.

    Attributes:
        mean_ms: the mean; of more than about a hundred requests, later ones count more.
        error_ms: how far it can be off, by rounding and as only the sum before was exact.
        requests: how many there were.
    """

    mean_ms: float
    error_ms: float
    requests: int


def recover_mean(before: TimeReading, after: TimeReading) -> RecoveredMean | None:
    """Return the mean response time of the requests between two readings of one server.

    Returns:
        None without any, in TCP mode, when counters went back, and when only the sum before was exact: the
        mean would be off by several milliseconds.
    """
    is_crossing = before.is_exact and after.counted > EXACT_RESPONSES
    return None if is_crossing else estimate_mean(before, after)


def estimate_mean(before: TimeReading, after: TimeReading) -> RecoveredMean | None:
    """Return the same mean, and a rough one when only the sum before was exact.

    Returns:
        None without any requests, in TCP mode, and when counters went back.
    """
    requests = after.answered - before.answered
    if requests <= 0 or after.average_ms is None or after.informational < before.informational:
        return None
    average_before = before.average_ms or 0
    if not before.is_exact:
        kept = _DECAY**requests
        new = 1 - kept
        return RecoveredMean(max(0.0, (after.average_ms - average_before * kept) / new), 1 / new, requests)
    total_ms = after.average_ms * after.counted - average_before * before.counted
    error_ms = after.counted / requests + (_CROSSING_MS if after.counted > EXACT_RESPONSES else 0.0)
    return RecoveredMean(max(0.0, total_ms / requests), error_ms, requests)


class ResponseTime(NamedTuple):
    """A response time to show.

    Attributes:
        ms: milliseconds.
        is_recent: it is the mean of the requests of a few seconds; False: HAProxy's average, which follows a
            change only after hundreds of responses.
    """

    ms: int
    is_recent: bool


def choose_response_time(before: TimeReading | None, now: TimeReading) -> ResponseTime | None:
    """Return the recovered mean where rounding hides little of it, and else HAProxy's average.

    Args:
        before: some seconds ago; None: not known.
        now: the latest.

    Returns:
        None when neither is known.
    """
    mean = recover_mean(before, now) if before is not None else None
    if mean is not None and mean.error_ms <= max(_MAX_ERROR_MS, _MAX_ERROR_RATIO * mean.mean_ms):
        return ResponseTime(round(mean.mean_ms), is_recent=True)
    return ResponseTime(now.average_ms, is_recent=False) if now.average_ms is not None else None
