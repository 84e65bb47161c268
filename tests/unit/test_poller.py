"""The live state: each load balancer on its own, staleness, reloads, rates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from backends.errors import Unreachable
from backends.haproxy.columns import columns_of
from backends.haproxy.slices import SnapshotSlices
from backends.model import ServerRef
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.live.poller import BalancerView, LiveView, Poller
from orchestrator.live.rates import LONG_TREND_SERVERS, Rates, RowIndex
from tests.support.console_values import server
from tests.support.fake_fleet import World
from tests.support.virtual_time import VirtualClock
from tests.unit.test_haproxy_slices import snapshot

WEB1 = ServerRef("lb1", "shop", "web1")


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[Poller]:
    watch = Poller(world.balancer_group, world.clock)
    task = asyncio.create_task(watch.run())
    yield watch
    assert not task.done(), "a watch never ends by itself"
    task.cancel()
    await asyncio.wait([task])


def lb(watch: Poller, name: str = "lb1") -> BalancerView:
    return watch.view.instance(name)


@pytest.mark.virtual_time
async def test_it_connects_and_lives() -> None:
    world = World()
    async with watching(world) as watch:
        assert [balancer.state for balancer in watch.view.instances] == ["connecting", "connecting"]
        await asyncio.sleep(0.5)
        assert [balancer.state for balancer in watch.view.instances] == ["live", "live"]
        assert (found := watch.view.server(WEB1)) is not None
        assert found.ref == WEB1
        before = lb(watch).read_at
        await asyncio.sleep(1)
        assert lb(watch).read_at == (before or 0) + 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", ["down", "hang", "defect"])
async def test_one_that_fails_is_stale_within_two_polls_and_comes_back_by_itself(kind: str) -> None:
    world = World()
    async with watching(world) as watch:
        await asyncio.sleep(0.5)
        faults = world.balancers["lb1"].faults
        if kind == "down":
            world.balancers["lb1"].down = True
        elif kind == "hang":
            faults.add("snapshot", Unreachable("lb1", "no complete answer within 5 s"), seconds=5)
        else:
            faults.add("snapshot", ZeroDivisionError("ours"), times=3)
        await asyncio.sleep(2)
        assert lb(watch).state == "stale"
        assert lb(watch).failing
        assert lb(watch).failing_since is not None
        assert lb(watch, "lb2").state == "live"
        assert world.clock.monotonic() - (lb(watch, "lb2").read_at or 0) < 1
        assert watch.view.server(WEB1) is not None  # what is known stays, and is called stale
        assert watch.view.rate(WEB1) is None
        world.balancers["lb1"].down = False
        await asyncio.sleep(5)
        assert (lb(watch).state, lb(watch).failing, lb(watch).failing_since) == ("live", "", None)


@pytest.mark.virtual_time
async def test_a_slow_one_does_not_delay_the_others_and_is_never_asked_twice_at_once() -> None:
    world = World()
    async with watching(world) as watch:
        slow = world.balancers["lb1"]
        asked = running = most = 0
        read = slow.snapshot

        async def snapshot(backends: object = ()) -> object:
            nonlocal asked, running, most
            asked, running = asked + 1, running + 1
            most = max(most, running)
            await asyncio.sleep(1.5)
            running -= 1
            return await read()

        slow.snapshot = snapshot  # type: ignore[method-assign,assignment]
        ages = []
        for _ in range(20):
            await asyncio.sleep(0.5)
            ages.append(world.clock.monotonic() - (lb(watch, "lb2").read_at or 0))
        assert max(ages) < 1.01
        assert (most, asked) == (1, 7)
        assert lb(watch).state == "live"  # late, but less than two polls


@pytest.mark.virtual_time
async def test_what_never_answered_is_connecting_with_the_reason() -> None:
    world = World()
    world.balancers["lb1"].down = True
    async with watching(world) as watch:
        await asyncio.sleep(3.5)
        assert (lb(watch).state, lb(watch).failing) == ("connecting", "connection refused")
        assert lb(watch).failing_since == 0
        world.balancers["lb1"].down = False
        await asyncio.sleep(1)
        assert lb(watch).state == "live"


@pytest.mark.virtual_time
async def test_a_reload_is_noticed_and_rates_begin_again() -> None:
    world = World()
    async with watching(world) as watch:
        await asyncio.sleep(2.5)
        assert lb(watch).reloaded_at is None
        assert watch.view.rate(WEB1) == 0
        world.balancers["lb1"].reload()
        await asyncio.sleep(1)
        assert lb(watch).reloaded_at == lb(watch).read_at
        assert lb(watch, "lb2").reloaded_at is None
        assert watch.view.rate(WEB1) is None
        await asyncio.sleep(1)
        assert watch.view.rate(WEB1) == 0


@pytest.mark.virtual_time
async def test_an_old_worker_that_still_answers_is_not_believed() -> None:
    world = World()
    async with watching(world) as watch:
        await asyncio.sleep(0.5)
        world.balancers["lb1"].stopping = True
        await asyncio.sleep(1)
        assert lb(watch).state == "stale"
        assert "old worker" in lb(watch).failing


@pytest.mark.virtual_time
async def test_readers_are_told_once_in_a_turn_until_they_leave() -> None:
    world = World()
    async with watching(world) as watch:
        told: list[object] = []
        leave = watch.subscribe(lambda: told.append(watch.view))
        await asyncio.sleep(0.5)
        assert len(told) == 1  # both load balancers answered in the same turn
        await asyncio.sleep(1)
        assert len(told) == 2
        assert told[0] is not told[1]
        leave()
        await asyncio.sleep(1)
        assert len(told) == 2


def rates(*polls: tuple[float, dict[str, tuple[int, int]]]) -> Rates:
    """Of moments with requests and errors by server."""
    result = Rates()
    for at, counters in polls:
        servers = [server(name, requests=n, errors_5xx=e) for name, (n, e) in counters.items()]
        columns = columns_of(servers)
        same = columns.names == result.rows.names
        result = result.with_sample(result.rows if same else RowIndex(columns.names), at, columns)
    return result


def test_rates_are_differences_over_the_time_between() -> None:
    found = rates((0, {"web1": (100, 0)}), (2, {"web1": (140, 10)}))
    assert (found.rate(0), found.counts(0), found.trend(0)) == (20, (40, 10), (20,))
    assert rates((0, {"web1": (100, 0)})).rate(0) is None


def test_a_counter_that_goes_back_is_unknown_for_one_poll() -> None:
    polls = [(0, {"web1": (100, 9)}), (1, {"web1": (3, 0)}), (2, {"web1": (8, 0)})]
    assert rates(*polls[:2]).rate(0) is None
    assert rates(*polls[:2]).counts(0) == (0, 0)
    assert rates(*polls).rate(0) == 5
    assert rates(*polls).trend(0) == (5,)


def test_the_trend_is_the_last_thirty() -> None:
    assert rates(*((n, {"web1": (n * n, 0)}) for n in range(40))).trend(0) == tuple(range(19, 79, 2))


def times(*polls: tuple[int, int]) -> ResponseTime | None:
    """Of requests so far and HAProxy's average, poll by poll."""
    result = Rates()
    for at, (requests, average) in enumerate(polls):
        columns = columns_of([server("web1", requests=requests, response_time=average)])
        rows = result.rows if result.rows.names else RowIndex(columns.names)
        result = result.with_sample(rows, at, columns)
    return result.response_time(0)


