"""What all clients got, added up over load balancers, restarts of their counters, and modes."""

from dataclasses import replace

import pytest

from backends.model import Backend, Info, Level, RequestCounters, Server, Snapshot
from orchestrator.balancers.request_errors import Sample, Signals, compute_all_signals, compute_signals
from orchestrator.balancers.traffic_count import Totals, TrafficCount
from tests.support.console_values import server


def counted(requests: int, errors_5xx: int = 0, **more: int) -> RequestCounters:
    counters = RequestCounters(total=requests, answered=requests, answered_5xx=errors_5xx)
    return counters._replace(**{name: getattr(counters, name) + number for name, number in more.items()})


def line(name: str, counters: RequestCounters, backend: str = "shop", instance: str = "lb1") -> Server:
    return replace(server(name, instance, backend), counters=counters)


def snapshot(
    *servers: Server, answered_5xx: int | None = None, instance: str = "lb1", http: bool = True
) -> Snapshot:
    """Return a snapshot whose backends count what their servers do; clients got so many 5xx in the end."""
    backends = []
    for name in dict.fromkeys(found.ref.backend for found in servers):
        own = [found.counters for found in servers if found.ref.backend == name]
        total = sum(counters.total for counters in own)
        told = sum(counters.answered_5xx for counters in own) if answered_5xx is None else answered_5xx
        row = RequestCounters(total=total, answered=total, answered_5xx=told, http=http)
        backends.append(Backend(name, "http" if http else "tcp", "", "", row))
    return Snapshot(Info(instance, "3.0", 1, 1, False), Level.ADMIN, tuple(backends), servers)


def count(*snapshots: Snapshot, backends: set[str] | None = None) -> Totals:
    traffic = TrafficCount(backends)
    for found in snapshots:
        traffic.add(found)
    return traffic.totals()


def test_only_what_came_after_the_first_snapshot_counts() -> None:
    first = snapshot(line("web1", counted(1000, 50)), line("web2", counted(2000, 60)))
    last = snapshot(line("web1", counted(1010, 51)), line("web2", counted(2020, 62)))
    assert count(first) == Totals(http=True)
    assert count(first, last) == Totals(requests=30, answered_5xx=3, errors=3, http=True)


def test_load_balancers_are_added_up() -> None:
    snapshots = [
        snapshot(line("web1", counted(requests), instance=name), instance=name)
        for name, requests in (("lb1", 10), ("lb2", 100), ("lb1", 11), ("lb2", 102))
    ]
    assert count(*snapshots).requests == 3


def test_what_was_counted_before_a_restart_of_the_counters_is_kept() -> None:
    """A reload of HAProxy in the middle of a rollout must not hide errors that clients saw before."""
    totals = count(
        snapshot(line("web1", counted(1000))),
        snapshot(line("web1", counted(1100, 7))),
        snapshot(line("web1", counted(5))),
        snapshot(line("web1", counted(25, 2))),
    )
    assert totals == Totals(requests=120, answered_5xx=9, errors=9, http=True, gaps=1)


def test_a_restart_shows_in_any_backend_that_both_have() -> None:
    def both(shop: int, other: int) -> Snapshot:
        return snapshot(line("web1", counted(shop)), line("o1", counted(other), "other"))

    found = count(both(100, 100), both(110, 120), both(111, 3), both(112, 4))
    assert (found.requests, found.gaps) == (10 + 20 + 1 + 1, 1)


def test_a_backend_that_goes_or_comes_is_no_restart() -> None:
    one = snapshot(line("web1", counted(100)))
    both = snapshot(line("web1", counted(110)), line("o1", counted(0), "other"))
    found = count(one, both, snapshot(line("web1", counted(130))))
    assert (found.requests, found.gaps, found.unattributed) == (30, 0, 0)


def test_a_server_that_came_later_counts_for_nothing() -> None:
    """Nobody knows since when it has counted."""
    found = count(
        snapshot(line("web1", counted(100))),
        snapshot(line("web0", counted(900, 9)), line("web1", counted(101)), answered_5xx=0),
    )
    assert (found.requests, found.errors) == (1, 0)


