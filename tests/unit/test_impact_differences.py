"""What differs between a manual change as it was shown, and as it would be now."""

from dataclasses import replace

import pytest

from backends.model import Admin, ServerRef
from orchestrator.engine.manual_change import Impact
from orchestrator.engine.plan_differences import Difference, compare_impacts, compare_plans
from orchestrator.node import OriginalState
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.plan import Plan, PlannedNode
from tests.support.console_values import server

WEB1 = server()
WEB2 = server("web2")
LOW = Capacity("lb1", "shop", before=2, after=1, floor=2)
ENOUGH = replace(LOW, after=2)
IMPACT = Impact(("web1", "web2"), (WEB1, WEB2), (ENOUGH,))


def differences(now: Impact, before: Impact = IMPACT) -> list[str]:
    return [str(difference) for difference in compare_impacts(before, now)]


def test_what_has_not_changed_is_no_difference() -> None:
    busier = replace(WEB1, sessions=99, queue=3, status="UP 1/3")
    assert differences(replace(IMPACT, servers=(busier, WEB2))) == []
    low = replace(IMPACT, capacities=(LOW,))
    assert differences(low, before=low) == [], "that was shown before"


def test_a_server_that_somebody_has_drained_meanwhile_is_named_alone() -> None:
    drained = replace(WEB1, admin=Admin.FORCED_DRAIN)
    assert differences(replace(IMPACT, servers=(drained, WEB2))) == [
        "web1: shop/web1 on lb1: ready, weight 1 → drain, weight 1"
    ]


def test_a_server_that_comes_or_goes_is_named() -> None:
    one = replace(IMPACT, servers=(WEB1,))
    assert differences(one) == ["web2: shop/web2 on lb1: ready, weight 1 → nothing"]
    assert differences(IMPACT, before=one) == ["web2: shop/web2 on lb1: nothing → ready, weight 1"]


def test_a_weight_that_an_agent_check_sets_is_nobodys_decision() -> None:
    light, heavy = (replace(IMPACT, servers=(replace(WEB1, agent=True, weight=n), WEB2)) for n in (3, 90))
    assert differences(heavy, before=light) == []
    assert differences(replace(IMPACT, servers=(replace(WEB1, weight=3), WEB2)))


def test_a_floor_that_would_break_only_now_is_named() -> None:
    other = replace(LOW, backend="other")
    found = compare_impacts(replace(IMPACT, capacities=(LOW,)), replace(IMPACT, capacities=(LOW, other)))
    assert found == (Difference("web1, web2", "capacity", "allowed", str(other)),)
    there = replace(LOW, instance="lb2")
    assert differences(replace(IMPACT, capacities=(there,)), before=replace(IMPACT, capacities=(LOW,))) == [
        f"web1, web2: capacity: allowed → {there}"
    ]


def test_a_registry_that_follows_only_now_is_named() -> None:
    assert differences(replace(IMPACT, registries=("Consul",))) == ["web1, web2: follows: nothing → Consul"]


def test_followers_are_named() -> None:
    follower = ServerRef("lb1", "other", "o1")
    assert differences(replace(IMPACT, followers=(follower,))) == [
        "web1, web2: also affects: nothing → other/o1 on lb1"
    ]


@pytest.mark.parametrize("comes", [True, False])
def test_a_node_that_comes_is_told_from_one_that_goes(comes: bool) -> None:
    node = PlannedNode(
        "web1", (WEB1.ref,), {WEB1.ref: OriginalState.of(WEB1)}, "1.4.2", "1.4.2", ("drain",), "1.4.2 → 1.5.0"
    )
    empty, full = (Plan("shop", "1.5.0", Policy(), nodes, (), ()) for nodes in ((), (node,)))
    (found,) = compare_plans(empty, full) if comes else compare_plans(full, empty)
    assert str(found) == ("web1: node: nothing → there" if comes else "web1: node: there → nothing")
    assert found.beyond is comes