def test_a_response_time_is_that_of_the_last_polls_once_they_have_enough_requests() -> None:
    # 80 requests of 305 ms move an average of 5 ms to 49; rounding hides 7 ms of them.
    assert times((10_000, 5), (10_040, 28), (10_080, 49)) == ResponseTime(309, is_recent=True)
    assert times((10_000, 5), (10_040, 5)) == ResponseTime(5, is_recent=False)
    assert times((10_000, 5), (10_000, 5)) == ResponseTime(5, is_recent=False)
    assert times((10_000, 5)) == ResponseTime(5, is_recent=False)
    assert times(*((10_000 + 100 * poll, 5) for poll in range(9))) == ResponseTime(5, is_recent=True)


def test_a_response_time_goes_on_after_counters_went_back_and_after_512_responses() -> None:
    assert times((10_000, 5), (40, 70), (240, 70)) == ResponseTime(70, is_recent=True)
    assert times((400, 5), (600, 9), (1_100, 70)) == ResponseTime(107, is_recent=True)


def test_servers_that_come_and_go_leave_the_others_their_trend() -> None:
    found = rates(
        (0, {"a": (0, 0), "b": (0, 0)}), (1, {"b": (5, 0), "a": (1, 0)}), (2, {"c": (9, 0), "b": (7, 0)})
    )
    assert (found.rate(0), found.trend(0)) == (None, ())
    assert (found.rate(1), found.trend(1)) == (2, (5, 2))


@pytest.mark.virtual_time
async def test_a_newer_process_with_the_same_number_is_a_reload_too() -> None:
    world = World(instances=1)
    balancer = world.balancers["lb1"]
    async with watching(world) as watch:
        await asyncio.sleep(5.5)
        seen = balancer.seen

        def young(backends: object = ()) -> object:
            snapshot = seen()
            return replace(snapshot, info=replace(snapshot.info, uptime=0))

        balancer.seen = young  # type: ignore[method-assign,assignment]
        await asyncio.sleep(1)
        assert lb(watch).reloaded_at is not None


@pytest.mark.virtual_time
async def test_errors_that_no_server_explains_are_counted_over_the_last_looks() -> None:
    world = World()
    async with watching(world) as watch:
        await asyncio.sleep(1.5)
        world.server("web1").resets = 1
        world.balancers["lb1"].own_5xx = 3
        await asyncio.sleep(1)
        assert [balancer.unattributed for balancer in watch.view.instances] == [3, 0]


def test_many_servers_keep_a_short_trend() -> None:
    names = {f"web{number}" for number in range(LONG_TREND_SERVERS + 1)}
    found = rates(*((n, {name: (n * n, 0) for name in names}) for n in range(40)))
    assert found.trend(0) == tuple(range(63, 79, 2))


@pytest.mark.virtual_time
async def test_polls_read_no_counters_of_servers_before_they_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = snapshot()
    part = SnapshotSlices(whole).cut([whole.backends[0].name])
    live = LiveView(["lb1"], VirtualClock())

    def read(*_: object, **__: object) -> None:
        raise AssertionError("the counters of a server were read")

    with monkeypatch.context() as patched:
        patched.setattr("backends.haproxy.columns.build_counters", read)
        for _ in range(3):
            live.take("lb1", part)
            await asyncio.sleep(1)
    assert live.view.instances[0].rates.trend(0) == (0.0, 0.0)
