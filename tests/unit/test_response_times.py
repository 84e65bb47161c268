"""Mean response times that are recovered from HAProxy's averages, against a model of these."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.model import RequestCounters
from orchestrator.balancers.response_times import (
    EXACT_RESPONSES,
    RecoveredMean,
    TimeReading,
    estimate_mean,
    recover_mean,
)

DECAY = 1 - 1 / EXACT_RESPONSES


class Average:
    """`swrate_add_dynamic` and `swrate_avg` in HAProxy's `freq_ctr.h`."""

    def __init__(self) -> None:
        self.sum = self.count = 0

    def add(self, *times_ms: int) -> TimeReading:
        for time_ms in times_ms:
            self.count += 1
            if self.count > EXACT_RESPONSES:
                self.sum -= -(-self.sum // EXACT_RESPONSES)
            self.sum += time_ms
        return self.read()

    def read(self) -> TimeReading:
        return TimeReading(
            -(-self.sum // min(self.count, EXACT_RESPONSES)) if self.count else None, self.count
        )


def recover(before: TimeReading, after: TimeReading) -> RecoveredMean:
    mean = recover_mean(before, after)
    assert mean is not None
    return mean


milliseconds = st.integers(0, 30_000)


@given(
    earlier=st.lists(milliseconds, max_size=40),
    repeated=st.integers(13, 40),
    now=st.lists(milliseconds, min_size=1),
)
def test_after_512_responses_the_error_is_that_of_rounding(
    earlier: list[int], repeated: int, now: list[int]
) -> None:
    average = Average()
    before = average.add(*(earlier or [7]) * repeated * 40)
    if before.answered < EXACT_RESPONSES:
        before = average.add(*[9] * EXACT_RESPONSES)
    mean = recover(before, average.add(*now))
    weights = [DECAY ** (len(now) - 1 - index) for index in range(len(now))]
    weighted = sum(weight * time_ms for weight, time_ms in zip(weights, now, strict=True)) / sum(weights)
    assert mean.requests == len(now)
    assert mean.error_ms == pytest.approx(1 / (1 - DECAY ** len(now)))
    assert abs(mean.mean_ms - weighted) <= mean.error_ms * (1 + 1e-9)


@given(earlier=st.lists(milliseconds, max_size=256), now=st.lists(milliseconds, min_size=1, max_size=256))
def test_until_512_responses_the_sum_is_exact(earlier: list[int], now: list[int]) -> None:
    average = Average()
    before = average.add(*earlier)
    mean = recover(before, average.add(*now))
    assert abs(mean.mean_ms - sum(now) / len(now)) <= mean.error_ms == (len(earlier) + len(now)) / len(now)


def test_a_change_shows_at_once_where_the_average_takes_hundreds_of_responses() -> None:
    average = Average()
    before = average.add(*[5] * 2_000)
    after = average.add(*[305] * 40)
    assert after.average_ms == 28
    assert recover(before, after).mean_ms == pytest.approx(305, abs=14)


def test_what_cannot_be_recovered() -> None:
    average = Average()
    before = average.add(*[10] * 500)
    assert recover_mean(before, before) is None
    assert recover_mean(before, average.add(*[10] * 20)) is None  # across the change of HAProxy's method
    assert recover_mean(average.read(), before) is None  # counters went back
    tcp = RequestCounters(answered=20, http=False)
    assert recover_mean(TimeReading(None, 0), TimeReading.of(tcp, 0)) is None


@given(earlier=st.integers(1, 511), now=st.integers(2, 600), time_ms=st.integers(0, 300))
def test_a_mean_across_the_change_of_method_is_estimated(earlier: int, now: int, time_ms: int) -> None:
    average = Average()
    before = average.add(*[time_ms] * earlier)
    mean = estimate_mean(before, average.add(*[time_ms] * max(now, EXACT_RESPONSES + 1 - earlier)))
    assert mean is not None
    assert abs(mean.mean_ms - time_ms) <= mean.error_ms


def test_informational_responses_count_in_the_divisor() -> None:
    # 200 responses of 30 ms with 100 early hints: HAProxy divides by 300.
    mean = recover(TimeReading(None, 0), TimeReading(20, 200, 100))
    assert mean.mean_ms == pytest.approx(30)
