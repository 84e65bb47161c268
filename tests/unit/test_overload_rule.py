"""When servers that carry the load of others are said to fall behind."""

import math
import random

import pytest

from orchestrator.planning.load_forecast import forecast_loads
from orchestrator.planning.overload import Expectation, OverloadRule, Reading, build_expectations
from tests.support.loads import loaded, refs, snapshot, snapshots


def rule(sessions: float = 14, limit: int | None = None, error_share: float = 0.0) -> OverloadRule:
    return OverloadRule(Expectation("shop", 3, 4, sessions, limit, error_share))


def test_three_polls_running_say_it_with_numbers() -> None:
    judged = rule()
    assert [judged.add(Reading(41, 0)) for _ in range(3)] == [
        "",
        "",
        "3 of 4 servers cannot carry it: 41 sessions where 14 were expected",
    ]
    assert judged.describe(Reading(41, 0)) == "41 sessions, 14 were expected"
    assert judged.add(Reading(14, 0)) == ""
    assert judged.add(Reading(41, 0)) == ""


@pytest.mark.parametrize(
    ("sessions", "expected", "over"),
    [(41, 14, True), (34, 14, False), (36, 14, False), (38, 14, True), (6, 0, True), (5, 0, False)],
)
def test_small_numbers_need_more_than_a_factor(sessions: int, expected: float, over: bool) -> None:
    judged = rule(expected)
    assert bool([judged.add(Reading(sessions, 0)) for _ in range(3)][-1]) is over


def test_a_queue_beyond_chance() -> None:
    judged = rule(limit=16)
    assert not any(judged.add(Reading(16, 4)) for _ in range(9))
    assert [judged.add(Reading(16, 5)) for _ in range(3)][-1] == (
        "3 of 4 servers cannot carry it: 5 requests wait in the queue"
    )


def test_errors_are_compared_with_what_was_usual() -> None:
    judged = rule(error_share=0.01)
    assert not any(judged.add(Reading(14, 0, requests=1000, errors=25)) for _ in range(5))
    assert [judged.add(Reading(14, 0, requests=1000, errors=40)) for _ in range(3)][-1] == (
        "3 of 4 servers cannot carry it: 40 of 1000 requests failed where 10 were expected"
    )


def test_load_balancers_are_expected_together() -> None:
    first = [loaded(f"web{n}", sessions=6, limit=10) for n in range(1, 5)]
    second = [loaded(f"web{n}", instance="lb2", sessions=3, limit=20) for n in range(1, 5)]
    leaving = refs("web1") | refs("web1", instance="lb2")
    forecasts = forecast_loads(snapshots(snapshot(*first), snapshot(*second)), leaving)
    assert build_expectations(forecasts, 0.1) == {"shop": Expectation("shop", 3, 4, 36.0, 90, 0.1)}
    unlimited = [loaded(f"web{n}", instance="lb2", sessions=3) for n in range(1, 5)]
    forecasts = forecast_loads(snapshots(snapshot(*first), snapshot(*unlimited)), leaving)
    assert build_expectations(forecasts)["shop"].limit is None


def simulate(cores: int, utilization: float, rng: random.Random, seconds: int = 30) -> int | None:
    """Three servers with so many cores after a fourth has left; return after how many seconds it is said."""
    service_s, step_s = 0.05 * cores, 0.01
    rate = utilization * cores / service_s
    queues = [0, 0, 0]
    before: list[int] = []
    judged: OverloadRule | None = None
    for number in range(int((15 + seconds) / step_s)):
        at = number * step_s - 15
        own = rate if at >= 0 else rate * 3 / 4
        for index, queue in enumerate(queues):
            done = sum(rng.random() < 1 - math.exp(-step_s / service_s) for _ in range(min(queue, cores)))
            arrived = sum(rng.random() < own * step_s / 8 for _ in range(8))
            queues[index] = queue + arrived - done
        if number % 100:
            continue
        if at < 0:
            before.append(sum(queues))
            continue
        judged = judged or rule(sum(before[-10:]) / 10 * 4 / 3)
        if judged.add(Reading(sum(queues), 0)):
            return round(at)
    return None


@pytest.mark.long
@pytest.mark.parametrize(
    ("cores", "utilization", "at_least", "at_most"),
    [(4, 0.6, 0, 0.02), (4, 1.2, 0.97, 1), (4, 1.5, 0.97, 1), (16, 0.8, 0, 0.05), (16, 1.2, 0.95, 1)],
)
def test_overload_is_seen_and_nothing_else(
    cores: int, utilization: float, at_least: float, at_most: float
) -> None:
    """At 60 % it was never said in 400 runs, at 120 % always."""
    rng = random.Random(2)  # noqa: S311 - a simulation
    runs = 60
    seen = sum(simulate(cores, utilization, rng) is not None for _ in range(runs)) / runs
    assert at_least <= seen <= at_most
