"""Where a weight ramp is planned, and where it is refused because it would limit nothing."""

from typing import TYPE_CHECKING

import pytest

from backends.model import ServerRef
from orchestrator.planning.application import Policy
from orchestrator.planning.findings import PreflightFailed, Severity
from orchestrator.session.recovery import list_rollback_changes
from tests.unit.ramp_worlds import ramp_world

if TYPE_CHECKING:
    from orchestrator.events.events import RolloutEnded


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("algorithm", "weight", "words"),
    [
        ("leastconn", 100, "an idle server gets every next request"),
        ("first", 100, "ignores weights"),
        ("static-rr", 100, "only accepts 0 % and 100 %"),
        ("source", 100, "without `hash-type consistent`"),
        ("roundrobin", 1, "set `weight 100` on all servers"),
        ("", 100, "is not known"),
    ],
)
async def test_a_ramp_that_limits_nothing_is_refused(algorithm: str, weight: int, words: str) -> None:
    world = ramp_world(2)
    world.balancers["lb1"].algorithm = algorithm
    for server in world.balancers["lb1"].servers.values():
        server.weight = weight
    errors = (await world.plan()).errors
    assert errors
    assert all(words in finding.text for finding in errors)
    with pytest.raises(PreflightFailed):
        await world.upgrade()
    assert not world.sent()


@pytest.mark.virtual_time
@pytest.mark.parametrize("algorithm", ["roundrobin", "random(2)", "unknown"])
async def test_a_ramp_is_planned_where_servers_follow_their_weight(algorithm: str) -> None:
    world = ramp_world(2)
    world.balancers["lb1"].algorithm = algorithm
    plan = await world.plan()
    assert not plan.errors
    assert plan.node("web1").ramped == (ServerRef("lb1", "shop", "web1"),)
    assert any("stages of 10 %, 50 %, then 100 %" in finding.text for finding in plan.findings)


@pytest.mark.virtual_time
async def test_where_a_ramp_limits_nothing_the_node_returns_with_its_last_stage() -> None:
    world = ramp_world(2, 2)
    world.balancers["lb2"].algorithm = "leastconn"
    plan = await world.plan()
    warnings = [finding for finding in plan.findings if finding.severity is Severity.WARNING]
    assert [finding.subject for finding in warnings if "limits nothing here" in finding.text] == [
        "shop on lb2"
    ]
    ended: RolloutEnded = await world.carry_out(plan)
    assert ended.result == "healthy"
    at = {
        (name, line): moment
        for name, balancer in world.balancers.items()
        for moment, line in balancer.sent
        if "shop/web1" in line
    }
    full = at["lb1", "set server shop/web1 weight 100"]
    assert at["lb2", "set server shop/web1 state ready"] >= full


@pytest.mark.virtual_time
async def test_a_batch_of_all_servers_is_not_limited() -> None:
    world = ramp_world(2, serial=2, min_available=0)
    (found,) = [finding for finding in (await world.plan()).findings if "for this batch" in finding.text]
    assert (found.severity, found.subject) == (Severity.WARNING, "web1, web2")


def test_a_rollback_has_no_ramp() -> None:
    assert list_rollback_changes(Policy(ramp=[10, 100]))["ramp"] == []
