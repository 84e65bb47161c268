"""The oracles of the evidence: what must not change it, and how rarely it is wrong."""

from math import exp, fsum
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.canary.evidence import PRIOR, RATIOS, EProcess, average

COUNTS = st.integers(0, 40)
WEIGHTS = st.floats(0.1, 1000)
BURSTS = st.floats(1, 20)


def _compare(
    *strata: tuple[float, float, float, float], null_ratio: float = 1.25, m: float = 1.0
) -> EProcess:
    process = EProcess()
    for errors, other_errors, weight, other_weight in strata:
        process.compare(errors, other_errors, (weight, other_weight), null_ratio, m)
    return process


def test_the_shares_of_the_alternatives_are_a_distribution() -> None:
    assert fsum(PRIOR) == pytest.approx(1)
    assert len(PRIOR) == len(RATIOS)
    assert EProcess().value == pytest.approx(1)


@given(st.lists(st.tuples(COUNTS, COUNTS, WEIGHTS, WEIGHTS), max_size=6), st.randoms(), BURSTS)
def test_the_order_of_strata_does_not_matter(
    strata: list[tuple[float, float, float, float]], random: Random, m: float
) -> None:
    shuffled = random.sample(strata, len(strata))
    assert _compare(*strata, m=m).logs == pytest.approx(_compare(*shuffled, m=m).logs)


@given(COUNTS, COUNTS, COUNTS, COUNTS, WEIGHTS, WEIGHTS, BURSTS)
def test_polls_with_the_same_shares_can_be_merged(
    errors: int, other_errors: int, more: int, more_others: int, weight: float, other_weight: float, m: float
) -> None:
    two = _compare(
        (errors, other_errors, weight, other_weight), (more, more_others, 2 * weight, 2 * other_weight), m=m
    )
    one = _compare((errors + more, other_errors + more_others, 3 * weight, 3 * other_weight), m=m)
    assert one.logs == pytest.approx(two.logs, abs=1e-9)


@given(COUNTS, WEIGHTS, WEIGHTS)
def test_without_errors_or_without_one_of_the_groups_nothing_changes(
    errors: int, weight: float, other_weight: float
) -> None:
    nothing = EProcess().logs
    assert _compare((0, 0, weight, other_weight)).logs == nothing
    assert _compare((0, errors, 0, other_weight)).logs == nothing
    assert _compare((errors, 0, weight, 0)).logs == nothing


@given(st.integers(1, 40), COUNTS, WEIGHTS, WEIGHTS, BURSTS, st.floats(0, 40))
def test_errors_that_are_not_counted_or_come_in_bursts_make_it_weaker(
    errors: int, other_errors: int, weight: float, other_weight: float, m: float, cap: float
) -> None:
    plain = _compare((errors, other_errors, weight, other_weight))
    capped = _compare((min(errors, cap), other_errors, weight, other_weight))
    assert all(low <= high + 1e-9 for low, high in zip(capped.logs, plain.logs, strict=True))
    tempered = _compare((errors, other_errors, weight, other_weight), m=m)
    for low, high in zip(tempered.logs, plain.logs, strict=True):
        assert abs(low) <= abs(high) + 1e-9
        assert low * high >= 0


@given(COUNTS, COUNTS, WEIGHTS, WEIGHTS)
def test_a_larger_ratio_that_is_still_as_good_makes_it_weaker(
    errors: int, other_errors: int, weight: float, other_weight: float
) -> None:
    stratum = (errors, other_errors, weight, other_weight)
    # Only if the new version's share is above its expectation, as otherwise nothing speaks against it.
    if errors * other_weight >= 2 * other_errors * weight:
        assert (
            _compare(stratum, null_ratio=1.5).log_value <= _compare(stratum, null_ratio=1.25).log_value + 1e-9
        )


@given(COUNTS, st.floats(0.001, 1000))
def test_errors_as_expected_are_no_evidence(errors: int, expected: float) -> None:
    process = EProcess()
    process.expect(errors, expected, 1.0)
    if errors <= expected:
        assert process.log_value <= 1e-9


def test_the_mean_of_e_values_counts_those_that_have_not_begun() -> None:
    strong = EProcess([10.0] * len(RATIOS))
    assert exp(average([strong], 4)) == pytest.approx((exp(10) + 3) / 4)
    assert average([], 4) == 0


def test_the_value_is_always_finite() -> None:
    assert EProcess([10_000.0] * len(RATIOS)).value < float("inf")
    assert EProcess([-10_000.0] * len(RATIOS)).value == 0


@pytest.mark.parametrize("m", [1.0, 3.0])
def test_it_averages_one_at_most_and_rarely_reaches_a_thousand_when_nothing_is_wrong(m: float) -> None:
    """1,000 rollouts of 40 strata; errors come in bursts of m, and the new version is at the limit."""
    random = Random(20261129)  # noqa: S311 - a simulation
    total, crossed = 0.0, 0
    for _ in range(1000):
        process, highest = EProcess(), 0.0
        for _ in range(40):
            weight, other_weight = random.uniform(5, 40), random.uniform(20, 120)
            share = 1.25 * weight / (1.25 * weight + other_weight)
            bursts = sum(random.random() < 0.5 for _ in range(4))
            own = sum(random.random() < share for _ in range(bursts))
            process.compare(own * m, (bursts - own) * m, (weight, other_weight), 1.25, m)
            highest = max(highest, process.log_value)
        total += process.value
        crossed += highest >= 6.9
    assert total / 1000 <= 1
    assert crossed <= 1
