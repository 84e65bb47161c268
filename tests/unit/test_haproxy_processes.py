"""Several HAProxy processes at once: those of `nbproc`, and old workers of a master."""

import asyncio
from collections.abc import Mapping

import pytest

from backends.errors import Refused, Unreachable, UnreadableReply
from backends.haproxy.sessions import parse_old_workers, read_older_sessions
from backends.model import Info
from orchestrator.balancers.group import find_unreached_processes
from orchestrator.engine.manual_change import Change, apply, read_impact
from orchestrator.engine.steps.drain import drain
from orchestrator.errors import StepFailed
from orchestrator.events.events import NodeNote, Waiting
from orchestrator.planning.findings import PreflightFailed
from tests.support.fake_fleet import World

HEADING = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
IN_2_2 = (
    "#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>      \n"
    "9608            master          0               1               0d00h00m02s     2.2.9-2+deb11u6\n"
    "# workers\n"
    "10046           worker          1               0               0d00h00m00s     2.2.9-2+deb11u6\n"
    "# old workers\n"
    "9619            worker          [was: 1]        1               0d00h00m02s     2.2.9-2+deb11u6\n"
    "# programs\n\n"
)
IN_3_2 = (
    f"{HEADING}11865           master          1 [failed: 0]   0d00h00m01s     3.2.26-1       \n"
    "# workers\n"
    "12190           worker          0               0d00h00m00s     3.2.26-1       \n"
    "# old workers\n"
    "11876           worker          1               0d00h00m01s     3.2.26-1       \n"
    "11877           worker          2               0d00h01m01s     3.2.26-1       \n\n\n"
)
STAT = "# pxname,svname,qcur,scur,status,weight,type,iid,sid\n"
GONE = "Can't find the target PID matching the prefix '@!11876'\n"


@pytest.mark.parametrize(
    ("text", "pids"),
    [(IN_2_2, (9619,)), (IN_3_2, (11876, 11877)), (HEADING + "\n", ()), ("", ())],
)
def test_the_old_workers_of_a_master(text: str, pids: tuple[int, ...]) -> None:
    assert parse_old_workers("lb1", text) == pids


def test_an_old_worker_without_a_process_id_is_not_passed_over() -> None:
    with pytest.raises(UnreadableReply, match="`show proc`"):
        parse_old_workers("lb1", "# old workers\nmoved worker 1\n\n")


async def read(replies: Mapping[str, str | list[str]]) -> Mapping[tuple[str, str], int]:
    left = {line: list(reply) if isinstance(reply, list) else [reply] for line, reply in replies.items()}

    async def ask(line: str) -> str:
        return left[line].pop(0) if len(left[line]) > 1 else left[line][0]

    return await read_older_sessions("lb1", ("shop",), ask)


async def test_sessions_of_all_old_workers_are_added_up() -> None:
    first = STAT + "shop,web1,1,2,UP,1,2,3,1\nshop,web2,0,0,UP,1,2,3,2\nother,web1,0,9,UP,1,2,4,1\n\n"
    replies = {
        "show proc": IN_3_2,
        "@!11876 show stat -1 4 -1": first,
        "@!11877 show stat -1 4 -1": STAT + "shop,web1,0,4,UP,1,2,3,1\n\n",
    }
    assert await read(replies) == {("shop", "web1"): 7}


async def test_where_an_old_worker_hides_its_servers_its_sessions_are_counted() -> None:
    lines = (
        "0x55a0: proto=tcpv4 src=127.0.0.1:1 fe=f be=shop srv=web1 ts=00 age=6s calls=4\n"
        "0x55b0: proto=sockpair src=unix:5 fe=GLOBAL be=<NONE> srv=<none> ts=00 age=0s calls=1\n\n"
    )
    replies = {"show proc": IN_2_2, "@!9619 show stat -1 4 -1": STAT + "\n", "@!9619 show sess": lines}
    assert await read(replies) == {("shop", "web1"): 1}


async def test_an_old_worker_that_has_ended_meanwhile_has_none() -> None:
    replies: dict[str, str | list[str]] = {
        "show proc": [IN_3_2.replace("11877", "#"), HEADING + "\n"],
        "@!11876 show stat -1 4 -1": GONE,
    }
    assert await read(replies) == {}
    with pytest.raises(UnreadableReply):  # it is there, and what it says is not understood
        await read(replies | {"show proc": IN_3_2})


@pytest.mark.parametrize("number", ["x", "", "1.5"])
async def test_statistics_of_an_old_worker_without_numbers_are_not_taken_for_none(number: str) -> None:
    replies = {"show proc": IN_2_2, "@!9619 show stat -1 4 -1": f"{STAT}shop,web1,0,{number},UP,1,2,3,1\n\n"}
    with pytest.raises(UnreadableReply, match="the statistics of worker 9619"):
        await read(replies)


def info(name: str, process: int, pid: int, *, processes: int = 2, node: str = "m") -> Info:
    return Info(name, "2.2", pid, 10, False, node, processes, process)


