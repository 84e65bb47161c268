"""What the service of a failed node has written last: when it is read, where it is shown, where it stays."""

import asyncio

import pytest

from backends.errors import Refused, UnreadableReply
from backends.text import MAX_DETAIL_CHARS, MAX_LAST_LINES
from console.terminal.timeline import entries_by_node
from orchestrator.events.events import (
    CommandFinished,
    DecisionRequested,
    NodeFailed,
    NodeNote,
    ServiceLog,
)
from orchestrator.events.timeline import Timeline
from orchestrator.planning.findings import Severity
from orchestrator.remote.payload import pack, unpack
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World, answer
from tests.unit.published import HEAD
from tests.unit.test_shared_events import records
from widgets.transcript import make_lines

WRITTEN = ("listening on 8080", "bind: address already in use")


def broken(step: str) -> World:
    """One node whose service manager refuses a step."""
    world = World(nodes=1, min_available=0)
    node = world.nodes["web1"]
    node.last_lines = WRITTEN
    if step == "verify":
        node.sick = frozenset({"2.0"})
    else:
        node.faults.add(step, Refused("web1", "no"))
    return world


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", ["stop", "start", "verify"])
async def test_a_failed_step_is_followed_by_what_the_service_wrote(step: str) -> None:
    world = broken(step)
    await world.upgrade()
    [found] = world.events(ServiceLog)
    assert (found.node, found.step, tuple(found.lines)) == ("web1", step, WRITTEN)


@pytest.mark.virtual_time
async def test_an_installer_that_fails_says_enough_itself() -> None:
    world = broken("install")
    assert (await world.upgrade()).failed == ["web1"]
    assert not world.events(ServiceLog)


@pytest.mark.virtual_time
async def test_neither_the_failure_nor_the_way_out_of_rotation_waits_for_it() -> None:
    world = broken("verify")
    world.nodes["web1"].faults.add("last_lines", None, seconds=3)
    await world.upgrade()
    order = [
        record
        for record in world.records
        if isinstance(record.event, NodeFailed | CommandFinished | ServiceLog)
    ]
    assert isinstance(order[-1].event, ServiceLog), "what is sent to keep it out was sent before"
    [failed_at] = [record.at for record in order if isinstance(record.event, NodeFailed)]
    assert order[-1].at - failed_at >= 3


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "fault",
    [Fault(UnreadableReply("web1", "no answer")), Fault(None, seconds=10_000)],
    ids=["error", "silence"],
)
async def test_that_it_cannot_be_read_is_no_failure_of_its_own(fault: Fault) -> None:
    world = broken("start")
    world.nodes["web1"].faults.always["last_lines"] = fault
    ended = await world.upgrade()
    assert ended.failed == ["web1"]
    assert not world.events(ServiceLog)
    assert ended.duration_s < 100


@pytest.mark.virtual_time
async def test_the_operator_is_asked_once_it_is_there() -> None:
    world = World(nodes=1, min_available=0, interactive=True)
    world.nodes["web1"].last_lines = WRITTEN
    world.nodes["web1"].faults.add("start", Refused("web1", "no"))
    async with asyncio.TaskGroup() as group:
        group.create_task(world.upgrade())
        await answer(world, "abort")
    kinds = [type(record.event) for record in world.records]
    assert kinds.index(ServiceLog) < kinds.index(DecisionRequested)


@pytest.mark.virtual_time
async def test_however_much_a_manager_says_little_is_kept() -> None:
    world = broken("start")
    world.nodes["web1"].last_lines = ("x" * 100_000,) * 100
    await world.upgrade()
    [found] = world.events(ServiceLog)
    assert len(found.lines) == MAX_LAST_LINES
    assert all(len(line) < MAX_DETAIL_CHARS + 50 for line in found.lines)


@pytest.mark.virtual_time
async def test_history_and_transcript_show_it_with_the_failure() -> None:
    world = broken("start")
    await world.upgrade()
    seen = world.records
    [failed] = [
        moment for moment in entries_by_node(Timeline.of(seen))["web1"] if moment.text.startswith("failed")
    ]
    assert failed.step == "start"
    assert [more for more in failed.more if "service output" in more] == [
        f"service output: {line}" for line in WRITTEN
    ]
    [log] = [record for record in seen if isinstance(record.event, ServiceLog)]
    assert [line.text for line in make_lines(log, 1)] == ["last output of its service:", *WRITTEN]


def test_it_stays_with_whoever_works() -> None:
    log = ServiceLog(node="web1", step="start", lines=["password=hunter2"])
    note = NodeNote(node="web1", text="something")
    _, seen = unpack(pack(HEAD, records(log, note)))
    assert [type(record.event) for record in seen] == [NodeNote]


# -- what a manager leaves open --------------------------------------------------------------------

CAVEAT = "the unit shop.service is not enabled: it would not start after a reboot"


@pytest.mark.virtual_time
async def test_what_a_manager_leaves_open_is_told_and_keeps_nothing_from_going_on() -> None:
    world = World(nodes=2, min_available=1)
    world.nodes["web2"].caveats = (CAVEAT,)
    plan = await world.plan()
    assert not plan.errors
    [found] = [finding for finding in plan.findings if finding.text == CAVEAT]
    assert (found.severity, found.subject) == (Severity.INFO, "web2")
    assert (await world.carry_out(plan)).result == "healthy"


@pytest.mark.virtual_time
async def test_it_is_said_of_nodes_whose_service_is_stopped_only() -> None:
    world = World(nodes=2, min_available=1)
    world.nodes["web2"].caveats = (CAVEAT,)
    world.nodes["web2"].installed = world.nodes["web2"].running = "2.0"
    assert not (await world.plan()).findings


@pytest.mark.virtual_time
async def test_that_it_cannot_be_seen_is_told_too() -> None:
    world = World(nodes=1, min_available=0)
    world.nodes["web1"].faults.add("caveats", UnreadableReply("web1", "no answer"))
    plan = await world.plan()
    assert not plan.errors
    assert "the limits of its service manager cannot be determined: no answer" in [
        finding.text for finding in plan.findings if finding.severity is Severity.INFO
    ]
