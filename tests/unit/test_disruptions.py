"""What is in rotation and may still go, told from the live view: the same numbers as the guard's."""

import pytest

from backends.model import ServerRef, Snapshot
from orchestrator.live.disruptions import find_tightest, measure_headroom
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy
from tests.unit.test_table_model import DOWN, DRAIN, MAINT, RISING, view

ALL = {"web1": {}, "web2": MAINT, "web3": {}, "web4": RISING, "web5": DRAIN, "web6": DOWN}


@pytest.mark.parametrize("leaving", [(), ("web1",), ("web1", "web2"), ("web4",), ("web6", "gone")])
@pytest.mark.parametrize("policy", [Policy(), Policy(min_available=1), Policy(max_unavailable=1)])
def test_it_counts_as_the_guard_does(leaving: tuple[str, ...], policy: Policy) -> None:
    of = view(ALL, {**ALL, "web3": MAINT, "spare": {"backup": True}})
    refs = {ServerRef(lb, "shop", name) for name in leaving for lb in ("lb1", "lb2")}
    found, unseen = measure_headroom(of, ["shop"], policy, refs)
    snapshots = {
        balancer.name: Snapshot(balancer.info, balancer.level, (), balancer.servers)
        for balancer in of.instances
        if balancer.info is not None and balancer.level is not None
    }
    everything = refs or {ServerRef(lb, "shop", "nobody") for lb in ("lb1", "lb2")}
    expected = capacity.measure_capacity(snapshots, everything, policy)
    assert unseen == ()
    assert [(capacity.before, capacity.after, capacity.floor) for capacity in found] == [
        (capacity.before, capacity.after, capacity.floor) for capacity in expected
    ]


def test_backups_count_only_where_nothing_else_is() -> None:
    spare = {"backup": True}
    found, _ = measure_headroom(view({"web1": {}, "spare": spare}, {"spare": spare}), ["shop"], Policy())
    assert [(capacity.instance, capacity.before) for capacity in found] == [("lb1", 1), ("lb2", 1)]


def test_one_that_is_not_seen_is_named_and_not_counted() -> None:
    found, unseen = measure_headroom(
        view({"web1": {}}, {"web1": {}}, lb2={"state": "stale"}), ["shop"], Policy()
    )
    assert [capacity.instance for capacity in found] == ["lb1"]
    assert unseen == ("lb2",)


def test_the_tightest_is_where_the_least_may_be_lost() -> None:
    found, _ = measure_headroom(view(ALL, {**ALL, "web3": MAINT}), ["shop"], Policy(min_available=1))
    worst = find_tightest(found)
    assert worst is not None
    assert (worst.instance, worst.before) == ("lb2", 1)
    assert find_tightest(()) is None


def test_a_backend_that_is_not_there_is_left_out() -> None:
    assert measure_headroom(view({"web1": {}}), ["api"], Policy()) == ((), ())
