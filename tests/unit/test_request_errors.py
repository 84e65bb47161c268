"""From counters to errors that clients saw, and what a rollout says of them."""

import asyncio

import pytest

from backends.model import NOTHING_COUNTED, RequestCounters
from orchestrator.balancers.request_errors import RequestTally, Sample, Signals, compute_signals, went_back
from orchestrator.engine.steps.verify import verify
from orchestrator.errors import StepFailed
from orchestrator.events.events import Baked, RolloutEnded, Traffic
from orchestrator.events.text import describe_bake, traffic_text
from tests.support.fake_fleet import World
from tests.unit.test_steps_verify import upgraded
from tests.unit.world_events import until_baking

FIRST = RequestCounters._make([*range(1000, 2000, 100), 0, True, False])


def after(**grown: int) -> RequestCounters:
    """So much more than FIRST."""
    return FIRST._replace(**{name: getattr(FIRST, name) + number for name, number in grown.items()})


# What the rows of server and backend were measured to grow by, and the errors that clients saw.
MEASURED: dict[str, tuple[dict[str, int], dict[str, int], int]] = {
    "500": ({"total": 1, "answered": 1, "answered_5xx": 1}, {"answered_5xx": 1}, 1),
    "502, counted once": ({"total": 1, "broken": 1}, {"answered_5xx": 1}, 1),
    "502, counted twice": ({"total": 1, "broken": 2}, {"answered_5xx": 1}, 1),
    "closed without a word (2.2)": ({"total": 1, "broken": 1, "server_aborts": 1}, {}, 1),
    "reset, counted as cut off as well (3.2)": (
        {"total": 1, "broken": 2, "server_aborts": 1},
        {"answered_5xx": 1},
        1,
    ),
    "kept connection reset": (
        {"total": 3, "answered": 2, "broken": 1, "server_aborts": 1},
        {},
        1,
    ),
    "cut off": ({"total": 1, "answered": 1, "broken": 1, "server_aborts": 1}, {}, 1),
    "stalled": ({"total": 1, "answered": 1, "server_aborts": 1}, {}, 1),
    "refused": ({"total": 2, "refused": 1, "retries": 1}, {"answered_5xx": 1}, 1),
    "redispatched": ({"total": 2, "redispatches": 2}, {}, 0),
    "retried in vain": ({"total": 3, "broken": 4, "retries": 4}, {"answered_5xx": 1}, 1),
    "retried in vain, two of three on kept connections (3.0)": (
        {"total": 9, "broken": 10, "retries": 12, "server_aborts": 2},
        {"total": 3, "answered": 1, "answered_5xx": 1, "broken": 10, "server_aborts": 2},
        3,
    ),
    "retried well": ({"total": 2, "answered": 1, "broken": 1, "retries": 2}, {}, 0),
    "hints": ({"total": 1, "answered": 1, "informational": 1}, {}, 0),
    "client left": ({"total": 1, "client_aborts": 1}, {}, 0),
    "idle WebSocket": ({"total": 1, "informational": 1, "server_aborts": 1}, {}, 0),
    "resets beside WebSockets that have ended": (
        {"total": 30, "informational": 20, "broken": 20},
        {"answered_5xx": 10, "informational": 20, "broken": 20},
        10,
    ),
    "resets of kept connections, of two servers (2.6)": (
        {"total": 462, "answered": 321, "broken": 193, "server_aborts": 89},
        {"total": 924, "answered": 754, "answered_5xx": 112, "broken": 394, "server_aborts": 170},
        141,
    ),
    "resets of kept connections, of four servers (3.0)": (
        {"total": 231, "answered": 156, "broken": 106, "server_aborts": 44},
        {"total": 924, "answered": 763, "answered_5xx": 116, "broken": 393, "server_aborts": 161},
        75,
    ),
    "cut off, while another server resets": (
        {"total": 9, "answered": 9, "broken": 4, "server_aborts": 4},
        {"total": 18, "answered": 13, "answered_5xx": 5, "broken": 14, "server_aborts": 4},
        4,
    ),
    "resets, while another server answers 500": (
        {"total": 20, "answered": 10, "broken": 15, "server_aborts": 5},
        {"total": 40, "answered": 35, "answered_5xx": 10, "broken": 15, "server_aborts": 5},
        10,
    ),
    "a cut 500": (
        {"total": 1, "answered": 1, "answered_5xx": 1, "broken": 1, "server_aborts": 1},
        {"answered_5xx": 1},
        1,
    ),
    "errors beside streams": (
        {"total": 15, "answered": 5, "broken": 6, "in_flight": 7},
        {"answered_5xx": 3},
        3,
    ),
    "from before the first look": ({"broken": 2, "in_flight": -1}, {"answered_5xx": 1}, 1),
}