def test_errors_that_no_server_explains_are_those_of_haproxy() -> None:
    first = snapshot(line("web1", counted(100)), answered_5xx=40)
    last = snapshot(line("web1", counted(110, 2)), answered_5xx=47)
    assert count(first, last) == Totals(10, 2, 2, unattributed=5, http=True)
    assert count(first, last, backends={"shop"}).unattributed == 5
    assert count(first, last, backends={"other"}).unattributed == 0
    fewer = snapshot(line("web1", counted(110, 2)), answered_5xx=41)
    assert count(first, fewer).unattributed == 0, "it cannot be less than nothing"


def test_a_response_that_broke_off_explains_no_5xx() -> None:
    first = snapshot(line("web1", counted(100)))
    cut = snapshot(line("web1", counted(101, broken=1, server_aborts=1)), answered_5xx=1)
    found = count(first, cut)
    assert (found.errors, found.unattributed) == (1, 1)


def test_a_backend_in_tcp_mode_is_unknown_and_hides_no_other() -> None:
    def both(requests: int) -> Snapshot:
        tcp = line("t1", RequestCounters(total=requests, refused=requests // 10, http=False), "tcp")
        web = snapshot(line("web1", counted(requests)))
        return replace(
            web,
            backends=(*snapshot(tcp, http=False).backends, *web.backends),
            servers=(tcp, *web.servers),
        )

    assert count(both(0), both(10)) == Totals(20, 0, 1, http=True, unknown={"tcp"})


def test_totals_may_be_read_again_and_again() -> None:
    traffic = TrafficCount()
    for found in (snapshot(line("t1", RequestCounters(total=n, http=False)), http=False) for n in (5, 6, 2)):
        traffic.add(found)
    first = traffic.totals()
    first.unknown.add("changed by the reader")
    assert traffic.totals() == Totals(requests=1, unknown={"shop"}, gaps=1)


@pytest.mark.parametrize("known", [True, False])
def test_signals_are_added_field_by_field(known: bool) -> None:
    one = Signals(1, 2, 3, 4, broken=5, cut=6, refused=7, soft=8)
    other = Signals(10, 20, 30, 40 if known else None, broken=50, cut=60, refused=70, soft=80)
    assert one + other == Signals(11, 22, 33, 44 if known else None, broken=55, cut=66, refused=77, soft=88)
    assert other + one == one + other
    assert ((one + other).known, (one + other).with_5xx) == ((44, -22) if known else (77, 11))


def test_all_since_haproxy_began_is_what_it_counts_now() -> None:
    sample = Sample(counted(20, 3, total=1, refused=1), counted(20, 4))
    assert compute_all_signals(sample) == Signals(21, 20, hard=4, refused=1)
    assert compute_all_signals(Sample(RequestCounters(total=5, refused=2, http=False))).known == 2


def test_refused_requests_and_those_in_flight_are_not_silent() -> None:
    """A refused connection is counted as refused, and is not a request that got no response as well."""
    last = RequestCounters(total=20, answered=10, refused=3, client_aborts=2, in_flight=1)
    found = compute_signals(Sample(RequestCounters()), Sample(last))
    assert found is not None
    assert (found.silent, found.refused, found.hard) == (4, 3, 3)


NOTHING = RequestCounters()


def test_one_request_is_one_error_however_often_it_was_tried() -> None:
    def errors(server: RequestCounters, backend: RequestCounters) -> int | None:
        before = RequestCounters(total=500, answered=500)
        found = compute_signals(Sample(NOTHING, before), Sample(server, backend))
        return found.hard if found is not None else None

    twice = RequestCounters(total=2, answered=2, broken=2, server_aborts=2)
    assert errors(twice, RequestCounters(total=501, answered=501)) == 1, "clients sent one request"
    assert errors(twice, RequestCounters(total=502, answered=502)) == 2
    elsewhere = RequestCounters(total=2, answered=1, redispatches=1, retries=1, broken=2, server_aborts=2)
    assert errors(elsewhere, RequestCounters(total=510, answered=510)) == 1, "another server has answered one"


def test_a_backend_that_was_not_known_before_bounds_nothing() -> None:
    broken = RequestCounters(total=3, answered=1, broken=4)
    unknown = compute_signals(Sample(NOTHING), Sample(broken))
    assert unknown is not None
    assert unknown.hard == 2
    assert compute_signals(Sample(NOTHING), Sample(broken, RequestCounters(total=9))) == unknown
    assert compute_signals(Sample(NOTHING, RequestCounters(total=9)), Sample(broken)) == unknown
