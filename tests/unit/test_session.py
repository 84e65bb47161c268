"""What a session adds to an application: names of what is seen, and the versions that run."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from backends.haproxy.columns import columns_of
from backends.local_machine import SystemClock
from backends.model import Server
from backends.node_state import HealthResult
from orchestrator.engine.operator_requests import ControlAction, OperatorRequests
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeNote
from orchestrator.journal.store import Journal
from orchestrator.live.poller import BalancerView, FleetView
from orchestrator.live.rates import Rates, RowIndex
from orchestrator.live.versions import MAX_CONCURRENT_CHECKS, VersionTracker
from orchestrator.local.control_socket import send_line
from orchestrator.local.requests import ControlLine, Reply, Sender
from orchestrator.node import Node
from orchestrator.planning.application import Application
from orchestrator.session import earlier_work
from orchestrator.session.links import SessionLinks
from orchestrator.session.recovery import roll_back_after
from orchestrator.session.session import Session
from tests.support.fake_fleet import World
from tests.support.journal import NOWHERE, blank_work_log
from tests.support.wait import until


@dataclass(slots=True)
class Versions:
    """Implements `HealthCheck` for all nodes at once, and counts who looks."""

    version: str | None = "1.4.2"
    now: int = 0
    most: int = 0
    looks: list[str] = field(default_factory=list)

    async def check(self) -> HealthResult:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.1)
        self.now -= 1
        self.looks.append("look")
        return HealthResult(True, "200 OK", self.version)

    async def read_version(self) -> str | None:
        return (await self.check()).version


def session(
    application: Application,
    *,
    sees_versions: bool = True,
    folder: Path = NOWHERE,
    links: SessionLinks | None = None,
) -> Session:
    clock = SystemClock()
    bus = EventBus(clock)
    return Session(
        application,
        bus,
        work_log=blank_work_log(bus, folder),
        roll_back_after=roll_back_after,
        versions=VersionTracker(clock, sees=sees_versions),
        links=links,
    )


def many(health: Versions, count: int) -> tuple[Application, list[Node]]:
    application = World(nodes=1).application
    nodes = [replace(application.nodes[0], name=f"web{number}", health=health) for number in range(count)]
    return replace(application, nodes=tuple(nodes)), nodes


@pytest.mark.virtual_time
async def test_only_so_many_nodes_are_asked_for_their_version_at_once() -> None:
    health = Versions()
    application, _ = many(health, 5 * MAX_CONCURRENT_CHECKS)
    made = session(application)
    await made.versions.read(made.application.nodes)
    assert health.most == MAX_CONCURRENT_CHECKS
    assert len(health.looks) == len(made.versions.by_node) == 5 * MAX_CONCURRENT_CHECKS
    assert made.versions.summary() == f"1.4.2 on {5 * MAX_CONCURRENT_CHECKS}"


@pytest.mark.virtual_time
async def test_a_plan_opens_the_journal_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time all of it is checked: that takes seconds of a large one."""
    opened: list[Path] = []

    class Counted(Journal):
        def __init__(self, path: Path, *, read_only: bool = False, named: bool = False) -> None:
            opened.append(path)
            super().__init__(path, read_only=read_only, named=named)

    monkeypatch.setattr(earlier_work, "Journal", Counted)

    made = session(World(nodes=2).application)
    await made.plan("2.0")
    assert len(opened) == 1


@pytest.mark.virtual_time
async def test_some_nodes_alone_can_be_asked_and_what_is_not_seen_is_forgotten() -> None:
    health = Versions()
    application, nodes = many(health, 3)
    made = session(application)
    await made.versions.read(made.application.nodes)
    health.version = None
    await made.versions.read(nodes[:1])
    assert made.versions.by_node == {"web1": "1.4.2", "web2": "1.4.2"}


@pytest.mark.virtual_time
async def test_nobody_is_asked_where_health_does_not_tell_a_version() -> None:
    health = Versions()
    application, nodes = many(health, 3)
    await session(application, sees_versions=False).versions.read(nodes)
    assert health.looks == []


def view(*servers: Server) -> FleetView:
    columns = columns_of(servers)
    seen = BalancerView("lb1", "live", servers=servers, columns=columns, rates=Rates(RowIndex(columns.names)))
    return FleetView((seen,))