@pytest.mark.parametrize("name", MEASURED)
def test_errors_are_what_clients_saw(name: str) -> None:
    server, backend, errors = MEASURED[name]
    first = FIRST._replace(informational=0)
    grown = after(**server)._replace(informational=server.get("informational", 0))
    row = after(**{"total": server.get("total", 0), **backend})
    found = compute_signals(Sample(first, FIRST), Sample(grown, row))
    assert found is not None
    assert found.hard == errors


def test_a_reset_that_3_2_counts_as_cut_off_too_is_one_error_beside_answers() -> None:
    """Measured on two busy processors: 25 of 500 resets."""

    def errors(told: int, **grown: int) -> int | None:
        row = after(answered_5xx=told, total=grown["total"], answered=grown["total"])
        row = row._replace(doubtful_aborts=True)
        first, last = (counters._replace(informational=0) for counters in (FIRST, after(**grown)))
        found = compute_signals(Sample(first, FIRST), Sample(last, row))
        return None if found is None else found.hard

    assert errors(5, total=105, answered=100, broken=10, server_aborts=3) == 5
    assert errors(5, total=105, answered=100, broken=12, server_aborts=5) == 7, "two were cut off"
    assert errors(5, total=105, answered=100, broken=7, server_aborts=2) == 7, "time-outs count once"
    assert errors(0, total=105, answered=105, broken=2, server_aborts=3) == 3, "one of them stalled"


def test_without_the_row_of_the_backend_the_least_that_is_certain_counts() -> None:
    found = compute_signals(
        Sample(FIRST), Sample(after(total=7, answered=2, broken=8, server_aborts=1, retries=2))
    )
    assert found == Signals(5, 2, 3, 4, broken=3, cut=1, soft=2)


def test_errors_of_tcp_are_not_known_but_for_refused_connections() -> None:
    first = RequestCounters(http=False)
    later = RequestCounters(total=9, refused=2, broken=3, server_aborts=3, http=False)
    found = compute_signals(Sample(first), Sample(later))
    assert found is not None
    assert (found.started, found.hard, found.known) == (9, None, 2)
    assert (found + Signals(hard=1)).hard is None


@pytest.mark.parametrize("name", RequestCounters._fields[:10])
def test_a_counter_that_goes_back_makes_the_poll_unknown(name: str) -> None:
    assert went_back(FIRST, after(**{name: -1}))
    assert compute_signals(Sample(FIRST), Sample(after(**{name: -1}))) is None


def test_what_counts_less_in_flight_has_not_gone_back() -> None:
    assert not went_back(FIRST, after(in_flight=-1))


def test_a_tally_goes_on_after_a_restart_of_the_counters() -> None:
    tally = RequestTally(Sample(FIRST))
    tally.add(Sample(after(total=3, answered=3, answered_5xx=1)))
    tally.add(
        Sample(NOTHING_COUNTED._replace(total=5, answered=5, answered_5xx=2))
    )  # nobody knows since when
    tally.add(Sample(NOTHING_COUNTED._replace(total=6, answered=6, answered_5xx=3)))
    assert (tally.signals.started, tally.signals.hard, tally.gaps) == (4, 2, 1)


# -- in a rollout ---------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_resets_fail_a_bake_as_answers_with_5xx_do() -> None:
    world = World(bake_time=20, max_5xx=1)
    context, _ = await upgraded(world)

    async def spoil() -> None:
        await until_baking(world)
        for server in world.servers("web1"):
            server.requests, server.resets = 98, 1

    beside = asyncio.create_task(spoil())
    with pytest.raises(StepFailed) as failed:
        await verify(context)
    await beside
    assert str(failed.value) == (
        "clients saw 2 errors (2 without a response) in 198 requests since it is back in rotation, allowed 1"
    )
    [baked] = world.events(Baked)
    assert (baked.requests, baked.errors, baked.proven) == (198, 2, True)


