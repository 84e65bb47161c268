"""Forecasts of a drain: what must hold for any sessions, and how often they are right."""

from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.planning.drain_forecast import Lifetimes, ResidualCurve
from tests.support.synthetic_drains import MIXES, forecast_drain

ages = st.lists(st.integers(0, 5_000), max_size=60)


@st.composite
def curves(draw: st.DrawFn) -> ResidualCurve:
    """Mostly what a drain shows; sometimes sessions come back."""
    left = draw(st.lists(st.integers(0, 40), min_size=1, max_size=12))
    if draw(st.booleans()):
        left.sort(reverse=True)
    steps = draw(st.lists(st.floats(0.1, 60), min_size=len(left) - 1, max_size=len(left) - 1))
    seconds = [0.0]
    for step in steps:
        seconds.append(seconds[-1] + step)
    return ResidualCurve(tuple(seconds), tuple(left))


known = st.builds(Lifetimes.estimate, ages, st.lists(curves(), max_size=4)).filter(lambda found: found.known)
elapsed = st.floats(0, 1_000)
few = st.integers(0, 300)


@given(known, few, few, elapsed, st.floats(0, 2_000))
def test_more_sessions_never_end_earlier(
    lifetimes: Lifetimes, fewer: int, more: int, elapsed_s: float, after_s: float
) -> None:
    fewer, more = sorted((fewer, more))
    at_s = elapsed_s + after_s
    slack = 1e-9
    assert (
        lifetimes.busy(fewer, at_s, elapsed_s=elapsed_s)
        <= lifetimes.busy(more, at_s, elapsed_s=elapsed_s) + slack
    )
    for probability in (0.1, 0.5, 0.9):
        early = lifetimes.over_by(probability, fewer, elapsed_s=elapsed_s)
        assert early <= lifetimes.over_by(probability, more, elapsed_s=elapsed_s) + 1e-6 * (1 + early)


@given(known, few, elapsed)
def test_a_forecast_is_never_before_the_moment_in_which_it_is_made(
    lifetimes: Lifetimes, sessions: int, elapsed_s: float
) -> None:
    found = lifetimes.forecast(sessions, deadline_s=300, elapsed_s=elapsed_s)
    assert 0 <= found.low_s <= found.median_s <= found.high_s
    assert 0 <= found.most_gone_s <= found.high_s
    assert 0 <= found.busy_at_deadline <= 1
    assert (found.high_s == 0) == (sessions == 0)


@given(known, st.floats(0, 10_000), st.floats(0, 10_000))
def test_the_share_of_longer_sessions_only_falls(lifetimes: Lifetimes, one: float, other: float) -> None:
    one, other = sorted((one, other))
    assert 0 <= lifetimes.longer(other) <= lifetimes.longer(one) <= 1


@given(known, st.integers(1, 100), elapsed)
def test_probability_and_time_agree(lifetimes: Lifetimes, sessions: int, elapsed_s: float) -> None:
    """By the time at which it is over with 50 %, it is busy with at most 50 %."""
    median = lifetimes.over_by(0.5, sessions, elapsed_s=elapsed_s)
    assert lifetimes.busy(sessions, median, elapsed_s=elapsed_s) <= 0.5 + 1e-6


def test_without_anything_nothing_is_known() -> None:
    assert not Lifetimes.estimate([]).known
    assert not Lifetimes.estimate([], [ResidualCurve((0.0,), (0,))]).known
    assert not Lifetimes.estimate([], [ResidualCurve((), ())]).known


def test_ages_and_residuals_of_the_same_service_say_the_same() -> None:
    """Hidden ages change the source, and not the forecast: in a steady state both have one distribution."""
    left = [20 - number // 5 for number in range(100)]
    curve = ResidualCurve(tuple(map(float, range(101))), (*left, 0))
    seen = Lifetimes.estimate([], [curve])
    mirrored = Lifetimes.estimate([5 * number for number in range(1, 20)] + [100])
    for sessions in (1, 5, 20):
        one, other = (found.forecast(sessions, deadline_s=300) for found in (seen, mirrored))
        assert one.median_s == pytest.approx(other.median_s, abs=8)
        assert one.high_s == pytest.approx(other.high_s, rel=0.3)


def test_sessions_that_outlasted_a_drain_count_as_far_as_they_were_seen() -> None:
    cut = ResidualCurve((0.0, 10.0, 300.0), (10, 5, 5))
    lifetimes = Lifetimes.estimate([], [cut])
    assert lifetimes.longer(299) == pytest.approx(0.5, abs=0.1)
    assert lifetimes.busy(10, 300) > 0.9
    assert lifetimes.busy(1, 300) == pytest.approx(0.5, abs=0.1)


def test_sessions_that_came_meanwhile_end_the_use_of_a_curve() -> None:
    refilled = ResidualCurve((0.0, 5.0, 10.0, 15.0), (4, 2, 6, 0))
    assert Lifetimes.estimate([], [refilled]).longer(5) == pytest.approx(0.6)


def test_the_end_of_many_is_the_end_of_the_longest() -> None:
    """One report of 60 s among a hundred short requests decides about the drain."""
    lifetimes = Lifetimes.estimate([0] * 95 + [20, 30, 40, 50, 60])
    assert lifetimes.forecast(100, deadline_s=300).median_s > 40
    assert lifetimes.forecast(100, deadline_s=300).most_gone_s <= 21
    assert lifetimes.forecast(1, deadline_s=300).median_s < 1


def test_five_hundred_drains_end_within_the_interval_as_often_as_they_should() -> None:
    """Of the 80 % interval, 70 to 100 % of the true ends are inside, for each kind of service."""
    random = Random(15)  # noqa: S311 - a simulation
    for name, kinds in MIXES.items():
        drains = (forecast_drain(kinds, random, ages=True, earlier=0) for _ in range(125))
        found = [outcome for outcome in drains if outcome is not None]
        assert 0.7 <= fmean(outcome.inside for outcome in found) <= 1, name
        said = fmean(outcome.forecast.busy_at_deadline for outcome in found)
        assert said == pytest.approx(fmean(outcome.busy for outcome in found), abs=0.15), name
