"""The plan says what remains in rotation would carry, refuses what it cannot, and cuts batches by it."""

import json
from typing import Any

import click
import msgspec
import pytest

from console.terminal import rollout_text
from orchestrator.planning.findings import Severity
from orchestrator.planning.plan import Plan, batch_numbers_text, describe_batch
from orchestrator.planning.plan_json import encode_plan
from orchestrator.preflight.preflight import preflight
from tests.support.fake_fleet import World


def carrying(sessions: int, rate: float, limit: int | None = None, **options: Any) -> World:
    """Four nodes behind one HAProxy that is a day old, with this traffic."""
    past = {"rate_max": options.pop("rate_max", 0), "sessions_max": options.pop("sessions_max", 99)}
    world = World(nodes=4, instances=1, **options)
    balancer = world.balancers["lb1"]
    balancer.age_s = 86_400
    balancer.carry(sessions, rate, limit, **past)
    return world


def errors(plan: Plan) -> list[str]:
    return [f"{finding.subject}: {finding.text}" for finding in plan.errors]


@pytest.mark.virtual_time
async def test_the_plan_has_a_line_for_batches_with_the_same_load() -> None:
    plan = await carrying(16, 152, rate_max=94).plan()
    lines = [click.unstyle(line) for line in rollout_text.plan_lines(plan)]
    assert lines[-2:] == [
        "BATCH  LOAD OF WHAT STAYS",
        "1-4    lb1 shop: 38 → 51 rps per server (+33 %; carried 62 before: proven)",
    ]
    assert describe_batch(plan, 1) == (
        "shop on lb1: in rotation 4 → 3, floor 1;"
        " lb1 shop: 38 → 51 rps per server (+33 %; carried 62 before: proven)"
    )
    [load] = json.loads(msgspec.json.encode(encode_plan(plan)))["loads"][0]
    assert load["rate"] == 38
    assert load["grade"] == "proven"
    assert load["carried"] == pytest.approx(62, abs=1)
    assert not plan.findings


@pytest.mark.virtual_time
async def test_without_traffic_nothing_is_said() -> None:
    plan = await World(nodes=4).plan()
    assert not any("LOAD" in line for line in rollout_text.plan_lines(plan))
    assert {load.grade for batch in plan.loads for load in batch} == {"proven"}


@pytest.mark.virtual_time
async def test_what_cannot_be_carried_is_refused_with_the_way_out() -> None:
    world = carrying(21, 160, limit=8, serial=2)  # 65 % of 32
    plan = await world.plan()
    assert errors(plan)[0] == (
        "web1, web2: the others cannot carry the load: lb1 shop: 40 → 80 rps per server (+100 %; 21 sessions,"
        " and `maxconn` allows 16: impossible); use a smaller serial, or try again when there is less traffic"
        ' (on_overload = "warn" continues anyway)'
    )
    assert not world.touched()


@pytest.mark.virtual_time
async def test_at_forty_per_cent_two_of_four_may_leave() -> None:
    plan = await carrying(13, 100, limit=8, serial=2).plan()
    assert not plan.errors
    assert {load.grade for batch in plan.loads for load in batch} == {"unproven"}


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["warn", "repair"])
async def test_overload_only_warns_where_that_is_wanted(how: str) -> None:
    options = {"on_overload": "warn"} if how == "warn" else {}
    world = carrying(21, 160, limit=8, serial=2, **options)
    plan = await preflight(world.application, "2.0", is_repair=how == "repair")
    assert not plan.errors
    assert "the others cannot carry the load" in plan.findings[0].text
    assert plan.findings[0].severity is Severity.WARNING


@pytest.mark.virtual_time
async def test_a_queue_of_a_moment_does_not_refuse_a_plan() -> None:
    world = carrying(33, 160, limit=8)  # one waits
    world.at(0.5, lambda: world.balancers["lb1"].carry(12, 160, 8))
    plan = await world.plan()
    assert not plan.errors
    warnings = [f"{finding.subject}: {finding.text}" for finding in plan.findings]
    assert warnings == [
        "shop on lb1: is at its limit: 1 request in the queue; web1 has 8 of 8 sessions; web2 has 8 of 8"
        " sessions; web3 has 8 of 8 sessions; web4 has 8 of 8 sessions"
    ]


@pytest.mark.virtual_time
async def test_a_queue_that_lasts_refuses_it() -> None:
    plan = await carrying(40, 160, limit=8).plan()
    assert "8 waiting in the queue already" in errors(plan)[0]
    assert "; try again when there is less traffic" in errors(plan)[0]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("rate_max", "batches"),
    [
        (300, [2, 2]),  # 245 were carried: the serial is the bound
        (94, [1, 1, 1, 1]),  # 62 were carried, and two nodes would have 76 each
        (66, [1, 1, 1, 1]),  # nothing is proven: one by one, on trial
    ],
)
async def test_with_the_load_as_floor_batches_are_as_large_as_is_proven(
    rate_max: int, batches: list[int]
) -> None:
    world = carrying(16, 152, rate_max=rate_max, min_available="load", serial=2)
    plan = await world.plan()
    assert [len(batch) for batch in plan.batches] == batches
    assert plan.capacities[0][0].floor == 2
    assert not plan.errors


@pytest.mark.virtual_time
async def test_without_a_trial_the_plan_warns_of_what_is_unproven() -> None:
    plan = await carrying(16, 152, rate_max=66, trial=0).plan()
    assert "it is unproven that the others can carry the load, and there is no trial" in plan.findings[0].text
    assert not (await carrying(16, 152, rate_max=66).plan()).findings


def test_numbers_of_batches() -> None:
    assert batch_numbers_text([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7-8"