@pytest.mark.virtual_time
async def test_a_bake_without_requests_proves_nothing_and_says_so() -> None:
    world = World(nodes=2, bake_time=2)
    world.at(0.1, lambda: _serve(world, "web2", 60))
    ended = await world.upgrade()
    assert (ended.result, ended.unproven) == ("healthy", ["web1", "web2"])
    baked = {event.node: event for event in world.events(Baked)}
    assert describe_bake(baked["web1"]) == "baked with 0 requests: nothing proven"
    assert world.events(RolloutEnded)[-1].unproven == ended.unproven


@pytest.mark.virtual_time
async def test_a_bake_with_enough_requests() -> None:
    world = World(nodes=1, bake_time=5, min_available=0)

    async def serve() -> None:
        await until_baking(world)
        _serve(world, "web1", 60)

    beside = asyncio.create_task(serve())
    ended = await world.upgrade()
    await beside
    assert ended.unproven == []
    [baked] = world.events(Baked)
    assert describe_bake(baked) == "baked with 120 requests, no errors"


@pytest.mark.virtual_time
async def test_a_bake_names_errors_that_no_server_explains() -> None:
    world = World(nodes=1, bake_time=5, min_available=0)

    async def serve() -> None:
        await until_baking(world)
        _serve(world, "web1", 60)
        world.balancers["lb2"].own_5xx += 3

    world.balancers["lb1"].own_5xx = 7  # before it went back
    beside = asyncio.create_task(serve())
    ended = await world.upgrade()
    await beside
    assert (ended.result, ended.unproven) == ("healthy", [])
    [baked] = world.events(Baked)
    assert describe_bake(baked) == "baked with 120 requests, no errors, 3 not attributable"


def _serve(world: World, name: str, requests: int) -> None:
    for server in world.servers(name):
        server.requests += requests


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"requests": 1, "proven": False}, "baked with 1 request, fewer than 50: nothing proven"),
        ({"requests": 1200, "errors": 3}, "baked with 1,200 requests, 3 errors"),
        ({"requests": 7, "errors": None}, "baked with 7 sessions: errors unknown in TCP mode"),
        (
            {"requests": 7, "errors": None, "refused": 2},
            "baked with 7 sessions, 2 refused: errors unknown in TCP mode",
        ),
        ({"requests": 0, "errors": None}, "baked with 0 sessions, nothing proven".replace(",", ":")),
    ],
)
def test_a_bake_in_words(fields: dict[str, int], words: str) -> None:
    rest = {"node": "web1", "errors": 0, "refused": 0, "retried": 0, "proven": True, "duration_s": 1.0}
    assert describe_bake(Baked(**(rest | fields))) == words  # type: ignore[arg-type]


@pytest.mark.virtual_time
async def test_what_a_rollout_says_of_all_traffic() -> None:
    world = World(nodes=2, bake_time=5, max_5xx=10)

    def spoil() -> None:
        _serve(world, "web2", 40)
        world.server("web2").resets = 2
        world.balancers["lb2"].own_5xx = 3

    world.at(1.0, spoil)
    # Just before the end: no look comes after it but the last one.
    world.bus.subscribe(lambda record: _late(world) if isinstance(record.event, Baked) else None)
    await world.upgrade()
    [traffic] = world.events(Traffic)
    assert (traffic.errors, traffic.unattributed, traffic.unknown) == (4, 3, [])
    assert traffic_text(traffic) == f"{traffic.served} requests, 4 errors, 3 not attributable"


def _late(world: World) -> None:
    world.server("web1").errors_5xx += 1


@pytest.mark.virtual_time
async def test_errors_of_an_application_in_tcp_mode_are_unknown_and_never_0() -> None:
    world = World(nodes=1, bake_time=1, min_available=0)
    for server in world.servers("web1"):
        server.http = False
    ended = await world.upgrade()
    [traffic] = world.events(Traffic)
    assert (traffic.errors, traffic.unknown, ended.unproven) == (None, ["shop"], ["web1"])
    assert traffic_text(traffic) == "0 requests, errors unknown in TCP mode: shop"


def test_traffic_of_an_older_journal() -> None:
    assert traffic_text(Traffic(served=7, errors_5xx=1, duration_s=2.0)) == "7 requests, 1 error (5xx only)"