@pytest.mark.parametrize(
    ("infos", "unreached"),
    [
        ([info("lb1", 1, 7, processes=1)], set()),
        ([info("a", 1, 7)], {"a"}),
        ([info("a", 1, 7), info("b", 2, 8)], set()),
        ([info("a", 1, 7), info("again", 1, 7)], {"a", "again"}),
        ([info("a", 1, 7), info("b", 2, 8, node="n")], {"a", "b"}),
        ([info("a", 1, 7), info("b", 2, 8), info("c", 1, 9)], {"a", "b", "c"}),  # two HAProxy on one machine
        ([info("a", 1, 7), info("b", 2, 8), info("c", 1, 9), info("d", 2, 10)], set()),
        ([info("a", 1, 7), info("ok", 1, 5, processes=1)], {"a"}),
    ],
)
def test_every_process_must_be_in_the_configuration(infos: list[Info], unreached: set[str]) -> None:
    assert find_unreached_processes(infos).keys() == unreached


@pytest.mark.virtual_time
async def test_nothing_is_written_to_one_of_two_processes() -> None:
    world = World(instances=1)
    world.balancers["lb1"].processes = 2
    plan = await world.plan()
    assert "process 2 of this machine is not in the configuration" in str(plan.errors[0])
    change = Change("maint", world.application.nodes[:1])
    for action in (
        read_impact(world.application, change),
        apply(world.application, change, world.control, world.clock, world.bus),
    ):
        with pytest.raises(PreflightFailed, match="stats socket PATH level admin process NUMBER"):
            await action
    with pytest.raises(Refused, match="2 processes"):
        await drain(world.context())
    assert not world.sent()
    assert len((await world.balancer_group.read_all())["lb1"].servers) == 3, "looking is fine"


# -- old workers, in a drain ---------------------------------------------------------------------


class Connected:
    """Implements `Connections`: one connection until a moment, in virtual seconds."""

    def __init__(self, until: float) -> None:
        self.until = until

    async def count(self) -> int:
        if self.until < 0:
            raise Unreachable("web1", "no route")
        return int(asyncio.get_running_loop().time() < self.until)


def reasons(world: World) -> list[str]:
    return [wait.reason for wait in world.events(Waiting)]


@pytest.mark.virtual_time
async def test_sessions_that_only_the_master_sees_are_waited_for() -> None:
    world = World(instances=1)
    world.balancers["lb1"].older = {("shop", "web1"): 2, ("shop", "web2"): 5, ("other", "web1"): 9}
    world.at(40, lambda: setattr(world.balancers["lb1"], "older", {}))
    assert await drain(world.context()) == "no sessions left"
    assert 40 <= asyncio.get_running_loop().time() < 45
    assert reasons(world)[0] == "sessions: 2 on lb1 in processes that a reload has replaced"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("until", "uptime", "settled", "detail"),
    [
        (100.0, 0, 100, "no sessions left"),  # just reloaded: they get what is left of drain_timeout
        (1000.0, 0, 300, "forced to maintenance, 1 session left"),
        (1000.0, 400, 400, "no sessions left"),  # older than drain_timeout: nobody else's are waited for
    ],
)
async def test_without_a_master_the_nodes_connections_are_waited_for(
    until: float, uptime: int, settled: float, detail: str
) -> None:
    world = World(instances=1)
    world.balancers["lb1"].older = None
    await asyncio.sleep(uptime)
    context = world.context()
    object.__setattr__(context.node, "connections", Connected(until))
    assert await drain(context) == detail
    assert asyncio.get_running_loop().time() == pytest.approx(settled, abs=12)


@pytest.mark.virtual_time
async def test_connections_left_are_a_failure_where_sessions_left_are() -> None:
    world = World(instances=1, on_remaining_sessions="fail")
    world.balancers["lb1"].older = None
    context = world.context()
    object.__setattr__(context.node, "connections", Connected(1000))
    with pytest.raises(StepFailed, match="connections on port 80: 1, perhaps of older HAProxy"):
        await drain(context)


@pytest.mark.virtual_time
@pytest.mark.parametrize("connections", [None, Connected(-1)])
async def test_where_nobody_sees_them_it_is_said_before_and_during(connections: Connected | None) -> None:
    world = World(nodes=6, instances=1)
    world.balancers["lb1"].older = None
    for node in world.application.nodes:
        object.__setattr__(node, "connections", connections)
    [warning] = [finding for finding in (await world.plan()).findings if "older HAProxy" in finding.text]
    assert "neither here nor on web[1-6]:" in warning.text
    assert await drain(world.context()) == "no sessions left"
    assert [note.text for note in world.events(NodeNote) if "the stop may cut them" in note.text]


@pytest.mark.virtual_time
async def test_where_they_can_be_counted_preflight_is_silent() -> None:
    world = World(instances=1)
    world.balancers["lb1"].older = None
    for node in world.application.nodes:
        object.__setattr__(node, "connections", Connected(5))
    assert not (await world.plan()).findings
