"""What is in rotation and may still go, told from the live view: the same numbers as the guard's."""

from typing import NoReturn

import pytest

from backends.model import ServerRef, Snapshot
from orchestrator.live.disruptions import find_tightest, measure_headroom
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy
from orchestrator.planning.server_pool import drop_empty_slots
from tests.unit.test_table_model import DOWN, DRAIN, EMPTY, MAINT, RISING, view

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


@pytest.mark.parametrize("filled", [(), ("web1",), ("web1", "web2", "web3")])
@pytest.mark.parametrize("kept", [(), ("web2",), ("web1", "web2")])
def test_empty_slots_count_as_for_the_guard(filled: tuple[str, ...], kept: tuple[str, ...]) -> None:
    of = view({name: {} if name in filled else EMPTY for name in ("web1", "web2", "web3", "web4")})
    refs = {ServerRef("lb1", "shop", name) for name in kept}
    (found,), _ = measure_headroom(of, ["shop"], Policy(min_available="50%"), kept=refs)
    (balancer,) = of.instances
    assert balancer.info is not None
    assert balancer.level is not None
    read = {"lb1": Snapshot(balancer.info, balancer.level, (), balancer.servers)}
    nobody = {ServerRef("lb1", "shop", "nobody")}
    (expected,) = capacity.measure_capacity(drop_empty_slots(read, refs), nobody, Policy(min_available="50%"))
    assert (found.before, found.after, found.floor) == (expected.before, expected.after, expected.floor)


def test_kept_servers_are_not_gone_through_where_no_slot_is_empty() -> None:
    class Unread(set[ServerRef]):
        def __iter__(self) -> NoReturn:
            raise AssertionError("it costs as much as there are servers, at every poll")

    (found,), _ = measure_headroom(view({"web1": {}, "web2": {}}), ["shop"], Policy(), kept=Unread())
    assert found.before == 2


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