@pytest.mark.virtual_time
async def test_names_come_with_what_is_seen_and_stay_the_same_object_while_that_does() -> None:
    world = World(nodes=2, instances=1)
    first, second = (await world.balancer_group.read_all())["lb1"].servers
    made = session(replace(world.application, match="address"))
    assert made.names == {}
    odd = replace(second, ref=replace(second.ref, server="s2"))
    seen = view(first, odd)
    made.index_servers(seen)
    names = made.names
    assert names == {("shop", "web1"): "web1", ("shop", "s2"): "web2"}
    made.index_servers(FleetView(seen.instances))
    assert made.names is names
    made.index_servers(view(first))
    assert made.names == {("shop", "web1"): "web1"}


@pytest.mark.virtual_time
async def test_versions_of_nodes_that_are_left_alone_are_looked_at_where_nobody_knows_them(
    tmp_path: Path,
) -> None:
    application = World(nodes=3, bake_time=0, min_healthy=0).application
    made = session(application, sees_versions=False, folder=tmp_path)
    made.versions.by_node["web2"] = "1.1"
    proposal = await made.propose("2.0", limit=["web1"])
    ended = await made.run(proposal)
    assert ended.versions == {"web1": "2.0", "web2": "1.1", "web3": "1.0"}


@pytest.mark.virtual_time
async def test_a_version_that_was_only_seen_is_called_as_on_disk_beside_a_rollout(tmp_path: Path) -> None:
    world = World(nodes=2, instances=1)
    nodes = tuple(replace(node, version_regex="^([^-]+)") for node in world.application.nodes)
    made = session(replace(world.application, nodes=nodes), folder=tmp_path)
    world.nodes["web2"].installed, world.nodes["web2"].running = "2.0-1", "2.0"
    world.nodes["web1"].runs = "2.0"
    await made.versions.read(nodes)
    ended = await made.run(await made.propose("2.0-1", limit=["web1"]))
    assert (ended.result, ended.versions) == ("healthy", {"web1": "2.0-1", "web2": "2.0-1"})


async def test_a_defect_in_a_request_is_told_and_the_rollout_can_be_controlled_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "shop.sock"
    application = World(nodes=1, min_available=0, confirm="node", trial=0, bake_time=0).application
    made = session(application, folder=tmp_path, links=SessionLinks(socket=path))
    made.control.interactive = True
    notes: list[str] = []
    made.bus.subscribe(
        lambda record: notes.append(record.event.text) if isinstance(record.event, NodeNote) else None
    )
    carry_out = OperatorRequests.carry_out

    def fail(requests: OperatorRequests, what: ControlAction, *given: Any) -> str:
        if what == "pause":
            raise OSError("the pause of ann")  # not taken for a sender that is gone
        return carry_out(requests, what, *given)

    monkeypatch.setattr(OperatorRequests, "carry_out", fail)
    ann = Sender(name="ann@here")
    running = asyncio.create_task(made.run(await made.propose("2.0")))
    await until(lambda: made.control.questions)
    reply = await send_line(path, ControlLine(what="pause", sender=ann))
    told = "an internal error: OSError('the pause of ann'); it may have been carried out"
    assert reply == Reply(status="failed", text=told)
    assert notes[-1] == f"ann@here requested pause, which met {told}"
    assert (await send_line(path, ControlLine(what="continue", sender=ann))).status == "accepted"
    assert (await running).result == "healthy"
    assert str(made.defect) == "the pause of ann"


@pytest.mark.virtual_time
async def test_a_question_that_nobody_can_see_any_more_does_not_wait_for_ever(tmp_path: Path) -> None:
    made = session(World(nodes=1, min_available=0, confirm="node", trial=0).application, folder=tmp_path)
    made.control.interactive = True
    running = asyncio.create_task(made.run(await made.propose("2.0")))
    await until(lambda: made.control.questions)
    (tmp_path / "journal.db").unlink()
    ended = await running
    assert (ended.result, ended.pending) == ("degraded", ["web1"])
    assert "journal.db: was removed or replaced" in ended.blocked
    assert made.defect is not None  # the end of it could not be written either
