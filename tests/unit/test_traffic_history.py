"""The traffic of the last ten minutes: sums over load balancers, gaps where one was not read, no old data."""

from dataclasses import replace

import pytest

from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.traffic_history import SPAN_S, TrafficHistory
from tests.support.live_views import balancer, busy_traffic


def history(*views: tuple[BalancerView, ...]) -> TrafficHistory:
    found = TrafficHistory()
    for view in views:
        found.add(FleetView(view))
    return found


def test_requests_of_all_load_balancers_are_added_and_errors_too() -> None:
    found = history(
        *(
            (balancer(at, requests=100 * at, errors=2 * at), balancer(at, name="lb2", requests=50 * at))
            for at in range(11)
        )
    )
    points = found.columns(5, 10)
    assert [point and point.rate for point in points] == pytest.approx([150] * 5)
    assert [point and point.error_rate for point in points] == pytest.approx([2] * 5)
    assert all(point is not None and point.response_ms == pytest.approx(8) for point in points)


def test_a_time_without_reads_is_a_gap_and_no_zero() -> None:
    found = history(*((balancer(at, requests=10 * at),) for at in (0, 1, 2, 8, 9, 10)))
    assert found.columns(2, 20)[0] is None
    assert all(point is not None for point in found.columns(10, 10)), (
        "counters tell of the time between two reads"
    )
    reloaded = history(
        *((balancer(at, requests=requests),) for at, requests in ((0, 90), (5, 95), (10, 3), (15, 8)))
    )
    rates = [point and point.rate for point in reloaded.columns(3, 15)]
    assert rates == [1, None, 1]


def test_a_load_balancer_that_does_not_answer_is_left_out_and_named() -> None:
    views = [(balancer(at, requests=10 * at), balancer(at, name="lb2", requests=10 * at)) for at in range(5)]
    stale = replace(views[-1][1], state="stale")
    found = history(*views, (balancer(5, requests=50), stale))
    assert found.missing == ("lb2",)
    assert [point and point.rate for point in found.columns(1, 5)] == [10]


def test_errors_are_unknown_in_tcp_mode() -> None:
    def tcp(at: int) -> BalancerView:
        view = balancer(at, requests=10 * at)
        (sample,) = view.rates.samples
        sessions = {"shop": sample.backends["shop"]._replace(http=False)}
        return replace(view, rates=replace(view.rates, samples=(replace(sample, backends=sessions),)))

    (point,) = history((tcp(0),), (tcp(5),)).columns(1, 5)
    assert point is not None
    assert (point.rate, point.error_rate, point.response_ms) == (10, None, None)


def test_ten_minutes_are_kept_and_the_span_grows_to_them() -> None:
    found = TrafficHistory()
    assert found.columns(3) == [None, None, None]
    assert found.seconds == 60
    for at in range(0, 2_000, 5):
        found.add(FleetView((balancer(at, requests=at),)))
        assert found.seconds <= SPAN_S
    assert found.seconds == SPAN_S
    assert sum(len(traffic.spans) for traffic in found._balancers.values()) <= SPAN_S / 5 + 2
    assert busy_traffic(90).seconds == 120
