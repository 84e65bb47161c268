"""What remaining servers would carry, and whether that is proven, unproven or impossible."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.model import Server
from orchestrator.balancers.load_history import LoadHistory
from orchestrator.planning.load_forecast import forecast_loads, sustained_rate
from orchestrator.planning.load_grade import LoadForecast, worst_grade
from tests.support.loads import loaded, refs, snapshot, snapshots

NAMES = ("web1", "web2", "web3", "web4")


def fleet(count: int = 4, **load: Any) -> list[Server]:
    return [loaded(name, **load) for name in NAMES[:count]]


def forecast(servers: list[Server], *leaving: str, **options: Any) -> LoadForecast:
    (found,) = forecast_loads(snapshots(snapshot(*servers, **options)), refs(*leaving or ("web1",)))
    return found


def test_the_sentence_of_the_plan() -> None:
    found = forecast(fleet(rate=38, rate_max=94, sessions=4, sessions_max=20))
    assert str(found) == "lb1 shop: 38 → 51 rps per server (+33 %; carried 62 before: proven)"
    found = forecast(fleet(rate=38, rate_max=66, sessions=4, sessions_max=20))
    assert str(found) == "lb1 shop: 38 → 51 rps per server (+33 %; carried 41 before: unproven)"
    found = forecast(fleet(rate=38, rate_max=94, sessions=4, sessions_max=20), uptime=720)
    assert (
        str(found)
        == "lb1 shop: 38 → 51 rps per server (+33 %; HAProxy has counted for 12 min only: unproven)"
    )


def test_a_peak_of_one_second_is_more_than_was_sustained() -> None:
    assert sustained_rate(66) == pytest.approx(40, abs=0.7)  # 40 + 4 √40 ≈ 66
    assert sustained_rate(0) == 0


def test_sessions_must_have_been_carried_too() -> None:
    enough = forecast(fleet(rate=38, rate_max=94, sessions=6, sessions_max=8))
    assert enough.grade == "proven"
    assert forecast(fleet(rate=38, rate_max=94, sessions=6, sessions_max=7)).grade == "unproven"


def test_next_to_nothing_in_flight_is_proven_even_without_a_past() -> None:
    servers = [loaded(name, rate=3, sessions=int(name == "web3")) for name in NAMES]
    found = forecast(servers, uptime=1)
    assert found.grade == "proven"
    assert "less than one session in flight per node" in str(found)
    # Three nodes would have 3 sessions: one each.
    busy = [loaded(name, rate=3, sessions=int(name != "web3")) for name in NAMES]
    assert forecast(busy, uptime=1).grade == "unproven"


def test_sessions_through_all_load_balancers_count_for_a_node() -> None:
    def through(instance: str, count: int) -> list[Server]:
        return [
            loaded(name, instance=instance, rate=9, sessions=int(name in NAMES[:count])) for name in NAMES
        ]

    leaving = refs("web1") | refs("web1", instance="lb2")
    both = forecast_loads(snapshots(snapshot(*through("lb1", 2)), snapshot(*through("lb2", 2))), leaving)
    assert [found.grade for found in both] == ["unproven", "unproven"]  # 4 on 3 nodes
    both = forecast_loads(snapshots(snapshot(*through("lb1", 1)), snapshot(*through("lb2", 1))), leaving)
    assert [found.grade for found in both] == ["proven", "proven"]


def test_what_came_through_one_load_balancer_may_come_through_two() -> None:
    """After a failover both have half of what one of them had: neither row proves it, the node does."""
    first = [loaded(name, rate=20, rate_max=160, sessions=2, sessions_max=40) for name in NAMES]
    second = [
        loaded(name, instance="lb2", rate=20, rate_max=25, sessions=2, sessions_max=3) for name in NAMES
    ]
    leaving = refs("web1") | refs("web1", instance="lb2")
    both = forecast_loads(snapshots(snapshot(*first), snapshot(*second)), leaving)
    assert worst_grade(both) == "proven"
    alone = forecast_loads(snapshots(snapshot(*second)), refs("web1", instance="lb2"))
    assert worst_grade(alone) == "unproven"


def test_a_single_poll_refuses_only_what_is_certain() -> None:
    at_65 = fleet(rate=100, sessions=5, limit=8)
    found = forecast(at_65, "web1", "web2")
    assert (found.grade, found.is_refused) == ("impossible", False)
    assert found.reason == "20 sessions, and `maxconn` allows 16"
    many = fleet(rate=1000, sessions=65, limit=100)
    assert forecast(many, "web1", "web2").is_refused
    assert forecast(fleet(rate=1000, sessions=40, limit=100), "web1", "web2").grade == "unproven"


def test_several_polls_refuse_what_one_alone_does_not() -> None:
    history = LoadHistory()
    for second in range(12):
        servers = fleet(rate=100, sessions=5 + second % 2, limit=8, total=100 * second)
        history.add(snapshot(*servers), float(second))
    (found,) = forecast_loads(snapshots(snapshot(*servers)), refs("web1", "web2"), history)
    assert found.is_refused
    assert found.rate_then == pytest.approx(200)


def test_a_queue_of_a_moment_is_no_refusal_and_one_that_lasts_is() -> None:
    servers = fleet(rate=10, rate_max=900, sessions=2, sessions_max=50, limit=60)
    found = forecast(servers, queue=3)
    assert (found.grade, found.is_refused) == ("impossible", False)
    assert found.reason == "3 waiting in the queue already"
    history = LoadHistory()
    for second in range(4):
        history.add(snapshot(*servers, queue=second % 4), float(second))
    (found,) = forecast_loads(snapshots(snapshot(*servers, queue=3)), refs("web1"), history)
    assert found.is_refused


def test_a_queue_of_one_server_counts_too() -> None:
    servers = [*fleet(3, rate=10), loaded("web4", rate=10, queue=2)]
    assert forecast(servers).queue == 2


def test_servers_without_a_limit_have_no_shortage() -> None:
    servers = [*fleet(3, rate=10, sessions=90, limit=10), loaded("web4", rate=10, sessions=90)]
    assert forecast(servers).limit is None
    assert forecast(servers).grade == "unproven"


def test_a_full_server_matters_only_where_it_is_not_passed_over() -> None:
    servers = [loaded("web1", rate=90, sessions=480), *fleet(4, rate=90, sessions=480, limit=500)[1:]]
    servers[3] = loaded("web4", rate=90, sessions=480, limit=3000)
    assert forecast(servers).grade == "unproven"
    found = forecast(servers, algorithm="source")
    assert found.is_refused
    assert found.reason == "640 sessions on web2, and its `maxconn` is 500"


def test_close_to_the_limit_nothing_is_proven() -> None:
    servers = fleet(rate=38, rate_max=94, sessions=64, sessions_max=100, limit=100)
    found = forecast(servers)
    assert found.grade == "unproven"
    assert found.reason == "256 of the 300 sessions that `maxconn` allows"


def test_unequal_weights_share_what_leaves() -> None:
    servers = [
        loaded("web1", rate=40, cookie="a"),
        loaded("web2", rate=20, effective_weight=2, weight=2),
        loaded("web3", rate=10, effective_weight=1),
    ]
    found = forecast(servers)
    assert found.rate_then == pytest.approx(35)
    history = LoadHistory()
    for second in range(5):
        counted = [
            loaded(
                server.ref.server, total=second * server.load.rate, effective_weight=server.effective_weight
            )
            for server in servers
        ]
        history.add(snapshot(*counted), float(second))
    (found,) = forecast_loads(snapshots(snapshot(*counted)), refs("web1"), history)
    assert found.rate == pytest.approx(15)
    assert found.rate_then == pytest.approx(35)


def test_leastconn_sends_more_to_a_faster_server() -> None:
    def servers(rate_max: int) -> list[Server]:
        peaks: dict[str, Any] = {"rate_max": rate_max, "sessions_max": 99}
        return [
            loaded("web1", rate=30, sessions=3),
            loaded("web2", rate=60, sessions=3, **peaks),
            loaded("web3", rate=30, sessions=3, rate_max=75, sessions_max=99),
        ]

    # web3 gets 10 of the 30; by weight it would be 15, and 45 is about the most that it has carried.
    assert forecast(servers(rate_max=200), algorithm="leastconn").grade == "proven"
    assert forecast(servers(rate_max=200), algorithm="roundrobin").grade == "unproven"


def test_backup_servers_and_servers_that_are_out_do_not_count() -> None:
    servers = [
        *fleet(2, rate=10, sessions=3),
        loaded("web3", effective_weight=0, weight=0),
        loaded("web4", backup=True),
    ]
    assert forecast(servers).servers == 1
    assert forecast_loads(snapshots(snapshot(*servers)), refs("web3")) == ()
    assert forecast_loads(snapshots(snapshot(*servers)), refs("web1", "web2")) == ()


def test_what_was_carried_a_moment_ago_proves_as_much_again() -> None:
    """With a young HAProxy, a node is on trial as long as its version has not carried what it would."""
    groups = dict.fromkeys(NAMES, "old")
    history = LoadHistory(lambda ref: groups[ref.server])
    totals = dict.fromkeys(NAMES, 0)

    def run(seconds: int, rates: dict[str, int], start: int) -> tuple[LoadForecast, ...]:
        for second in range(seconds):
            for name, rate in rates.items():
                totals[name] += rate
            servers = [
                loaded(name, sessions=5, total=totals[name], effective_weight=int(bool(rates.get(name))))
                for name in NAMES
            ]
            history.add(snapshot(*servers, uptime=60), float(start + second))
        leaving = next(name for name in NAMES if groups[name] == "old" and rates.get(name))
        found = snapshots(snapshot(*servers, uptime=60))
        return forecast_loads(found, refs(leaving), history)

    assert worst_grade(run(12, dict.fromkeys(NAMES, 30), 0)) == "unproven"
    run(12, dict.fromkeys(NAMES[1:], 40), 20)  # while web1 is out
    groups["web1"] = "new"
    assert worst_grade(run(12, dict.fromkeys(NAMES, 30), 40)) == "unproven"  # the new version has not
    run(12, dict.fromkeys(("web1", "web3", "web4"), 40), 60)  # while web2 is out
    groups["web2"] = "new"
    assert worst_grade(run(12, dict.fromkeys(NAMES, 30), 80)) == "proven"
    assert worst_grade(run(12, dict.fromkeys(NAMES, 45), 100)) == "unproven"  # there is more to do by now


def test_a_reload_begins_a_new_window() -> None:
    history = LoadHistory()
    for second in range(6):
        history.add(snapshot(*fleet(rate=7, total=1000 + 40 * second)), float(second))
    assert history.measure(loaded("web1", rate=7)).rate == pytest.approx(40)
    history.add(snapshot(*fleet(rate=7, total=3)), 7.0)
    assert history.measure(loaded("web1", rate=7)) == (7, 0, 1, 0, 40, 0)


def test_a_huge_fleet_is_not_kept() -> None:
    history = LoadHistory()
    history.add(snapshot(*(loaded(f"s{number}") for number in range(501))), 0.0)
    assert history.measure(loaded("s1", rate=9)).samples == 1


@given(
    st.lists(st.tuples(st.integers(1, 256), st.integers(0, 500), st.integers(0, 50)), min_size=2, max_size=8),
    st.sampled_from(["roundrobin", "leastconn", "random", "source", "first"]),
)
def test_nothing_is_lost_and_nobody_gets_less(rows: list[tuple[int, int, int]], algorithm: str) -> None:
    servers = [
        loaded(f"web{number}", rate=rate, sessions=sessions, effective_weight=weight)
        for number, (weight, rate, sessions) in enumerate(rows, 1)
    ]
    found = forecast(servers, "web1", algorithm=algorithm)
    assert found.rate_then * found.servers == pytest.approx(sum(rate for _, rate, _ in rows))
    assert found.all_sessions_then == pytest.approx(sum(sessions for *_, sessions in rows))
    assert found.rate_then >= found.rate - 1e-9


@given(st.integers(2, 6), st.integers(10, 100), st.integers(0, 40))
def test_more_that_leave_are_never_graded_better(count: int, rate: int, sessions: int) -> None:
    order = ["proven", "unproven", "impossible"]
    servers = [
        loaded(f"web{number}", rate=rate, rate_max=150, sessions=sessions, sessions_max=60, limit=80)
        for number in range(1, count + 1)
    ]
    names = [server.ref.server for server in servers]
    grades = [order.index(forecast(servers, *names[:leaving]).grade) for leaving in range(1, count)]
    assert all(one <= other for one, other in pairwise(grades))


@pytest.mark.parametrize(("count", "out"), [(4, 1), (4, 2), (10, 3)])
def test_proven_is_hardly_ever_wrong(count: int, out: int) -> None:
    """Loads are from 15 to 95 % of what a node can do, and past peaks from 1.0 to 2.2 times as much."""
    rng = random.Random(11)  # noqa: S311 - a simulation
    overloads = proven = 0
    capacity = 200.0
    for _ in range(600):
        rate = capacity * rng.uniform(0.15, 0.95)
        peak = min(rate * rng.uniform(1.0, 2.2), 0.97 * capacity)
        busiest = peak + 4 * peak**0.5 + rng.gauss(0, 2)
        servers = [
            loaded(f"web{number}", rate=round(rate), rate_max=round(busiest), sessions=2, sessions_max=99)
            for number in range(1, count + 1)
        ]
        if rate * count / (count - out) > 0.95 * capacity:
            overloads += 1
            proven += forecast(servers, *(f"web{n}" for n in range(1, out + 1))).grade == "proven"
    assert overloads > 50
    assert proven / overloads < 0.06
