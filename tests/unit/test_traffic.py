"""The traffic of a whole application, from the rows of its backends, and the nodes that are in rotation."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backends.model import Admin, Backend, Info, Level, Operational, RequestCounters, Server, Snapshot
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.live.availability import Availability, AvailabilityCounter
from orchestrator.live.poller import LiveView
from orchestrator.live.traffic import Traffic, measure_traffic
from tests.support.console_values import server
from tests.support.virtual_time import VirtualClock

pytestmark = pytest.mark.virtual_time


def backend(
    requests: int, errors: int = 0, *, ms: int | None = None, name: str = "shop", **more: Any
) -> Backend:
    own = RequestCounters(total=requests, answered=requests, answered_5xx=errors, **more)
    return Backend(name, "http" if own.http else "tcp", "roundrobin", "", own, response_time=ms)


def snapshot(name: str, backends: list[Backend], servers: list[Server]) -> Snapshot:
    return Snapshot(Info(name, "3.2", 1, 1, False), Level.ADMIN, tuple(backends), tuple(servers))


async def watch(*polls: dict[str, Snapshot]) -> LiveView:
    view = LiveView(polls[0], VirtualClock())
    for poll in polls:
        for name, read in poll.items():
            view.take(name, read)
        await asyncio.sleep(2)
    return view


async def test_requests_errors_and_sessions_of_all_load_balancers_count() -> None:
    view = await watch(
        {lb: snapshot(lb, [backend(100)], [server(instance=lb)]) for lb in ("lb1", "lb2")},
        {
            "lb1": snapshot("lb1", [backend(180, 5, in_flight=3)], [server(queue=4)]),
            "lb2": snapshot("lb2", [backend(120, in_flight=1)], [server(instance="lb2")]),
        },
    )
    assert measure_traffic(view.view) == Traffic(rate=50.0, errors=0.05, queue=4, sessions=4, trend=(50.0,))


async def test_an_error_that_no_server_explains_counts_and_one_that_is_cut_off_once() -> None:
    before, after = server(), server(requests=10)
    cut = replace(after, counters=after.counters._replace(server_aborts=2, broken=2))
    view = await watch(
        {"lb1": snapshot("lb1", [backend(0)], [before])},
        {"lb1": snapshot("lb1", [backend(10, 1, server_aborts=2)], [cut])},
    )
    assert measure_traffic(view.view).errors == pytest.approx(0.3)


async def test_counters_that_went_back_and_tcp_are_unknown() -> None:
    view = await watch(
        {"lb1": snapshot("lb1", [backend(100)], [server()])},
        {"lb1": snapshot("lb1", [backend(3)], [server()])},
    )
    assert (measure_traffic(view.view).rate, measure_traffic(view.view).errors) == (None, None)
    view = await watch(
        *[{"lb1": snapshot("lb1", [backend(count, http=False)], [server()])} for count in (1, 9)]
    )
    assert measure_traffic(view.view) == Traffic(rate=4.0, errors_known=False, trend=(4.0,))
    assert measure_traffic(LiveView(["lb1"], VirtualClock()).view) == Traffic()


async def test_the_response_time_is_that_of_most_requests() -> None:
    view = await watch(
        {lb: snapshot(lb, [backend(0, ms=None)], [server(instance=lb)]) for lb in ("lb1", "lb2")},
        {
            "lb1": snapshot("lb1", [backend(300, ms=10)], [server()]),
            "lb2": snapshot("lb2", [backend(100, ms=50)], [server(instance="lb2")]),
        },
    )
    assert measure_traffic(view.view).response == ResponseTime(20, is_recent=True)
    view = await watch({"lb1": snapshot("lb1", [backend(9000, ms=10), backend(9000, ms=70, name="b")], [])})
    assert measure_traffic(view.view).response == ResponseTime(70, is_recent=False)


MAINT: dict[str, Any] = {"admin": Admin.FORCED_MAINT, "status": "MAINT", "operational": Operational.STOPPED}
DOWN: dict[str, Any] = {"status": "DOWN", "operational": Operational.STOPPED, "check_health": 0}


async def count(
    names: dict[tuple[str, str], str] | None = None, **servers: list[Server]
) -> Availability | None:
    view = await watch({name: snapshot(name, [], own) for name, own in servers.items()})
    return AvailabilityCounter().count(view.view, names or {})


async def test_a_node_is_in_rotation_if_all_of_its_servers_are() -> None:
    found = await count(
        lb1=[server("web1"), server("web2"), server("web2", backend="api", **MAINT), server("web3")],
        lb2=[server("web1", "lb2"), server("web2", "lb2"), server("web3", "lb2", **DOWN)],
    )
    assert found == Availability(("web1", "web2", "web3"), out=("web2",), down=("web3",))
    assert (found.in_rotation, found.total) == (1, 3)


async def test_one_that_is_down_anywhere_is_down_and_one_that_is_missing_somewhere() -> None:
    found = await count(lb1=[server("web1", **MAINT), server("web2")], lb2=[server("web1", "lb2", **DOWN)])
    assert found == Availability(("web1", "web2"), down=("web1", "web2"))


async def test_servers_are_counted_by_their_nodes() -> None:
    names = {("shop", "slot1"): "web1", ("shop", "slot2"): "web1"}
    assert await count(names, lb1=[server("slot1"), server("slot2", **DOWN)]) == Availability(
        ("web1",), down=("web1",)
    )


async def test_empty_slots_do_not_count_and_without_an_answer_nothing_is_known() -> None:
    found = await count(lb1=[server("web1"), server("slot2", empty_slot=True, **MAINT)])
    assert found == Availability(("web1",))
    assert AvailabilityCounter().count(LiveView(["lb1"], VirtualClock()).view) is None


async def test_the_counter_notices_other_servers() -> None:
    counter, view = AvailabilityCounter(), LiveView(["lb1"], VirtualClock())
    for names in (["web1"], ["web1"], ["web1", "web2"]):
        view.take("lb1", snapshot("lb1", [], [server(name) for name in names]))
        found = counter.count(view.view)
        assert found is not None
        assert list(found.nodes) == names
