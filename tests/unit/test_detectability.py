"""How soon a judgement finds what: the formulas against simulations, and what the plan says."""

import json
from typing import Any

import click
import msgspec
import pytest

from console.terminal import rollout_text
from orchestrator.canary.detectability import (
    Rates,
    count_failed_requests,
    detect_ratio,
    detect_ratios,
    exclude_rate,
    predict_m,
)
from orchestrator.planning.plan import Plan
from orchestrator.planning.plan_json import encode_plan
from tests.support.fake_fleet import World


@pytest.mark.parametrize(
    ("ratio", "nodes", "rps", "base", "m", "simulated_s"),
    [
        (2, 4, 40, 0.01, 1.25, 213),
        (2, 10, 40, 0.01, 1.25, 163),
        (2, 4, 200, 0.01, 1.25, 43),
        (3, 4, 40, 0.01, 1.25, 53),
        (5, 4, 40, 0.01, 1.25, 16),
        (3, 4, 40, 0.001, 1.6, 703),
        (5, 4, 40, 0.001, 1.6, 214),
    ],
)
def test_medians_are_as_simulated(
    ratio: float, nodes: int, rps: float, base: float, m: float, simulated_s: float
) -> None:
    rates = Rates(rps, rps * (nodes - 1), base, m)
    assert detect_ratio(ratio, rates) == pytest.approx(simulated_s, rel=0.08)


@pytest.mark.parametrize(
    ("nodes", "rps", "simulated"),
    [(4, 40, 27), (4, 75, 38), (4, 200, 74), (2, 40, 55), (2, 75, 72), (10, 40, 17)],
)
def test_failed_requests_are_about_as_simulated(nodes: int, rps: float, simulated: float) -> None:
    rates = Rates(rps, rps * (nodes - 1), 1e-4, 5.0)
    assert count_failed_requests(0.2, rates, rates.base) == pytest.approx(simulated, rel=0.42)


def test_what_cannot_be_compared_is_never_found() -> None:
    for rates in (Rates(0, 40, 0.01, 5), Rates(40, 0, 0.01, 5), Rates(40, 40, 0, 5)):
        assert detect_ratios(rates) == []
    assert count_failed_requests(0.2, Rates(40, 0, 0.01, 5), 0.01) == float("inf")


def test_the_rate_that_is_excluded() -> None:
    assert exclude_rate(0, 1240) == pytest.approx(0.0058, abs=0.0001)
    assert exclude_rate(0, 0) is None
    assert exclude_rate(7, 7) is None
    assert 0.9 < (exclude_rate(0, 1) or 0) < 1
    rates = [exclude_rate(errors, 100) or 0.0 for errors in range(100)]
    assert rates == sorted(rates)
    assert all(rate > errors / 100 for errors, rate in enumerate(rates))


def test_m_is_predicted_from_how_many_seconds_have_errors() -> None:
    assert predict_m(160, 0.01, 4, sticky=False) == 1.25
    assert predict_m(160, 0.001, 4, sticky=False) == pytest.approx(1.55, abs=0.01)
    assert predict_m(160, 0.0001, 4, sticky=False) == 5
    assert predict_m(160, 0.0001, 4, sticky=True) == 10


def _world(errors: int = 144, rate: float = 160.0, age_s: int = 3600, **options: Any) -> World:
    world = World(nodes=4, instances=1, **options)
    balancer = world.balancers["lb1"]
    balancer.age_s = age_s
    balancer.carry(16, rate, rate_max=200)
    for server in balancer.servers.values():
        server.requests, server.errors_5xx = 143_856, errors
    return world


def _line(plan: Plan) -> str:
    lines = [click.unstyle(line) for line in rollout_text.plan_lines(plan)]
    return next((line for line in lines if line.startswith("canary")), "")


@pytest.mark.virtual_time
async def test_the_plan_says_what_would_be_found() -> None:
    plan = await _world(errors=1440).plan()
    assert _line(plan) == (
        "canary: at 40 rps per node, 2× the errors within 6 min 29 s, 3× the errors within 1 min 31 s,"
        " 20 % errors within 52 failed requests (90 %); below 1.5× it is not looked for"
    )
    verdict = json.loads(msgspec.json.encode(encode_plan(plan)))["verdict"]
    assert [found["ratio"] for found in verdict["ratios"]] == [2, 3, 5]
    assert verdict["failed_requests"] == 52


@pytest.mark.virtual_time
async def test_what_takes_long_is_said_with_the_smallest_ratio() -> None:
    plan = await _world().plan()
    assert _line(plan).startswith("canary: at 40 rps per node, 2× the errors would take 1 h ")
    assert ", 3× the errors within 18 min" in _line(plan)


@pytest.mark.virtual_time
async def test_without_requests_nothing_can_be_judged() -> None:
    plan = await World(nodes=4, instances=1).plan()
    assert _line(plan) == "canary: there are hardly any requests, so that no version can be judged"


@pytest.mark.virtual_time
async def test_tcp_mode_is_blind() -> None:
    world = _world()
    for server in world.balancers["lb1"].servers.values():
        server.http = False
    assert _line(await world.plan()).startswith("canary: in TCP mode, HAProxy does not count the errors")


@pytest.mark.virtual_time
async def test_without_a_peer_only_the_time_before_can_be_compared() -> None:
    plan = await _world(serial=4, min_available=0).plan()
    assert _line(plan).startswith("canary: no server keeps the old version meanwhile")
